"""Handlers of events about subscriptions and their invoices.

https://docs.stripe.com/billing/subscriptions/webhooks
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aa_stripe import gateway
from aa_stripe.models import StripeCustomer, StripeSubscription, StripeWebhook
from aa_stripe.models.rows import locked
from aa_stripe.stripe_webhooks.base import errors_translated, object_of
from aa_stripe.webhooks import on


@on("customer.subscription.*")
def refresh_subscription(webhook: StripeWebhook) -> None:
    """Update the subscription; set its Stripe id if the response with the id was lost."""
    subscription = object_of(webhook)
    _refresh(StripeSubscription.of_stripe(subscription), subscription["id"])


@on(
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.marked_uncollectible",
    "invoice.voided",
)
def refresh_invoiced_subscription(webhook: StripeWebhook) -> None:
    """Update the invoice's subscription, whose status depends on the payment."""
    subscription_id = _subscription_of(object_of(webhook))
    if subscription_id:
        _refresh(StripeSubscription.of_stripe({"id": subscription_id}), subscription_id)


def _subscription_of(invoice: dict[str, Any]) -> str | None:
    # API versions before 2025-03-31.basil have the id at the top level.
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    found = details.get("subscription") or invoice.get("subscription")
    return found if isinstance(found, str) else None


def _refresh(rows: Iterable[StripeSubscription], subscription_id: str) -> None:
    for row in rows:
        with locked(row), errors_translated():
            subscription = gateway.retrieve_subscription(subscription_id)
            if row.customer_id is None:
                row.customer = StripeCustomer.of_stripe(row.user_id, str(subscription.customer))
            row.set_stripe_data(subscription)
