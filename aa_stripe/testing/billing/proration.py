"""What is left of a period that ends early."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.billing import invoice_lines, invoices


def give_back(account: Account, subscription: JSON) -> None:
    """Credit the customer with what is left of the period.

    Unverified: the invoice's ``billing_reason``. What is not invoiced now would be left pending
    at Stripe; the fake knows no pending items.
    """
    lines = invoice_lines.unused(account, subscription, account.now)
    final = {**subscription, "discounts": []}
    invoice = invoices.draft(account, final, lines, reason="manual")
    invoices.send(account, invoice)
    subscription["latest_invoice"] = invoice["id"]
