"""The effects of a payment on its invoice and subscription."""

from __future__ import annotations

from collections.abc import Callable

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.billing import invoice_payments, invoices, subscription_status


def paid(account: Account, intent: JSON) -> None:
    """Mark the invoice of a PaymentIntent as paid, and update its subscription."""
    invoice = invoice_payments.paid_by(account, intent)
    if invoice is not None:
        invoices.mark_paid(account, invoice)
        subscription_status.settle(account, invoice)


def failed(account: Account, intent: JSON) -> None:
    """Mark the payment of the invoice as failed, and update its subscription."""
    invoice = invoice_payments.paid_by(account, intent)
    if invoice is not None:
        invoices.mark_failed(account, invoice)
        if intent["last_payment_error"]["code"] == "authentication_required":
            # Unverified: that Stripe sends this event also if the payment was off session.
            account.emit("invoice.payment_action_required", invoice)
        subscription_status.fail(account, invoice)


def waiting(account: Account, intent: JSON) -> None:
    """Record that the customer has to act before the invoice can be paid."""
    invoice = invoice_payments.paid_by(account, intent)
    if invoice is not None:
        invoices.mark_waiting(account, invoice)


CONSEQUENCES: dict[str, Callable[[Account, JSON], None]] = {
    "payment_intent.succeeded": paid,
    "payment_intent.payment_failed": failed,
    "payment_intent.requires_action": waiting,
}
"""The function that applies the effects of each type of event."""
