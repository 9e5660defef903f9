"""Charges: the records of payment attempts."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.ids import random_text
from aa_stripe.testing.base.samples import sample
from aa_stripe.testing.cards.card import Decline
from aa_stripe.testing.payments import balance

COPIED = (
    "amount",
    "currency",
    "customer",
    "description",
    "receipt_email",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)
"""The fields that a charge copies from its PaymentIntent."""

RECEIPTS = "https://pay.stripe.com/receipts/payment"
RECEIPT_LENGTH = 24
"""Unverified: the length of the random text in the URL of a receipt."""


def record(
    account: Account,
    intent: JSON,
    method: JSON,
    *,
    decline: Decline | None = None,
    status: str = "succeeded",
    captured: bool = True,
) -> JSON:
    """Record a payment attempt, and return its charge."""
    charge = account.add(
        "charge",
        **{name: intent.get(name) for name in COPIED},
        metadata=dict(intent["metadata"]),
        payment_intent=intent["id"],
        payment_method=method["id"],
        billing_details=method["billing_details"],
        payment_method_details={"type": "card", "card": _card_used(method)},
        status=status,
        paid=False,
    )
    if decline is not None:
        return fail(account, charge, decline)
    if status == "pending":
        account.emit("charge.pending", charge)
        return charge
    return succeed(account, charge, captured=captured)


def succeed(account: Account, charge: JSON, *, captured: bool = True) -> JSON:
    """Mark a charge as succeeded; without ``captured`` the amount is only reserved."""
    charge.update(
        status="succeeded", paid=True, receipt_url=f"{RECEIPTS}/{random_text(RECEIPT_LENGTH)}"
    )
    if captured:
        _book(account, charge, charge["amount"])
    account.emit("charge.succeeded", charge)
    return charge


def fail(account: Account, charge: JSON, decline: Decline) -> JSON:
    """Mark a charge as failed."""
    charge.update(
        status="failed",
        failure_code=decline.code,
        failure_message=decline.message,
        outcome={
            **charge["outcome"],
            "network_status": "declined_by_network",
            "reason": decline.decline_code,
            "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        },
    )
    account.emit("charge.failed", charge)
    return charge


def capture(account: Account, charge: JSON, amount: int) -> None:
    """Capture ``amount`` (smallest unit) of the reserved amount, and release the rest."""
    # Unverified: a partial capture may count in amount_refunded at Stripe. Here it does not.
    _book(account, charge, amount)
    account.emit("charge.captured", charge)


def release(account: Account, charge: JSON) -> None:
    """Release the whole reserved amount."""
    charge.update(refunded=True, amount_refunded=charge["amount"])
    account.emit("charge.refunded", charge)


def _book(account: Account, charge: JSON, amount: int) -> None:
    booked = balance.book(account, charge, amount)
    charge.update(captured=True, amount_captured=amount, balance_transaction=booked)


def _card_used(method: JSON) -> JSON:
    used: JSON = sample("charge")["payment_method_details"]["card"]
    return {name: method["card"].get(name, value) for name, value in used.items()}
