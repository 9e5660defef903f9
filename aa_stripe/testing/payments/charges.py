"""Charges: what an attempt to pay leaves behind."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.samples import sample
from aa_stripe.testing.cards.card import Decline
from aa_stripe.testing.payments import balance

TAKEN_OVER = (
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
"""What a charge has from its PaymentIntent."""


def record(
    account: Account,
    intent: JSON,
    method: JSON,
    *,
    decline: Decline | None = None,
    status: str = "succeeded",
    captured: bool = True,
) -> JSON:
    """Record what came of an attempt to pay, and return the charge."""
    charge = account.add(
        "charge",
        **{name: intent.get(name) for name in TAKEN_OVER},
        metadata=dict(intent["metadata"]),
        payment_intent=intent["id"],
        payment_method=method["id"],
        billing_details=method["billing_details"],
        payment_method_details={"type": "card", "card": _card_used(method)},
        status=status,
        paid=False,
    )
    if decline is not None:
        return refuse(account, charge, decline)
    if status == "pending":
        account.emit("charge.pending", charge)
        return charge
    return succeed(account, charge, captured=captured)


def succeed(account: Account, charge: JSON, *, captured: bool = True) -> JSON:
    """The money has come, or is reserved if it is not ``captured``."""
    charge.update(status="succeeded", paid=True)
    if captured:
        _take(account, charge, charge["amount"])
    account.emit("charge.succeeded", charge)
    return charge


def refuse(account: Account, charge: JSON, decline: Decline) -> JSON:
    """The money will not come."""
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
    """Take ``amount`` (smallest unit) of what was reserved; the rest is let go."""
    # Unverified: whether a partial capture shows in amount_refunded. Here it does not.
    _take(account, charge, amount)
    account.emit("charge.captured", charge)


def release(account: Account, charge: JSON) -> None:
    """Let go all that was reserved."""
    charge.update(refunded=True, amount_refunded=charge["amount"])
    account.emit("charge.refunded", charge)


def _take(account: Account, charge: JSON, amount: int) -> None:
    booked = balance.book(account, charge, amount)
    charge.update(captured=True, amount_captured=amount, balance_transaction=booked)


def _card_used(method: JSON) -> JSON:
    used: JSON = sample("charge")["payment_method_details"]["card"]
    return {name: method["card"].get(name, value) for name, value in used.items()}
