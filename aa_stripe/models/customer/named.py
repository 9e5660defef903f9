"""The customers that an event at Stripe names.

https://docs.stripe.com/api/events/types
"""

from __future__ import annotations

from typing import Any

from aa_stripe.events import data_of, object_of

#: The events after which a customer, or what the customer can pay with, may be another.
EVENT_TYPES = (
    "customer.deleted",
    "customer.source.created",
    "customer.source.deleted",
    "customer.source.expiring",
    "customer.source.updated",
    "customer.updated",
    "payment_method.attached",
    "payment_method.automatically_updated",
    "payment_method.detached",
    "payment_method.updated",
)


def ids_in(event: Any) -> set[str]:
    """Return the id of the event's customer; for a detached card, that of its former customer.

    ``event`` is plain JSON. Raises ``StripeWebhookParseError`` if Stripe does not render it so.
    """
    stripe_object = object_of(event)
    if stripe_object.text("object") == "customer":
        return {stripe_object.id}
    before = data_of(event).part("previous_attributes")
    return {stripe_object.id_of("customer"), before.id_of("customer")} - {""}
