"""``/v1/balance_transactions``: the balance changes of charges and refunds."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one balance transaction."""
    return account.get("balance_transaction", id)
