"""Functions that PaymentIntents and SetupIntents share."""

from __future__ import annotations

import copy
from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.ids import random_text
from aa_stripe.testing.base.refusals import Refusal

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(account: Account, kind: str, fields: JSON) -> JSON:
    """Create an unconfirmed intent of the given ``kind``."""
    intent = account.add(kind, **fields)
    intent["client_secret"] = _client_secret(intent["id"])
    intent["status"] = status_before_confirmation(intent)
    account.emit(f"{kind}.created", intent)
    return intent


def status_before_confirmation(intent: JSON) -> str:
    """Return the status of an unconfirmed intent, which depends on its payment method."""
    return "requires_confirmation" if intent["payment_method"] else "requires_payment_method"


def check_listed_customer(account: Account, params: dict[str, Any]) -> None:
    """Raise a refusal if ``params`` filter by a customer that is unknown or deleted.

    Unverified: that SetupIntents are like PaymentIntents in this.
    """
    if "customer" in params:
        account.get("customer", params["customer"], param="customer")


def unexpected_state(intent: JSON, message: str) -> Refusal:
    """Return the refusal for an intent whose status does not allow the request."""
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
    return f"{id}_secret_{random_text(25)}"
