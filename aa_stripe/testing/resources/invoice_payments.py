"""``/v1/invoice_payments``: links between invoices and PaymentIntents."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.paging import page


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one payment of an invoice."""
    return account.get("invoice_payment", id)


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List payments, by invoice, status or PaymentIntent."""
    intent = params.get("payment", {}).get("payment_intent")
    found = [
        payment
        for payment in account.matching("invoice_payment", params, by=("invoice",))
        if params.get("status", payment["status"]) == payment["status"]
        and intent in (None, payment["payment"]["payment_intent"])
    ]
    return page("/v1/invoice_payments", found, params)
