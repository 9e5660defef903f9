"""The creation of a subscription and its first invoice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.ids import new_id
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.refusals import (
    bad_parameter,
    card_error,
    missing_parameter,
)
from aa_stripe.testing.billing import (
    cancellation,
    discounts,
    invoice_lines,
    invoice_payments,
    invoice_totals,
    invoices,
    renewal,
    subscription_items,
    subscription_terms,
    trials,
)
from aa_stripe.testing.billing.periods import next_after
from aa_stripe.testing.cards.card import Decline
from aa_stripe.testing.payments import charges
from aa_stripe.testing.payments.authentication import requires_authentication


@dataclass(frozen=True)
class Order:
    """A checked request to subscribe. ``fields`` are copied to the subscription.

    ``trial_end`` is ``None`` without a trial, and ``method`` is ``None`` without a payment method.
    """

    customer: JSON
    items: list[JSON]
    discounts: list[JSON]
    fields: JSON
    trial_end: int | None
    cancellation: dict[str, Any]
    method: JSON | None
    behavior: str
    off_session: bool

    @property
    def currency(self) -> str:
        """Return the currency of all its prices."""
        return str(self.items[0]["price"]["currency"])


def read(account: Account, params: dict[str, Any]) -> Order:
    """Read and check a request to subscribe. The account does not change."""
    subscription_terms.check_supported(params)
    for name in ("customer", "items"):
        if not params.get(name):
            raise missing_parameter(name)
    behavior = params.get("payment_behavior", "allow_incomplete")
    if behavior == "pending_if_incomplete":
        raise bad_parameter(
            "pending_if_incomplete is only used with updates and cannot be passed when creating a "
            "Subscription.",
            param="payment_behavior",
        )
    # An unknown customer is a 404, as if it were in the path. Unverified, but an empty id is
    # reported as "id" too: https://github.com/stripe/stripe-go/issues/736
    customer = account.get("customer", params["customer"])
    items = subscription_items.read(account, params["items"])
    currency = items[0]["price"]["currency"]
    checked = discounts.check(account, params.get("discounts") or [], currency, held=[])
    fields = {
        "metadata": merge({}, params.get("metadata")),
        "default_payment_method": None,
        "default_source": None,
        **subscription_terms.read(account, customer["id"], params),
    }
    fields.setdefault("default_tax_rates", [])
    order = Order(
        customer=customer,
        items=items,
        discounts=checked,
        fields=fields,
        trial_end=trials.read_end(account, params, items),
        cancellation={name: params[name] for name in cancellation.NAMES if name in params},
        method=invoice_payments.paying_method(account, customer, fields),
        behavior=behavior,
        off_session=bool(params.get("off_session")),
    )
    _check_payment(account, order)
    return order


def create(account: Account, order: Order) -> JSON:
    """Create the subscription and its first invoice, and collect the invoice if an amount is due.

    The event ``customer.subscription.created`` is emitted after the attempt to collect it.
    """
    id, now = new_id("subscription"), account.now
    anchor = order.trial_end or now
    end = order.trial_end or next_after(now, anchor, order.items[0]["price"]["recurring"])
    items = subscription_items.place(account, order.items, id, now, end)
    draft = {
        **order.fields,
        "id": id,
        "currency": order.currency,
        "customer": order.customer["id"],
        "items": items,
        "discounts": discounts.redeem(account, order.discounts, order.customer["id"], id),
    }
    invoice = _bill(account, draft, order)
    status = "active" if invoice["status"] == "paid" else "incomplete"
    subscription = account.add(
        "subscription",
        **draft,
        billing_cycle_anchor=anchor,
        latest_invoice=invoice["id"],
        start_date=now,
        status="trialing" if order.trial_end else status,
        trial_end=order.trial_end,
        trial_start=now if order.trial_end else None,
    )
    subscription.update(cancellation.read(account, subscription, order.cancellation))
    account.emit("customer.subscription.created", subscription)
    if order.trial_end and order.trial_end - now <= renewal.WARNING:
        renewal.warn(account, subscription)
    return subscription


def _bill(account: Account, draft: JSON, order: Order) -> JSON:
    lines = invoice_lines.of(account, draft, free=order.trial_end is not None)
    invoice = invoices.draft(account, draft, lines, reason="subscription_create")
    invoices.finalize(account, invoice)
    if invoice["status"] == "paid" or order.method is None:
        return invoice
    if order.behavior == "default_incomplete":
        invoice_payments.prepare(account, invoice, order.method)
    else:
        invoice_payments.collect(account, invoice, order.method, off_session=order.off_session)
    return invoice


def _check_payment(account: Account, order: Order) -> None:
    """Raise an error if there is no payment method, or if a card that must succeed will fail."""
    if order.trial_end is not None or order.behavior == "default_incomplete":
        return
    if _due(order) == 0:
        return
    if order.method is None:
        raise invoice_payments.nothing_to_pay_with()
    if order.behavior == "error_if_incomplete":
        _check_card(account, order)


def _due(order: Order) -> int:
    subtotal = sum(invoice_lines.price_of(item) for item in order.items)
    coupons = [("", coupon) for coupon in order.discounts]
    rates = order.fields["default_tax_rates"]
    total = invoice_totals.compute(subtotal, order.currency, coupons, rates).total
    due, _ = invoice_totals.owed(order.customer, total, order.currency)
    return due


def _check_card(account: Account, order: Order) -> None:
    """Raise an error if the card fails; a declined payment has a charge, as at Stripe."""
    method = order.method
    if method is None:
        return
    card = account.cards[method["id"]]
    if requires_authentication(account, card, method, off_session=order.off_session):
        raise card_error(
            "Payment for this subscription requires additional user action before it can be "
            "completed successfully. Payment can be completed using the PaymentIntent associated "
            "with `subscription.latest_invoice`.",
            code="subscription_payment_intent_requires_action",
        )
    if card.decline is not None:
        charge = _declined(account, order, method, card.decline)
        raise card.decline.refusal(charge=charge["id"])


def _declined(account: Account, order: Order, method: JSON, decline: Decline) -> JSON:
    """Record the declined payment of a subscription that is not created.

    Unverified: that its charge is left without a PaymentIntent.
    """
    payment = {
        "id": None,
        "amount": _due(order),
        "currency": order.currency,
        "customer": order.customer["id"],
        "description": "Subscription creation",
        "metadata": {},
    }
    return charges.record(account, payment, method, decline=decline)
