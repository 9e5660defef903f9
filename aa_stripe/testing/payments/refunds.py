"""Refunds, including those that fail later."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.payments import balance

OPEN = ("pending", "requires_action", "succeeded")
"""The statuses from which a refund can be settled; a succeeded refund may fail later."""


def make(account: Account, charge: JSON, amount: int, **fields: Any) -> JSON:
    """Create a refund, and add its amount to ``amount_refunded`` of the charge."""
    card, before = account.cards[charge["payment_method"]], dict(charge)
    refund = account.add(
        "refund",
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        payment_intent=charge["payment_intent"],
        status=card.refund.value,
        **fields,
    )
    refund["balance_transaction"] = balance.book(account, refund, -amount)
    _count(charge, amount)
    account.emit("refund.created", refund)
    account.emit("charge.refunded", charge, before=before)
    return refund


def of(account: Account, charge: str) -> list[JSON]:
    """Return the refunds of a charge, oldest first."""
    return [refund for refund in account.all("refund") if refund["charge"] == charge]


def settle(account: Account, refund: JSON, status: str) -> JSON:
    """Set a refund's status; a failed or canceled amount is returned to the charge."""
    before = dict(refund)
    refund["status"] = status
    if status in ("failed", "canceled"):
        _revert(account, refund, status)
    account.emit("refund.failed" if status == "failed" else "refund.updated", refund, before=before)
    account.emit("charge.refund.updated", refund, before=before)
    return refund


def _revert(account: Account, refund: JSON, status: str) -> None:
    if status == "failed":
        refund["failure_reason"] = "expired_or_canceled_card"
    booked = balance.book(account, refund, refund["amount"])
    refund["failure_balance_transaction"] = booked
    _count(account.get("charge", refund["charge"]), -refund["amount"])


def _count(charge: JSON, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
