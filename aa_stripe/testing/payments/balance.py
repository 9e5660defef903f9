"""Balance transactions of charges and refunds."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account


def book(account: Account, source: JSON, amount: int) -> str:
    """Book ``amount`` (smallest unit, negative for a refund); return the transaction's id."""
    fee = amount * 29 // 1000 + 30 if amount > 0 else 0
    booked = account.add(
        "balance_transaction",
        amount=amount,
        available_on=account.now,
        currency=source["currency"],
        fee=fee,
        net=amount - fee,
        reporting_category=source["object"],
        source=source["id"],
        type=source["object"],
    )
    return str(booked["id"])
