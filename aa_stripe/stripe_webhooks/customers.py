"""Handlers of events about customers and their payment methods.

https://docs.stripe.com/api/customers
"""

from __future__ import annotations

from aa_stripe.models import StripeCustomer, StripeWebhook
from aa_stripe.models.rows import locked, stored
from aa_stripe.stripe_webhooks.base import errors_translated, object_of
from aa_stripe.webhooks import on


@on(
    "customer.updated",
    "customer.deleted",
    "customer.source.*",
    "payment_method.attached",
    "payment_method.automatically_updated",
    "payment_method.detached",
    "payment_method.updated",
)
def refresh_customer(webhook: StripeWebhook) -> None:
    """Update the customer's payment methods; deactivate a customer that was deleted."""
    ids = _customer_ids_in(webhook)
    for customer in stored(StripeCustomer).filter(stripe_customer_id__in=ids):
        with locked(customer), errors_translated():
            customer.refresh_from_stripe()


def _customer_ids_in(webhook: StripeWebhook) -> set[str]:
    """Return the id of the event's customer; for a detached card, that of its former customer."""
    stripe_object = object_of(webhook)
    if stripe_object.get("object") == "customer":
        return {stripe_object["id"]}
    before = webhook.raw_data["data"].get("previous_attributes") or {}
    ids = (stripe_object.get("customer"), before.get("customer"))
    return {it for it in ids if isinstance(it, str)}
