"""Updating a charge from its payment intent, without requesting a payment.

For webhooks: after 3-D Secure in a browser, a decision of a bank, or a lost response.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aa_stripe import gateway
from aa_stripe.exceptions import StripeWebhookParseError
from aa_stripe.models.charge.failure import failure_of
from aa_stripe.models.charge.record import write_failure, write_success
from aa_stripe.models.claims import is_free
from aa_stripe.models.rows import reread, store_if

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

logger = logging.getLogger("aa-stripe")


def settle(charge: StripeCharge, intent: gateway.PaymentIntent) -> gateway.StripeError | None:
    """See ``StripeCharge.settle``."""
    if intent.status == "succeeded":
        _settle_success(charge, intent)
        return None
    reread(charge)
    if charge.is_charged or charge.stripe_payment_intent_id not in ("", intent.id):
        return None  # the intent was replaced by another one
    if intent.status != "canceled":
        _restore_id(charge, intent)
    failure = failure_of(charge, intent)
    is_written = failure is not None and write_failure(charge, failure)
    return failure if is_written else None


def _settle_success(charge: StripeCharge, intent: gateway.PaymentIntent) -> None:
    if not charge.is_charged:
        write_success(charge, intent)
    if charge.stripe_payment_intent_id not in ("", intent.id):
        message = (
            f"{charge} was paid twice: by {charge.stripe_payment_intent_id} and by {intent.id}."
        )
        logger.error(message)  # one of the two has to be refunded by hand
        raise StripeWebhookParseError(message)


def _restore_id(charge: StripeCharge, intent: gateway.PaymentIntent) -> None:
    """Save the intent's id if the row has lost it in a rollback, and no process works on it."""
    if not charge.stripe_payment_intent_id:
        known = {"stripe_payment_intent_id": intent.id}
        as_read = {"is_charged": False, "stripe_payment_intent_id": ""}
        store_if(charge, as_read, known, is_free())
