"""What people do in Stripe's Dashboard, behind the program's back."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.resources import customers, payment_intents, refunds


def refund(account: Account, charge: str, amount: int | None) -> JSON:
    """Give back ``amount`` (smallest unit) of a charge, or all that is left of it."""
    params = {"charge": charge} if amount is None else {"charge": charge, "amount": amount}
    return refunds.create(account, params)


def cancel(account: Account, intent: str) -> JSON:
    """Cancel a PaymentIntent."""
    return payment_intents.cancel(account, {"cancellation_reason": "requested_by_customer"}, intent)


def delete_customer(account: Account, customer: str) -> JSON:
    """Delete a customer."""
    return customers.delete(account, {}, customer)
