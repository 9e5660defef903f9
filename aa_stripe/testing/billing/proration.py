"""Credit for the rest of a period that ends early."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.billing import invoice_lines, invoices


def credit_unused(account: Account, subscription: JSON) -> None:
    """Credit the customer for the rest of the period.

    Unverified: the invoice's ``billing_reason``. Stripe would keep items that are not invoiced now
    as pending; the fake does not support pending items.
    """
    lines = invoice_lines.unused(account, subscription, account.now)
    final = {**subscription, "discounts": []}
    invoice = invoices.draft(account, final, lines, reason="manual")
    invoices.finalize(account, invoice)
    subscription["latest_invoice"] = invoice["id"]
