"""Legacy cards, for accounts that are still allowed to use them."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import Refusal, no_such
from aa_stripe.testing.payments import tokens


def get(account: Account, customer: str, id: str) -> JSON:
    """Return one legacy card of a customer."""
    card = account.find("card", id)
    if card is None or card["customer"] != customer:
        raise no_such("source", id)
    return card


def of(account: Account, customer: str) -> list[JSON]:
    """Return the legacy cards of a customer, oldest first."""
    return [card for card in account.all("card") if card["customer"] == customer]


def create(account: Account, token: str) -> JSON:
    """Create a legacy card without a customer.

    Raises a refusal if the account may not use card tokens, or if the card cannot be saved.
    """
    if not token.startswith("tok_"):
        raise no_such("source", token, param="source")
    if not account.allow_card_tokens:
        raise end_of_life()
    details = tokens.spend(account, token, param="source")
    decline = details.card.decline
    if decline is not None and not details.card.attaches:
        raise decline.refusal()
    card = account.add_card(brand=_brand(details.card.brand), **details.as_fields())
    account.cards[card["id"]] = details.card
    return card


def attach(account: Account, card: JSON, owner: JSON) -> JSON:
    """Attach a legacy card to a customer, as the default if there is none."""
    card["customer"] = owner["id"]
    account.emit("customer.source.created", card)
    if owner["default_source"] is None:
        owner["default_source"] = card["id"]
    return card


def remove(account: Account, card: JSON, owner: JSON) -> None:
    """Delete a legacy card of a customer."""
    account.remove("card", card["id"])
    account.emit("customer.source.deleted", card)
    if owner["default_source"] == card["id"]:
        left = of(account, owner["id"])
        owner["default_source"] = left[-1]["id"] if left else None


def end_of_life() -> Refusal:
    """Return the refusal for an account that may not use card tokens."""
    return Refusal(
        400,
        "invalid_request_error",
        "Card Token usage on the Customers API and Charges API has reached end of life. In order "
        "to continue processing your payments, you will need to use the Payment Intents and "
        "Payment Methods API. Read more about what you should do here: "
        "https://docs.stripe.com/payments/payment-methods/integration-options. If you need to "
        "continue to use Card Tokens on the Customers and Charges API, enable this functionality "
        "in your API policies settings: "
        "https://dashboard.stripe.com/settings/developers/api-policies",
        kept=False,
    )


def _brand(brand: str) -> str:
    """Return the brand in the spelling of legacy cards."""
    return {"amex": "American Express", "mastercard": "MasterCard"}.get(brand, brand.title())
