"""``/v1/customers/*/sources``: legacy cards, for accounts that are still allowed to use them."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.payments import legacy_cards


def create(account: Account, params: dict[str, Any], customer: str) -> JSON:
    """Save a card token as a legacy card."""
    owner = account.get("customer", customer)
    metadata = merge({}, params.get("metadata"))
    card = legacy_cards.create(account, params["source"])
    card["metadata"] = metadata
    return legacy_cards.attach(account, card, owner)


def retrieve(account: Account, params: dict[str, Any], customer: str, id: str) -> JSON:
    """Return one legacy card of a customer."""
    account.get("customer", customer)
    return legacy_cards.get(account, customer, id)


def update(account: Account, params: dict[str, Any], customer: str, id: str) -> JSON:
    """Change metadata, the name or the expiry date."""
    card = retrieve(account, {}, customer, id)
    before = dict(card)
    metadata = merge(card["metadata"], params.get("metadata"))
    changes = {name: value for name, value in params.items() if name in card}
    card.update(changes, metadata=metadata)
    card["exp_month"], card["exp_year"] = int(card["exp_month"]), int(card["exp_year"])
    account.emit("customer.source.updated", card, before=before)
    return card


def delete(account: Account, params: dict[str, Any], customer: str, id: str) -> JSON:
    """Delete a legacy card. If it was the default, the newest remaining card replaces it."""
    card = retrieve(account, {}, customer, id)
    owner = account.get("customer", customer)
    legacy_cards.remove(account, card, owner)
    return {"id": id, "object": "card", "deleted": True}


def list_all(account: Account, params: dict[str, Any], customer: str) -> JSON:
    """List the legacy cards of a customer, without payment methods."""
    account.get("customer", customer)
    cards = legacy_cards.of(account, customer) if params.get("object", "card") == "card" else []
    return page(f"/v1/customers/{customer}/sources", cards, params)
