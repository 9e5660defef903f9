"""What follows from a payment: the invoice, and with it the subscription."""

from __future__ import annotations

from collections.abc import Callable

from aa_stripe.testing import invoicing, standing
from aa_stripe.testing.account import JSON, Account


def paid(account: Account, intent: JSON) -> None:
    """The invoice that the intent collects is paid."""
    invoice = invoicing.paid_by(account, intent)
    if invoice is not None:
        invoicing.mark_paid(account, invoice)
        standing.settle(account, invoice)


def failed(account: Account, intent: JSON) -> None:
    """The invoice that the intent collects is not paid."""
    invoice = invoicing.paid_by(account, intent)
    if invoice is not None:
        invoicing.mark_failed(account, invoice)
        standing.fail(account, invoice)


def waiting(account: Account, intent: JSON) -> None:
    """The invoice that the intent collects needs its customer."""
    invoice = invoicing.paid_by(account, intent)
    if invoice is not None:
        invoicing.mark_waiting(account, invoice)


CONSEQUENCES: dict[str, Callable[[Account, JSON], None]] = {
    "payment_intent.succeeded": paid,
    "payment_intent.payment_failed": failed,
    "payment_intent.requires_action": waiting,
}
"""For each type of event what it brings about."""
