"""The payment of an invoice: its PaymentIntent and payment method."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import Refusal, invalid
from aa_stripe.testing.payments import intents, payment_methods
from aa_stripe.testing.payments.payment_attempt import attempt


def collect(account: Account, invoice: JSON, method: JSON, *, off_session: bool) -> Refusal | None:
    """Try to collect an open invoice, which also updates the invoice.

    Return the error of a failed attempt, or ``None`` if the attempt did not fail.
    """
    _, intent = planned(account, invoice)
    return attempt(
        account, intent, method, off_session=off_session, may_authenticate=not off_session
    )


def prepare(account: Account, invoice: JSON, method: JSON) -> None:
    """Prepare the PaymentIntent of an invoice for confirmation, with ``method`` as its default."""
    _, intent = planned(account, invoice)
    intent.update(payment_method=method["id"], status="requires_confirmation")


def paying_method(account: Account, customer: JSON, chosen: JSON) -> JSON | None:
    """Return the default payment method of ``chosen``, or else of the customer.

    ``chosen`` is a subscription or an invoice. ``None`` means that there is no default.
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


def nothing_to_pay_with() -> Refusal:
    """Return the error for a customer without a default payment method or source."""
    return invalid(
        "This customer has no attached payment source or default payment method. Please consider "
        "adding a default payment method. For more information, visit "
        "https://stripe.com/docs/billing/subscriptions/payment-methods-setting"
        "#payment-method-priority.",
        code="resource_missing",
    )


def of(account: Account, invoice: str) -> list[JSON]:
    """Return the payments of an invoice: one, or none if no amount is due."""
    return [item for item in account.all("invoice_payment") if item["invoice"] == invoice]


def paid_by(account: Account, intent: JSON) -> JSON | None:
    """Return the invoice of a PaymentIntent, or ``None`` if it does not pay an invoice."""
    for payment in account.all("invoice_payment"):
        if payment["payment"]["payment_intent"] == intent["id"]:
            return account.get("invoice", payment["invoice"])
    return None


def confirmation_secret(account: Account, id: str) -> JSON | None:
    """Return the secret for paying an invoice in the browser, or ``None`` without a payment."""
    if not of(account, id):
        return None
    _, intent = planned(account, account.get("invoice", id))
    return {"client_secret": intent["client_secret"], "type": "payment_intent"}


def planned(account: Account, invoice: JSON) -> tuple[JSON, JSON]:
    """Return the payment of an invoice with an amount due, and its PaymentIntent."""
    (payment,) = of(account, invoice["id"])
    return payment, account.get("payment_intent", payment["payment"]["payment_intent"])


def plan(account: Account, invoice: JSON) -> None:
    """Create the PaymentIntent of an invoice."""
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
