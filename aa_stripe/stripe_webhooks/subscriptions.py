"""Handlers of events about subscriptions and their invoices.

https://docs.stripe.com/billing/subscriptions/webhooks
"""

from __future__ import annotations

from aa_stripe.events import Part, object_of
from aa_stripe.models import StripeSubscription, StripeWebhook
from aa_stripe.stripe_webhooks.errors import errors_translated
from aa_stripe.webhooks import on


@on("customer.subscription.*")
def refresh_subscription(webhook: StripeWebhook) -> None:
    """Update the subscription; set its Stripe id if the response with the id was lost."""
    subscription = object_of(webhook.raw_data)
    _refresh(subscription.id, subscription.metadata)


@on(
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.marked_uncollectible",
    "invoice.voided",
)
def refresh_invoiced_subscription(webhook: StripeWebhook) -> None:
    """Update the invoice's subscription, whose status depends on the payment."""
    subscription_id = _subscription_of(object_of(webhook.raw_data))
    if subscription_id:
        _refresh(subscription_id, {})


def _subscription_of(invoice: Part) -> str:
    # API versions before 2025-03-31.basil have the id at the top level.
    details = invoice.part("parent").part("subscription_details")
    return details.id_of("subscription") or invoice.id_of("subscription")


def _refresh(subscription_id: str, metadata: dict[str, str]) -> None:
    known = StripeSubscription.of_stripe({"id": subscription_id, "metadata": metadata})
    with errors_translated():
        if rows := list(known):
            StripeSubscription.refresh_rows(rows, subscription_id, are_fresh=True)
