"""Invoices: made, sent out, collected."""

from __future__ import annotations

import copy
from decimal import Decimal

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.currencies import rounded
from aa_stripe.testing.base.ids import new_id
from aa_stripe.testing.base.refusals import Refusal, invalid
from aa_stripe.testing.base.samples import sample
from aa_stripe.testing.billing import discounts, invoice_totals
from aa_stripe.testing.billing.periods import DAY
from aa_stripe.testing.payments import cancellation, intents, payment_methods
from aa_stripe.testing.payments.payment_attempt import attempt

RETRIES = (3 * DAY, 5 * DAY, 7 * DAY)
"""Seconds until the next attempt to collect what renews a subscription, after each failure."""


def lines_of(account: Account, subscription: JSON, *, free: bool = False) -> list[JSON]:
    """Return a line for each item of a subscription, for the period it is in.

    ``free``: the period is a trial.
    """
    return [
        _line(account, subscription, item, 0 if free else price_of(item), free=free)
        for item in subscription["items"]["data"]
    ]


def price_of(item: JSON) -> int:
    """Return what a period costs (smallest unit), before discounts and taxes."""
    amount = Decimal(item["price"]["unit_amount_decimal"]) * item["quantity"]
    return rounded(amount, item["price"]["currency"])


def unused_lines_of(account: Account, subscription: JSON, moment: int) -> list[JSON]:
    """Return a credit for each item, for what is left of the period at ``moment``."""
    lines = []
    for item in subscription["items"]["data"]:
        start, end = item["current_period_start"], item["current_period_end"]
        unused = Decimal(max(0, end - moment)) / (end - start)
        credit = -rounded(price_of(item) * unused, subscription["currency"])
        line = _line(account, subscription, item, credit)
        line["parent"]["subscription_item_details"]["proration"] = True
        lines.append(line)
    return lines


def draft(account: Account, subscription: JSON, lines: list[JSON], *, reason: str) -> JSON:
    """Make an invoice of those lines; nobody owes anything yet."""
    customer = account.get("customer", subscription["customer"])
    currency = subscription["currency"]
    subtotal = sum(line["amount"] for line in lines)
    redeemed = discounts.of(account, subscription["discounts"])
    reckoned = invoice_totals.reckon(
        subtotal, currency, redeemed, subscription["default_tax_rates"]
    )
    due, ending_balance = invoice_totals.owed(customer, reckoned.total, currency)
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
        subtotal=reckoned.subtotal,
        subtotal_excluding_tax=reckoned.subtotal,
        total=reckoned.total,
        total_discount_amounts=reckoned.discounts,
        total_excluding_tax=reckoned.excluding_tax,
        total_taxes=reckoned.taxes,
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


def send(account: Account, invoice: JSON) -> None:
    """Finalize an invoice: it is owed from now on, or settled if there is nothing to pay.

    Stripe leaves an hour between a renewal's draft and this; the fake does not.
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
        _plan_payment(account, invoice)
    account.emit("invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        mark_paid(account, invoice)


def collect(account: Account, invoice: JSON, method: JSON, *, off_session: bool) -> Refusal | None:
    """Try to collect an open invoice; what comes of the attempt changes the invoice as well.

    Returns the refusal, or ``None`` if there was none.
    """
    _, intent = _planned(account, invoice)
    return attempt(account, intent, method, off_session=off_session, may_ask=not off_session)


def paying_method(account: Account, customer: JSON, chosen: JSON) -> JSON | None:
    """Return what an invoice is paid with: as ``chosen``, or the customer's default.

    ``chosen`` is a subscription or an invoice, each with defaults of its own.
    """
    for id in (
        chosen["default_payment_method"],
        chosen["default_source"],
        customer["invoice_settings"]["default_payment_method"],
        customer["default_source"],
    ):
        if id and (account.find("payment_method", id) or account.find("card", id)):
            method = payment_methods.resolve(account, id)
            if method["customer"] == customer["id"]:
                return method
    return None


def mark_paid(account: Account, invoice: JSON) -> None:
    """The money has come, or there was none to come."""
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
    for payment in payments_of(account, invoice["id"]):
        payment.update(amount_paid=invoice["amount_due"], status="paid")
        payment["status_transitions"]["paid_at"] = account.now
        account.emit("invoice_payment.paid", payment)
    account.emit("invoice.paid", invoice)
    account.emit("invoice.payment_succeeded", invoice)


def mark_failed(account: Account, invoice: JSON) -> None:
    """An attempt failed; what renews a subscription is tried again later."""
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
    """The customer has to act before there is money."""
    invoice.update(attempted=True)
    account.emit("invoice.payment_action_required", invoice)


def stop(account: Account, subscription: str) -> None:
    """Do not try any more to collect what is open; it may still be paid by hand."""
    for invoice in of_subscription(account, subscription):
        invoice.update(auto_advance=False, next_payment_attempt=None)


def void(account: Account, invoice: JSON) -> None:
    """Nobody owes this any more."""
    payment, intent = _planned(account, invoice)
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


def payments_of(account: Account, invoice: str) -> list[JSON]:
    """Return what pays an invoice: one payment, or none where nothing is to be paid."""
    return [item for item in account.all("invoice_payment") if item["invoice"] == invoice]


def paid_by(account: Account, intent: JSON) -> JSON | None:
    """Return the invoice that a PaymentIntent collects, if it is one of those."""
    for payment in account.all("invoice_payment"):
        if payment["payment"]["payment_intent"] == intent["id"]:
            return account.get("invoice", payment["invoice"])
    return None


def confirmation_secret(account: Account, id: str) -> JSON | None:
    """Return what a browser needs to pay an invoice."""
    if not payments_of(account, id):
        return None
    _, intent = _planned(account, account.get("invoice", id))
    return {"client_secret": intent["client_secret"], "type": "payment_intent"}


def nothing_to_pay_with() -> Refusal:
    """A customer without a default, of whatever kind."""
    return invalid(
        "This customer has no attached payment source or default payment method. Please consider "
        "adding a default payment method. For more information, visit "
        "https://stripe.com/docs/billing/subscriptions/payment-methods-setting"
        "#payment-method-priority.",
        code="resource_missing",
    )


def prepare(account: Account, invoice: JSON, method: JSON) -> None:
    """Leave the payment of an invoice to be confirmed, with that method unless another is named."""
    _, intent = _planned(account, invoice)
    intent.update(payment_method=method["id"], status="requires_confirmation")


def _planned(account: Account, invoice: JSON) -> tuple[JSON, JSON]:
    """Return the payment of an invoice that has something to be paid, and its PaymentIntent."""
    (payment,) = payments_of(account, invoice["id"])
    return payment, account.get("payment_intent", payment["payment"]["payment_intent"])


def _plan_payment(account: Account, invoice: JSON) -> None:
    first = invoice["billing_reason"] == "subscription_create"
    fields = {
        "amount": invoice["amount_due"],
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "description": "Subscription creation" if first else "Subscription update",
        "payment_method": None,
        "setup_future_usage": "off_session" if first else None,
    }
    intent = intents.create(account, "payment_intent", fields)
    account.add(
        "invoice_payment",
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        payment={"payment_intent": intent["id"], "type": "payment_intent"},
    )


def _line(
    account: Account, subscription: JSON, item: JSON, amount: int, *, free: bool = False
) -> JSON:
    price = item["price"]
    product = account.find("product", price["product"]) or {"name": price["product"]}
    what = "Trial period for" if free else f"{item['quantity']} x"
    line = {
        **sample("line_item"),
        "id": new_id("line_item"),
        "amount": amount,
        "currency": subscription["currency"],
        "description": f"{what} {product['name']}",
        "period": {"start": item["current_period_start"], "end": item["current_period_end"]},
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": "0" if free else price["unit_amount_decimal"],
        },
        "quantity": item["quantity"],
        "subtotal": amount,
    }
    line["parent"] = {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": subscription["id"],
            "subscription_item": item["id"],
        },
        "type": "subscription_item_details",
    }
    return copy.deepcopy(line)
