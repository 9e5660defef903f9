"""``/v1/invoices``, limited to what subscriptions need: read, pay, void."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import invalid, reject_unsupported
from aa_stripe.testing.billing import invoice_payments, invoices, subscription_status
from aa_stripe.testing.payments import confirmation

UNSUPPORTED = {"forgive", "mandate", "paid_out_of_band", "source"}
UNSUPPORTED_FILTERS = {"customer_account", "due_date"}


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one invoice."""
    return account.get("invoice", id)


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List invoices, by customer, subscription or status."""
    reject_unsupported(params, UNSUPPORTED_FILTERS)
    names = ("collection_method", "status")
    wanted = {name: params[name] for name in names if name in params}
    subscription = params.get("subscription")
    found = [
        invoice
        for invoice in account.matching("invoice", params, by=("customer",))
        if all(invoice[name] == value for name, value in wanted.items())
        and subscription in (None, invoices.subscription_id(invoice))
    ]
    return page("/v1/invoices", found, params)


def pay(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Try to collect an open invoice now, with ``payment_method`` or the default one."""
    invoice = account.get("invoice", id)
    reject_unsupported(params, UNSUPPORTED)
    if invoice["status"] == "paid":
        raise invalid("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] != "open":
        # Unverified: Stripe's wording.
        raise invalid(f"Only an open invoice can be paid; {id} is {invoice['status']}.")
    method = _method(account, invoice, params)
    refusal = invoice_payments.collect(
        account, invoice, method, off_session=params.get("off_session", True)
    )
    if refusal is not None:
        raise refusal
    return invoice


def void(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Void an open invoice."""
    invoice = account.get("invoice", id)
    if invoice["status"] != "open":
        # Unverified: Stripe's wording.
        raise invalid(f"Only an open invoice can be voided; {id} is {invoice['status']}.")
    subscription_status.void_invoice(account, invoice)
    return invoice


def _method(account: Account, invoice: JSON, params: dict[str, Any]) -> JSON:
    if "payment_method" in params:
        planned = {"object": "payment_intent", "customer": invoice["customer"]}
        return confirmation.usable(account, planned, params["payment_method"])
    subscription = account.get("subscription", invoices.subscription_id(invoice))
    customer = account.get("customer", invoice["customer"])
    method = invoice_payments.paying_method(account, customer, subscription)
    if method is None:
        raise invoice_payments.nothing_to_pay_with()
    return method
