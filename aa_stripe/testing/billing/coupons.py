"""Whether a coupon can still be redeemed, and what it takes off."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account


def current(account: Account, coupon: JSON) -> JSON:
    """Return the coupon after a look at whether it is still ``valid``."""
    coupon["valid"] = not (is_expired(account, coupon) or is_used_up(coupon))
    return coupon


def currency_options(account: Account, id: str) -> JSON:
    """Return the amounts in further currencies, each below its currency."""
    return account.currency_options.get(id, {})


def is_expired(account: Account, coupon: JSON) -> bool:
    """Return whether it is too late to redeem the coupon."""
    return coupon["redeem_by"] is not None and coupon["redeem_by"] <= account.now


def is_used_up(coupon: JSON) -> bool:
    """Return whether the coupon was redeemed as often as it may be."""
    most = coupon["max_redemptions"]
    return most is not None and coupon["times_redeemed"] >= most
