"""``/v1/setup_intents``: a card to be saved for later."""

from __future__ import annotations

import copy
from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import Refusal
from aa_stripe.testing.cards.card import Authentication
from aa_stripe.testing.payments import confirmation
from aa_stripe.testing.payments.payment_attempt import (
    ask_for_authentication,
    asks_for_authentication,
    unexpected_state,
)
from aa_stripe.testing.resources import payment_methods

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Plan to save a card; with ``confirm`` try at once."""
    confirmation.refuse_unsupported(params)
    confirmation.refuse_without_confirm(params)
    fields = {
        "metadata": merge({}, params.get("metadata")),
        "description": params.get("description"),
        "usage": params.get("usage", "off_session"),
        **confirmation.ways_to_pay(params),
        **_chosen(account, None, params),
    }

    intent = account.add("setup_intent", **fields)
    intent["client_secret"] = confirmation.client_secret(intent["id"])
    intent["status"] = _status_before_confirmation(intent)
    account.emit("setup_intent.created", intent)
    if not params.get("confirm"):
        return intent
    # The payment method is the intent's by now; pm_card_visa would make another one.
    return _confirm(account, intent, {**params, "payment_method": intent["payment_method"]})


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one SetupIntent."""
    return account.get("setup_intent", id)


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List SetupIntents, of a customer or with a payment method if one is named."""
    found = account.matching("setup_intent", params, by=("customer", "payment_method"))
    return page("/v1/setup_intents", found, params)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change the plan."""
    intent = account.get("setup_intent", id)
    confirmation.refuse_unsupported(params)
    metadata = merge(intent["metadata"], params.get("metadata"))
    chosen = _chosen(account, intent, params)
    intent.update(chosen, metadata=metadata)
    intent["description"] = params.get("description", intent["description"])
    if "payment_method" in params:
        intent["status"] = _status_before_confirmation(intent)
    return intent


def confirm(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Try to save the card."""
    intent = account.get("setup_intent", id)
    confirmation.refuse_unsupported(params)
    return _confirm(account, intent, params)


def cancel(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Give up."""
    intent = account.get("setup_intent", id)
    if intent["status"] not in OPEN:
        raise unexpected_state(
            intent,
            "You cannot cancel this SetupIntent because it has a status of "
            f"{intent['status']}. Only a SetupIntent with one of the following statuses may be "
            f"canceled: {', '.join(OPEN)}.",
        )
    intent.update(
        status="canceled", cancellation_reason=params.get("cancellation_reason"), next_action=None
    )
    account.emit("setup_intent.canceled", intent)
    return intent


def _confirm(account: Account, intent: JSON, params: dict[str, Any]) -> JSON:
    chosen = params.get("payment_method") or intent["payment_method"]
    if chosen is None:
        raise unexpected_state(
            intent,
            "You cannot confirm this SetupIntent because it's missing a payment method. You can "
            "either update the SetupIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method or ConfirmationToken.",
        )
    if intent["status"] not in OPEN:
        raise unexpected_state(
            intent,
            f"You cannot confirm this SetupIntent because it has a status of {intent['status']}.",
        )
    method = confirmation.usable(account, intent, chosen)
    confirmation.refuse_without_return_url(intent, params)

    card = account.cards[method["id"]]
    if card.decline is not None and not card.attaches:
        raise fail(account, intent, method, card.decline.refusal())
    if asks_for_authentication(account, card, method, off_session=True):
        ask_for_authentication(intent, method)
        account.emit("setup_intent.requires_action", intent)
        return intent
    return save(account, intent, method)


def save(account: Account, intent: JSON, method: JSON) -> JSON:
    """Save the card for the intent's customer; 3-D Secure, if any, is behind us."""
    if intent["customer"] is not None and method["customer"] is None:
        payment_methods.give(account, method, intent["customer"])
    if account.cards[method["id"]].authentication is Authentication.UNLESS_SET_UP:
        account.authenticated.add(method["id"])
    intent.update(
        status="succeeded", payment_method=method["id"], next_action=None, last_setup_error=None
    )
    account.emit("setup_intent.succeeded", intent)
    return intent


def fail(account: Account, intent: JSON, method: JSON, refusal: Refusal) -> Refusal:
    """Leave the intent as a refused attempt leaves it; return the refusal that says so."""
    refusal.error["payment_method"] = copy.deepcopy(method)
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_setup_error=copy.deepcopy(refusal.error),
    )
    account.emit("setup_intent.setup_failed", intent)
    refusal.error["setup_intent"] = copy.deepcopy(intent)
    return refusal


def _chosen(account: Account, intent: JSON | None, params: dict[str, Any]) -> JSON:
    """Return the customer and the payment method after ``params``; refuse a misfit."""
    customer = params.get("customer", intent and intent["customer"])
    method = params.get("payment_method", intent and intent["payment_method"])
    if customer is not None:
        account.get("customer", customer, param="customer")
    if method is None:
        return {"customer": customer, "payment_method": None}
    planned = {"object": "setup_intent", **(intent or {}), "customer": customer}
    found = confirmation.usable(account, planned, method)
    return {"customer": customer, "payment_method": found["id"]}


def _status_before_confirmation(intent: JSON) -> str:
    return "requires_confirmation" if intent["payment_method"] else "requires_payment_method"
