"""The status of invoices: draft, open, paid, void."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.billing import discounts, invoice_payments, invoice_totals
from aa_stripe.testing.billing.periods import DAY
from aa_stripe.testing.payments import cancellation

RETRIES = (3 * DAY, 5 * DAY, 7 * DAY)
"""Seconds until the next attempt to collect a renewal invoice, after each failure."""


def draft(account: Account, subscription: JSON, lines: list[JSON], *, reason: str) -> JSON:
    """Create a draft invoice with ``lines``."""
    customer = account.get("customer", subscription["customer"])
    currency = subscription["currency"]
    subtotal = sum(line["amount"] for line in lines)
    redeemed = discounts.of(account, subscription["discounts"])
    totals = invoice_totals.compute(subtotal, currency, redeemed, subscription["default_tax_rates"])
    due, ending_balance = invoice_totals.owed(customer, totals.total, currency)
    periods = [line["period"] for line in lines]
    invoice = account.add(
        "invoice",
        amount_due=due,
        amount_remaining=due,
        billing_reason=reason,
        currency=currency,
        customer=customer["id"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        default_payment_method=subscription["default_payment_method"],
        default_tax_rates=subscription["default_tax_rates"],
        discounts=list(subscription["discounts"]),
        ending_balance=ending_balance,
        parent={
            "quote_details": None,
            "subscription_details": {
                "metadata": dict(subscription["metadata"]),
                "subscription": subscription["id"],
            },
            "type": "subscription_details",
        },
        period_start=min(period["start"] for period in periods),
        period_end=max(period["end"] for period in periods),
        starting_balance=customer["balance"],
        subtotal=totals.subtotal,
        subtotal_excluding_tax=totals.subtotal,
        total=totals.total,
        total_discount_amounts=totals.discounts,
        total_excluding_tax=totals.excluding_tax,
        total_taxes=totals.taxes,
    )
    for line in lines:
        line["invoice"] = invoice["id"]
    invoice["lines"] = {
        "object": "list",
        "data": lines,
        "has_more": False,
        "url": f"/v1/invoices/{invoice['id']}/lines",
    }
    account.emit("invoice.created", invoice)
    return invoice


def finalize(account: Account, invoice: JSON) -> None:
    """Finalize an invoice. It becomes open, or paid if no amount is due.

    Stripe waits an hour before it finalizes the draft of a renewal; the fake does not.
    """
    customer = account.get("customer", invoice["customer"])
    customer["balance"] = invoice["ending_balance"]
    invoice.update(
        status="open",
        effective_at=account.now,
        number=f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}",
    )
    invoice["status_transitions"]["finalized_at"] = account.now
    customer["next_invoice_sequence"] += 1
    if invoice["amount_due"] > 0:
        invoice_payments.plan(account, invoice)
    account.emit("invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        mark_paid(account, invoice)


def mark_paid(account: Account, invoice: JSON) -> None:
    """Mark an invoice and its payments as paid."""
    invoice.update(
        amount_paid=invoice["amount_due"],
        amount_remaining=0,
        attempted=True,
        auto_advance=False,
        attempt_count=invoice["attempt_count"] + (invoice["amount_due"] > 0),
        next_payment_attempt=None,
        status="paid",
    )
    invoice["status_transitions"]["paid_at"] = account.now
    for payment in invoice_payments.of(account, invoice["id"]):
        payment.update(amount_paid=invoice["amount_due"], status="paid")
        payment["status_transitions"]["paid_at"] = account.now
        account.emit("invoice_payment.paid", payment)
    account.emit("invoice.paid", invoice)
    account.emit("invoice.payment_succeeded", invoice)


def mark_failed(account: Account, invoice: JSON) -> None:
    """Record a failed attempt, and schedule the next one for a renewal invoice."""
    failures = invoice["attempt_count"]
    again = invoice["billing_reason"] == "subscription_cycle" and failures < len(RETRIES)
    retried = again and invoice["auto_advance"]
    invoice.update(
        attempted=True,
        attempt_count=failures + 1,
        next_payment_attempt=account.now + RETRIES[failures] if retried else None,
    )
    account.emit("invoice.payment_failed", invoice)


def mark_waiting(account: Account, invoice: JSON) -> None:
    """Record that the customer has to act before the invoice can be paid."""
    invoice.update(attempted=True)
    account.emit("invoice.payment_action_required", invoice)


def set_aside(account: Account, invoice: JSON, behavior: str) -> None:
    """Do with a draft what its subscription's ``pause_collection`` says, instead of collecting it.

    https://docs.stripe.com/billing/subscriptions/pause-payment
    """
    invoice["auto_advance"] = False
    if behavior == "keep_as_draft":
        return
    finalize(account, invoice)
    if invoice["status"] != "open":
        return
    if behavior == "void":
        void(account, invoice)
        return
    invoice["status"] = "uncollectible"
    invoice["status_transitions"]["marked_uncollectible_at"] = account.now
    account.emit("invoice.marked_uncollectible", invoice)


def stop(account: Account, subscription: str) -> None:
    """Stop collecting the invoices of a subscription. They can still be paid by hand."""
    for invoice in of_subscription(account, subscription):
        invoice.update(auto_advance=False, next_payment_attempt=None)


def void(account: Account, invoice: JSON) -> None:
    """Void an invoice, and cancel its payment."""
    payment, intent = invoice_payments.planned(account, invoice)
    if intent["status"] in cancellation.CANCELABLE:
        cancellation.cancel(account, intent, reason="void_invoice")
    payment["status"] = "canceled"
    payment["status_transitions"]["canceled_at"] = account.now
    invoice.update(status="void", auto_advance=False, next_payment_attempt=None)
    invoice["status_transitions"]["voided_at"] = account.now
    account.emit("invoice.voided", invoice)


def of_subscription(account: Account, subscription: str) -> list[JSON]:
    """Return the invoices of a subscription, oldest first."""
    return [item for item in account.all("invoice") if subscription_id(item) == subscription]


def subscription_id(invoice: JSON) -> str:
    """Return the id of the subscription that an invoice is for."""
    return str(invoice["parent"]["subscription_details"]["subscription"])
