"""Failures that a payment intent shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aa_stripe import gateway
from aa_stripe.models.charge.attempt import NEEDS_AUTHENTICATION
from aa_stripe.models.charge.intent import is_replaced

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge


def failure_of(charge: StripeCharge, intent: gateway.PaymentIntent) -> gateway.StripeError | None:
    """Return the intent's failure; ``None`` if it is recorded or the payment may still succeed."""
    if intent.status == "canceled":
        is_recorded = is_replaced(intent) or charge.failure_code == "canceled"
        return None if is_recorded else gateway.canceled_at_stripe(intent)
    if intent.status == "requires_action":
        is_recorded = charge.charge_attempt_failed or charge.failure_code == NEEDS_AUTHENTICATION
        return None if is_recorded else gateway.needs_authentication(intent)
    failure = intent.last_payment_error
    if intent.status != "requires_payment_method" or failure is None:
        return None
    return gateway.declined_as(failure) if _is_new_failure(charge, failure) else None


def _is_new_failure(charge: StripeCharge, failure: gateway.StripeObject) -> bool:
    """Return whether ``failure``, the last of an intent, is not yet recorded on the row.

    A declined payment is identified by its failed charge. A payment that lacks authentication
    has no charge, so it is identified by its error code and payment method.
    """
    reported = gateway.to_json(failure)
    if reported.get("charge"):
        return bool(reported["charge"] != charge.stripe_charge_id)
    recorded = charge.stripe_response.get("error", {}) if charge.failure_code else {}
    return _cause(reported) != _cause(recorded)


def _cause(failure: dict[str, Any]) -> tuple[str | None, str | None]:
    return failure.get("code"), card_of(failure)


def card_of(failure: dict[str, Any]) -> str | None:
    """Return the id of the payment method that failed, ``None`` if it is not known."""
    card: str | None = (failure.get("payment_method") or {}).get("id")
    return card
