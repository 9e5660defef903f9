"""Cancellation of a PaymentIntent."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.payments import charges
from aa_stripe.testing.payments.intents import OPEN, unexpected_state

CANCELABLE = (*OPEN, "requires_capture")


def cancel(account: Account, intent: JSON, *, reason: str | None) -> JSON:
    """Cancel a PaymentIntent and release the reserved amount, if any."""
    if intent["status"] not in CANCELABLE:
        raise unexpected_state(
            intent,
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. "
            "Only a PaymentIntent with one of the following statuses may be canceled: "
            f"{', '.join(CANCELABLE)}.",
        )
    if intent["status"] == "requires_capture":
        charges.release(account, account.get("charge", intent["latest_charge"]))
    intent.update(
        status="canceled",
        canceled_at=account.now,
        cancellation_reason=reason,
        amount_capturable=0,
        next_action=None,
    )
    account.emit("payment_intent.canceled", intent)
    return intent
