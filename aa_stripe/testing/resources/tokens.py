"""``/v1/tokens``: card tokens, which can be used once."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import bad_parameter, missing_parameter
from aa_stripe.testing.cards.details import CardDetails
from aa_stripe.testing.payments import tokens


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Create a token from ``card[number]``."""
    card = params.get("card")
    if card is None:
        raise missing_parameter("card")
    if not isinstance(card, dict):
        raise bad_parameter("FakeStripe creates tokens only from card[number].", param="card")
    return tokens.make(account, CardDetails.from_params(card))


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one token."""
    return account.get("token", id)
