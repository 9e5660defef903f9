"""Handlers of events about refunds.

https://docs.stripe.com/api/refunds
"""

from __future__ import annotations

from django.db.models import Q

from aa_stripe.events import object_of
from aa_stripe.models import StripeCharge, StripeWebhook
from aa_stripe.models.rows import stored
from aa_stripe.stripe_webhooks.charges import settle
from aa_stripe.stripe_webhooks.errors import errors_translated
from aa_stripe.webhooks import on


@on(
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
)
def count_refunds(webhook: StripeWebhook) -> None:
    """Update the charge's refunded amount, including refunds made in the Dashboard."""
    stripe_object = object_of(webhook.raw_data)
    is_charge = stripe_object.text("object") == "charge"
    charge_id = stripe_object.id if is_charge else stripe_object.id_of("charge")
    intent_id = stripe_object.id_of("payment_intent")
    charges = _charges_with(charge_id, intent_id)
    unpaid = [it for it in charges if not it.is_charged]
    if intent_id and unpaid:
        settle(unpaid, intent_id, webhook)
    for charge in charges:
        if charge.is_charged:
            with errors_translated():
                charge.take_over_refunds()
            webhook.after_commit(charge.send_due_signals)


def _charges_with(charge_id: str, intent_id: str) -> list[StripeCharge]:
    has_id = Q(stripe_charge_id=charge_id) if charge_id else Q()
    if intent_id:
        has_id |= Q(stripe_payment_intent_id=intent_id)
    return list(stored(StripeCharge).filter(has_id).order_by("pk")) if has_id else []
