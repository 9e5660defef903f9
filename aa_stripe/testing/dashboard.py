"""Actions in Stripe's Dashboard."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base import form
from aa_stripe.testing.http import schema
from aa_stripe.testing.resources import (
    coupons,
    customers,
    payment_intents,
    refunds,
    subscriptions,
)


def refund(account: Account, charge: str, amount: int | None) -> JSON:
    """Refund ``amount`` (smallest unit) of a charge; ``None`` refunds the rest."""
    params = {"charge": charge} if amount is None else {"charge": charge, "amount": amount}
    return refunds.create(account, params)


def cancel(account: Account, intent: str) -> JSON:
    """Cancel a PaymentIntent."""
    return payment_intents.cancel(account, {"cancellation_reason": "requested_by_customer"}, intent)


def delete_customer(account: Account, customer: str) -> JSON:
    """Delete a customer."""
    return customers.delete(account, {}, customer)


def create_coupon(account: Account, params: dict[str, Any]) -> JSON:
    """Create a coupon; the parameters are those of the API."""
    return coupons.create(account, schema.read("CouponCreateParams", form.leaves(params)))


def edit_coupon(account: Account, coupon: str, params: dict[str, Any]) -> JSON:
    """Update a coupon; the parameters are those of the API."""
    return coupons.update(account, schema.read("CouponUpdateParams", form.leaves(params)), coupon)


def delete_coupon(account: Account, coupon: str) -> JSON:
    """Delete a coupon."""
    return coupons.delete(account, {}, coupon)


def cancel_subscription(account: Account, subscription: str, *, at_period_end: bool) -> JSON:
    """Cancel a subscription now or at the end of its current period."""
    if at_period_end:
        return subscriptions.update(account, {"cancel_at_period_end": True}, subscription)
    return subscriptions.cancel(account, {}, subscription)
