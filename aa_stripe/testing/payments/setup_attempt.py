"""One attempt to save a card with a SetupIntent."""

from __future__ import annotations

import copy

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import Refusal
from aa_stripe.testing.cards.card import Authentication
from aa_stripe.testing.payments import payment_methods
from aa_stripe.testing.payments.authentication import (
    request_authentication,
    requires_authentication,
)


def attempt(account: Account, intent: JSON, method: JSON) -> Refusal | None:
    """Try to save the card, and update the intent with the result.

    Returns the refusal for the response, or ``None`` if there is none.
    """
    card = account.cards[method["id"]]
    if card.decline is not None and not card.attaches:
        return fail(account, intent, method, card.decline.refusal())
    if requires_authentication(account, card, method, off_session=True):
        request_authentication(intent, method)
        account.emit("setup_intent.requires_action", intent)
        return None
    save(account, intent, method)
    return None


def save(account: Account, intent: JSON, method: JSON) -> JSON:
    """Save the card for the intent's customer, after 3-D Secure if it was required."""
    if intent["customer"] is not None and method["customer"] is None:
        payment_methods.attach(account, method, intent["customer"])
    if account.cards[method["id"]].authentication is Authentication.UNLESS_SET_UP:
        account.authenticated.add(method["id"])
    intent.update(
        status="succeeded", payment_method=method["id"], next_action=None, last_setup_error=None
    )
    account.emit("setup_intent.succeeded", intent)
    return intent


def fail(account: Account, intent: JSON, method: JSON, refusal: Refusal) -> Refusal:
    """Mark the attempt as failed, and return the refusal with the intent added."""
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
