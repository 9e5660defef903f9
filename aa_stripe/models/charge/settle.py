"""Taking over what became of a charge's payment, without asking for one.

For webhooks: the payment was finished in a browser or by a bank, or its answer was lost.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aa_stripe import gateway
from aa_stripe.exceptions import StripeWebhookParseError
from aa_stripe.models.charge.collect import is_news, is_replaced, write_failure, write_success
from aa_stripe.models.rows import locked

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

logger = logging.getLogger("aa-stripe")


def settle(charge: StripeCharge, intent_id: str) -> gateway.StripeError | None:
    """See ``StripeCharge.settle``."""
    with locked(charge):
        intent = gateway.retrieve_payment_intent(intent_id)
        if intent.status == "succeeded":
            _take_over_success(charge, intent)
            return None
        if charge.is_charged or charge.stripe_payment_intent_id not in ("", intent.id):
            return None  # an intent that another one has replaced
        if intent.status != "canceled":
            _keep_id(charge, intent)
        refused = _refusal(charge, intent)
        is_written = refused is not None and write_failure(charge, refused)
    return refused if is_written else None


def _take_over_success(charge: StripeCharge, intent: gateway.PaymentIntent) -> None:
    if not charge.is_charged:
        write_success(charge, intent)
    elif charge.stripe_payment_intent_id not in ("", intent.id):
        said = (
            f"{charge} is paid by {charge.stripe_payment_intent_id}, and was paid by {intent.id} "
            "as well."
        )
        logger.error(said)  # somebody has to give the money back
        raise StripeWebhookParseError(said)


def _keep_id(charge: StripeCharge, intent: gateway.PaymentIntent) -> None:
    """Give the row the id that a transaction took with it when it rolled back."""
    if not charge.stripe_payment_intent_id:
        charge.stripe_payment_intent_id = intent.id
        charge.save()


def _refusal(charge: StripeCharge, intent: gateway.PaymentIntent) -> gateway.StripeError | None:
    """Why the payment failed, unless the row says so already, or it may still succeed."""
    if intent.status == "canceled":
        is_told = is_replaced(intent) or charge.failure_code == "canceled"
        return None if is_told else gateway.canceled_at_stripe(intent)
    if intent.status == "requires_action":
        return None if charge.charge_attempt_failed else gateway.needs_authentication(intent)
    failure = intent.last_payment_error
    if intent.status != "requires_payment_method" or failure is None:
        return None
    return gateway.declined_as(failure) if is_news(charge, failure) else None
