"""The state of coupons: validity and amounts in further currencies."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account


def current(account: Account, coupon: JSON) -> JSON:
    """Update ``valid`` of a coupon, and return the coupon."""
    coupon["valid"] = not (is_expired(account, coupon) or is_used_up(coupon))
    return coupon


def currency_options(account: Account, id: str) -> JSON:
    """Return the amounts in further currencies, by currency."""
    return account.currency_options.get(id, {})


def is_expired(account: Account, coupon: JSON) -> bool:
    """Return whether the coupon has expired."""
    return coupon["redeem_by"] is not None and coupon["redeem_by"] <= account.now


def is_used_up(coupon: JSON) -> bool:
    """Return whether the coupon has reached ``max_redemptions``."""
    most = coupon["max_redemptions"]
    return most is not None and coupon["times_redeemed"] >= most
