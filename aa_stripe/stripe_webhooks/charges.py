"""Handlers of events about payments.

https://docs.stripe.com/payments/payment-intents/verifying-status
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.events import object_of
from aa_stripe.exceptions import StripeWebhookParseError, StripeWebhookRowMissing
from aa_stripe.models import StripeCharge, StripeWebhook
from aa_stripe.settings import ALLOW, stripe_settings
from aa_stripe.stripe_webhooks.errors import errors_translated
from aa_stripe.webhooks import on

logger = logging.getLogger("aa-stripe")

#: How long after the arrival of an event the transaction that creates its row may still be open.
TIME_TO_COMMIT = timedelta(hours=1)


@on(
    "payment_intent.succeeded",
    "payment_intent.processing",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.requires_action",
)
def settle_charge(webhook: StripeWebhook) -> None:
    """Update the charge from its payment intent, e.g. after 3-D Secure or a lost response."""
    intent = object_of(webhook.raw_data)
    metadata = intent.metadata
    charges = StripeCharge.of_intent({"id": intent.id, "metadata": metadata})
    settle(charges, intent.id, webhook)
    if not charges and webhook.event_type == "payment_intent.succeeded":
        _reject_payment_without_row(intent.id, metadata, webhook)


def settle(charges: Sequence[StripeCharge], intent_id: str, webhook: StripeWebhook) -> None:
    """Update the charges from the payment intent; send their signals after the commit.

    The intent is read once, and not at all if the rows say that it was paid.
    """
    for charge in charges:
        webhook.after_commit(charge.send_due_signals)
    unsettled = [it for it in charges if not it.is_paid_by(intent_id)]
    if not unsettled:
        return
    with errors_translated():
        intent = gateway.retrieve_payment_intent(intent_id)
    for charge in unsettled:
        failure = charge.settle(intent)
        if failure is not None:
            webhook.after_commit(partial(charge.announce_failure, failure))


def _reject_payment_without_row(
    intent_id: str, metadata: dict[str, str], webhook: StripeWebhook
) -> None:
    """Raise an error if the payment was made for a row that does not exist.

    ``StripeWebhookRowMissing`` while the transaction that creates the row may still be open, which
    takes ``STRIPE_TRANSACTIONS = "allow"``; else ``StripeWebhookParseError``.
    """
    uuid = StripeCharge.uuid_of_intent({"metadata": metadata})
    if uuid is None or _is_of_another_site(metadata):
        return
    is_young = timezone.now() - webhook.created < TIME_TO_COMMIT
    if is_young and stripe_settings.TRANSACTIONS == ALLOW:
        raise StripeWebhookRowMissing(
            f"{intent_id} was paid for the charge {uuid}, which is not committed yet."
        )
    message = (
        f"{intent_id} was paid for the charge {uuid}, which does not exist: the transaction "
        "that created it was rolled back, or it was deleted."
    )
    logger.error(message)  # the money has to be refunded, or the charge created again
    raise StripeWebhookParseError(message)


def _is_of_another_site(metadata: dict[str, str]) -> bool:
    # Stripe's metadata has no empty values: without an origin the key is missing.
    return metadata.get("origin", "") != str(stripe_settings.PAYMENT_ORIGIN or "")
