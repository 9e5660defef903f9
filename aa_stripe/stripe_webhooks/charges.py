"""Handlers of events about payments.

https://docs.stripe.com/payments/payment-intents/verifying-status
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from aa_stripe import gateway
from aa_stripe.events import object_of
from aa_stripe.models import StripeCharge, StripeWebhook
from aa_stripe.stripe_webhooks.errors import errors_translated, reject_without_row
from aa_stripe.webhooks import on


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
        uuid = StripeCharge.uuid_of_intent({"metadata": metadata})
        if uuid is not None:  # the money has to be refunded, or the charge created again
            made = f"{intent.id} was paid for the charge {uuid}"
            reject_without_row(made, metadata, webhook)


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
