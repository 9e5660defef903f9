"""One attempt to collect a PaymentIntent with a card."""

from __future__ import annotations

import copy

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import Refusal, card_error
from aa_stripe.testing.cards.card import Decline
from aa_stripe.testing.payments import charges, payment_methods
from aa_stripe.testing.payments.authentication import (
    request_authentication,
    requires_authentication,
)


def attempt(
    account: Account, intent: JSON, method: JSON, *, off_session: bool, may_authenticate: bool
) -> Refusal | None:
    """Try to collect the payment, and update the intent with the result.

    If the card requires 3-D Secure, ``may_authenticate`` allows it; without it the attempt fails.
    Returns the refusal for the response, or ``None`` if there is none. ``None`` does not mean
    that the payment succeeded; see the intent's status.
    """
    card = account.cards[method["id"]]
    if not requires_authentication(account, card, method, off_session=off_session):
        return pay(account, intent, method)
    if not may_authenticate:
        return _fail_unauthenticated(account, intent, method)
    request_authentication(intent, method)
    account.emit("payment_intent.requires_action", intent)
    return None


def pay(account: Account, intent: JSON, method: JSON) -> Refusal | None:
    """Collect the payment after any 3-D Secure, and return the refusal, if any."""
    card = account.cards[method["id"]]
    intent.update(payment_method=method["id"], next_action=None, last_payment_error=None)
    if method["customer"] is None:
        account.spent.add(method["id"])
    if card.decline is not None:
        return _decline(account, intent, method, card.decline)
    _save_if_wanted(account, intent, method)
    if card.delayed:
        _begin(account, intent, method)
    else:
        _collect(account, intent, method)
    return None


def fail(account: Account, intent: JSON, method: JSON, refusal: Refusal) -> Refusal:
    """Mark the attempt as failed, and return the refusal with the intent added."""
    refusal.error["payment_method"] = copy.deepcopy(method)
    error = copy.deepcopy(refusal.error)
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        processing=None,
        last_payment_error=error,
    )
    account.emit("payment_intent.payment_failed", intent)
    refusal.error["payment_intent"] = copy.deepcopy(intent)
    return refusal


def finish(account: Account, intent: JSON, charge: JSON) -> None:
    """Mark the intent as paid by the charge."""
    intent.update(
        status="succeeded",
        amount_received=charge["amount_captured"],
        amount_capturable=0,
        processing=None,
    )
    account.emit("payment_intent.succeeded", intent)


def _fail_unauthenticated(account: Account, intent: JSON, method: JSON) -> Refusal:
    refusal = card_error(
        "Your card was declined. This transaction requires authentication.",
        code="authentication_required",
        decline_code="authentication_required",
    )
    return fail(account, intent, method, refusal)


def _decline(account: Account, intent: JSON, method: JSON, decline: Decline) -> Refusal:
    charge = charges.record(account, intent, method, decline=decline)
    intent["latest_charge"] = charge["id"]
    return fail(account, intent, method, decline.refusal(charge=charge["id"]))


def _begin(account: Account, intent: JSON, method: JSON) -> None:
    charge = charges.record(account, intent, method, status="pending")
    intent.update(status="processing", latest_charge=charge["id"])
    account.emit("payment_intent.processing", intent)


def _collect(account: Account, intent: JSON, method: JSON) -> None:
    held = intent["capture_method"] == "manual"
    charge = charges.record(account, intent, method, captured=not held)
    intent["latest_charge"] = charge["id"]
    if not held:
        finish(account, intent, charge)
        return
    intent.update(status="requires_capture", amount_capturable=intent["amount"])
    account.emit("payment_intent.amount_capturable_updated", intent)


def _save_if_wanted(account: Account, intent: JSON, method: JSON) -> None:
    if method["customer"] is None and intent["customer"] and intent["setup_future_usage"]:
        payment_methods.attach(account, method, intent["customer"])
