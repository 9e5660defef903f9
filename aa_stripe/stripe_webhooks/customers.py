"""Handlers of events about customers and their payment methods.

https://docs.stripe.com/api/customers
"""

from __future__ import annotations

from aa_stripe.models import StripeCustomer, StripeWebhook
from aa_stripe.stripe_webhooks.errors import errors_translated
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
    # Other events report new and changed payment methods.
    is_of_customer = webhook.event_type in ("customer.updated", "customer.deleted")
    for stripe_id in sorted(StripeCustomer.ids_in(webhook.raw_data)):
        rows = StripeCustomer.all_of_stripe(stripe_id)
        with errors_translated():
            if rows and is_of_customer:
                StripeCustomer.refresh_default(rows)
            elif rows:
                StripeCustomer.refresh_rows(rows, are_fresh=True)
