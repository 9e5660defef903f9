"""What PaymentIntents and SetupIntents are alike in."""

from __future__ import annotations

import copy
from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.ids import noise
from aa_stripe.testing.base.refusals import Refusal

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(account: Account, kind: str, fields: JSON) -> JSON:
    """Return a new intent of that ``kind``, which waits to be confirmed."""
    intent = account.add(kind, **fields)
    intent["client_secret"] = _client_secret(intent["id"])
    intent["status"] = status_before_confirmation(intent)
    account.emit(f"{kind}.created", intent)
    return intent


def status_before_confirmation(intent: JSON) -> str:
    """Return what an intent waits for: a payment method, or with one to be confirmed."""
    return "requires_confirmation" if intent["payment_method"] else "requires_payment_method"


def unexpected_state(intent: JSON, message: str) -> Refusal:
    """The intent is not in a state that allows this; the error holds it."""
    kind = intent["object"]
    holding: dict[str, Any] = {kind: copy.deepcopy(intent)}
    return Refusal(
        400,
        "invalid_request_error",
        message,
        code=f"{kind}_unexpected_state",
        **holding,
    )


def _client_secret(id: str) -> str:
    return f"{id}_secret_{noise(25)}"
