"""Handlers of events about subscriptions and their invoices.

https://docs.stripe.com/billing/subscriptions/webhooks
"""

from __future__ import annotations

from aa_stripe.events import Part, object_of
from aa_stripe.models import ENDED, StripeSubscription, StripeWebhook
from aa_stripe.models.rows import stored
from aa_stripe.stripe_webhooks.errors import errors_translated, reject_without_row
from aa_stripe.webhooks import on

#: The events that report a subscription without a row: when it begins, and in each period.
REPORTED = frozenset({"customer.subscription.created", "customer.subscription.updated"})


@on("customer.subscription.*")
def refresh_subscription(webhook: StripeWebhook) -> None:
    """Update the subscription; set its Stripe id if the response with the id was lost."""
    subscription = object_of(webhook.raw_data)
    has_rows = _refresh(subscription.id, subscription.metadata, webhook)
    if not has_rows and webhook.event_type in REPORTED and subscription.text("status") not in ENDED:
        _reject_subscription_without_row(subscription, webhook)


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
        _refresh(subscription_id, {}, webhook)


def _subscription_of(invoice: Part) -> str:
    # API versions before 2025-03-31.basil have the id at the top level.
    details = invoice.part("parent").part("subscription_details")
    return details.id_of("subscription") or invoice.id_of("subscription")


def _refresh(subscription_id: str, metadata: dict[str, str], webhook: StripeWebhook) -> bool:
    """Update the rows of the subscription, and send their signals after the commit.

    Returns whether there are any rows.
    """
    rows = list(StripeSubscription.of_stripe({"id": subscription_id, "metadata": metadata}))
    with errors_translated():
        if rows:
            StripeSubscription.refresh_rows(rows, subscription_id, are_fresh=True)
    for row in rows:
        webhook.after_commit(row.send_due_signals)
    return bool(rows)


def _reject_subscription_without_row(subscription: Part, webhook: StripeWebhook) -> None:
    """Raise an error if the subscription was created for a row that does not exist."""
    metadata = subscription.metadata
    uuid = StripeSubscription.uuid_of({"metadata": metadata})
    if uuid is None or stored(StripeSubscription).filter(uuid=uuid).exists():
        return
    # It bills by itself: it has to be canceled, or its row created again.
    made = f"{subscription.id} was created for the subscription {uuid}"
    reject_without_row(made, metadata, webhook)
