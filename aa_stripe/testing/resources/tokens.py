"""``/v1/tokens``: a card, to be used once."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.ids import new_id
from aa_stripe.testing.base.refusals import bad_parameter, invalid, missing_parameter, no_such
from aa_stripe.testing.base.samples import sample
from aa_stripe.testing.cards.catalog import TOKENS
from aa_stripe.testing.cards.details import CardDetails


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Make a token from ``card[number]``."""
    card = params.get("card")
    if card is None:
        raise missing_parameter("card")
    if not isinstance(card, dict):
        raise bad_parameter("FakeStripe makes tokens only of card[number].", param="card")
    return make(account, CardDetails.from_params(card))


def make(account: Account, details: CardDetails) -> JSON:
    """Return a new token."""
    card = {**sample("card"), "id": new_id("card"), **details.as_fields()}
    token = account.add("token", card=card)
    account.cards[token["id"]] = details.card
    return token


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one token."""
    return account.get("token", id)


def spend(account: Account, id: str, *, param: str) -> CardDetails:
    """Return the card behind a token, which cannot be used again after this."""
    if id in TOKENS:
        return CardDetails(TOKENS[id])
    token = account.find("token", id)
    if token is None:
        raise no_such("token", id, param=param)
    if token["used"]:
        raise invalid(
            f"You cannot use a Stripe token more than once: {id}.", code="token_already_used"
        )
    token["used"] = True
    card = token["card"]
    return CardDetails(account.cards[id], card["exp_month"], card["exp_year"])
