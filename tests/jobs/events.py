"""Helpers that add events to Stripe and to the database."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import count

from aa_stripe.models import StripeWebhook
from aa_stripe.testing import event

#: A type for which aa_stripe registers no handler.
TYPE = "topup.created"

LIST = "GET /v1/events"
RETRIEVE = "GET /v1/events/*"

numbers = count(1)


def store(type=TYPE, about=None, *, livemode=False, **fields):
    """Store an event that is delivered and not applied; ``fields`` override those of the row."""
    id = fields.pop("id", None) or f"evt_{next(numbers):05}"
    webhook = StripeWebhook(
        id=id, raw_data=event(type, about or {}, id=id, livemode=livemode), **fields
    )
    webhook.store()
    return webhook


def add_event(fake, type=TYPE, about=None, *, age=timedelta(hours=1), livemode=False):
    """Add an event that Stripe lists and that was never delivered; return its id."""
    created = fake.now - int(age.total_seconds())
    made = fake.account.add(
        "event", type=type, data={"object": about or {}}, created=created, livemode=livemode
    )
    return made["id"]


def deliver(fake, id):
    """Store an event of Stripe's as one that was delivered and applied; call no handler."""
    StripeWebhook(id=id, raw_data=fake.account.find("event", id), is_parsed=True).store()


def ids(webhooks):
    return [webhook.pk for webhook in webhooks]


def unapplied():
    """Return the ids of the rows that are not applied."""
    return set(StripeWebhook.objects.filter(is_parsed=False).values_list("pk", flat=True))


def event_calls(fake):
    """Return how often each endpoint for events was called."""
    return Counter(
        LIST if request.path == "/v1/events" else RETRIEVE
        for request in fake.requests
        if request.path.startswith("/v1/events")
    )
