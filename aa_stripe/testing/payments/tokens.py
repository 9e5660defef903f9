"""Card tokens, which can be used once."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.ids import new_id
from aa_stripe.testing.base.refusals import invalid, no_such
from aa_stripe.testing.base.samples import sample
from aa_stripe.testing.cards.catalog import TOKENS
from aa_stripe.testing.cards.details import CardDetails


def make(account: Account, details: CardDetails) -> JSON:
    """Create a token."""
    card = {**sample("card"), "id": new_id("card"), **details.as_fields()}
    token = account.add("token", card=card)
    account.cards[token["id"]] = details.card
    return token


def spend(account: Account, id: str, *, param: str) -> CardDetails:
    """Return the card of a token, and mark the token as used."""
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
