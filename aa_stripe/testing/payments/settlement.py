"""Payments and refunds that a bank settles later."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.cards.catalog import GENERIC
from aa_stripe.testing.payments import charges, payment_methods, refunds
from aa_stripe.testing.payments.payment_attempt import fail, finish

ENDINGS = ("succeeded", "failed", "canceled", "requires_action")


def settle_payment(account: Account, id: str, *, succeed: bool) -> JSON:
    """Settle a ``processing`` PaymentIntent as succeeded or failed."""
    intent = account.find("payment_intent", id)
    if intent is None:
        raise ValueError(f"There is no PaymentIntent {id!r}.")
    if intent["status"] != "processing":
        raise ValueError(f"{id} is not processing; its status is {intent['status']}.")
    charge = account.get("charge", intent["latest_charge"])
    if succeed:
        charges.succeed(account, charge)
        finish(account, intent, charge)
        return intent
    method = payment_methods.resolve(account, intent["payment_method"])
    charges.fail(account, charge, GENERIC)
    fail(account, intent, method, GENERIC.refusal(charge=charge["id"]))
    return intent


def settle_refund(account: Account, id: str, status: str) -> JSON:
    """Settle a refund; a succeeded refund may still fail, as at Stripe."""
    if status not in ENDINGS:
        raise ValueError(f"A refund cannot become {status!r}, only one of {', '.join(ENDINGS)}.")
    refund = account.find("refund", id)
    if refund is None:
        raise ValueError(f"There is no refund {id!r}.")
    if refund["status"] not in refunds.OPEN:
        raise ValueError(f"{id} cannot be settled; its status is {refund['status']}.")
    return refunds.settle(account, refund, status)
