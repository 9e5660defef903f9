"""Events: at Stripe, stored here, and what handlers are called with."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import count

from aa_stripe.models import StripeWebhook
from aa_stripe.testing import event

#: A type that no handler of ours is registered for.
TYPE = "topup.created"

LIST = "GET /v1/events"
RETRIEVE = "GET /v1/events/*"

numbers = count(1)


def store(type=TYPE, about=None, *, livemode=False, **fields):
    """An event that arrived here and was not applied, unless the row's ``fields`` say so."""
    id = fields.pop("id", None) or f"evt_{next(numbers):05}"
    webhook = StripeWebhook(
        id=id, raw_data=event(type, about or {}, id=id, livemode=livemode), **fields
    )
    webhook.store()
    return webhook


def happen(fake, type=TYPE, about=None, *, age=timedelta(hours=1), livemode=False):
    """An event that Stripe lists and that never arrived here; returns its id."""
    created = fake.now - int(age.total_seconds())
    made = fake.account.add(
        "event", type=type, data={"object": about or {}}, created=created, livemode=livemode
    )
    return made["id"]


def arrive(fake, id):
    """Store an event of Stripe's as it is delivered; no handler is called."""
    StripeWebhook(id=id, raw_data=fake.account.find("event", id), is_parsed=True).store()


def ids(webhooks):
    return [webhook.pk for webhook in webhooks]


def unapplied():
    """The ids of the rows that have not taken effect."""
    return set(StripeWebhook.objects.filter(is_parsed=False).values_list("pk", flat=True))


def event_calls(fake):
    """How often each endpoint for events was called."""
    return Counter(
        LIST if request.path == "/v1/events" else RETRIEVE
        for request in fake.requests
        if request.path.startswith("/v1/events")
    )
