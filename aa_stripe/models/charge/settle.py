"""Updating a charge from its payment intent, without requesting a payment.

For webhooks: after 3-D Secure in a browser, a decision of a bank, or a lost response.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aa_stripe import gateway
from aa_stripe.exceptions import StripeWebhookParseError
from aa_stripe.models.charge.collect import write_failure, write_success
from aa_stripe.models.charge.intent import is_new_failure, is_replaced
from aa_stripe.models.rows import locked

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

logger = logging.getLogger("aa-stripe")


def settle(charge: StripeCharge, intent_id: str) -> gateway.StripeError | None:
    """See ``StripeCharge.settle``."""
    with locked(charge):
        intent = gateway.retrieve_payment_intent(intent_id)
        if intent.status == "succeeded":
            _settle_success(charge, intent)
            return None
        if charge.is_charged or charge.stripe_payment_intent_id not in ("", intent.id):
            return None  # the intent was replaced by another one
        if intent.status != "canceled":
            _restore_id(charge, intent)
        failure = _new_failure(charge, intent)
        is_written = failure is not None and write_failure(charge, failure)
    return failure if is_written else None


def _settle_success(charge: StripeCharge, intent: gateway.PaymentIntent) -> None:
    if not charge.is_charged:
        write_success(charge, intent)
    elif charge.stripe_payment_intent_id not in ("", intent.id):
        message = (
            f"{charge} was paid twice: by {charge.stripe_payment_intent_id} and by {intent.id}."
        )
        logger.error(message)  # one of the two has to be refunded by hand
        raise StripeWebhookParseError(message)


def _restore_id(charge: StripeCharge, intent: gateway.PaymentIntent) -> None:
    """Save the intent's id if the row has lost it in a rollback."""
    if not charge.stripe_payment_intent_id:
        charge.stripe_payment_intent_id = intent.id
        charge.save()


def _new_failure(charge: StripeCharge, intent: gateway.PaymentIntent) -> gateway.StripeError | None:
    """Return the payment's error; ``None`` if it is recorded or the payment may still succeed."""
    if intent.status == "canceled":
        is_recorded = is_replaced(intent) or charge.failure_code == "canceled"
        return None if is_recorded else gateway.canceled_at_stripe(intent)
    if intent.status == "requires_action":
        return None if charge.charge_attempt_failed else gateway.needs_authentication(intent)
    failure = intent.last_payment_error
    if intent.status != "requires_payment_method" or failure is None:
        return None
    return gateway.declined_as(failure) if is_new_failure(charge, failure) else None
