"""Deliveries of a Stripe account's events to this site, and their results."""

from __future__ import annotations

import copy

from django.test import Client

from aa_stripe.models import StripeWebhook
from aa_stripe.testing import Fault

URL = "/aa-stripe/webhooks"
SECRET = "whsec_test"

#: Response statuses of the endpoint: a new event, a redelivered one, one that must be redelivered.
NEW, REDELIVERED, NOT_APPLIED = 201, 200, 500

#: Faults after which there is no usable response from Stripe.
OUTAGES = [Fault.REQUEST_LOST, Fault.ERROR_500_BEFORE, Fault.RATE_LIMITED, Fault.GARBAGE]


def events_of(fake, *types):
    """Return the account's events of these types, oldest first; all events without types."""
    return [it for it in fake.events if not types or it["type"] in types]


def newest(fake, type):
    """Return the account's latest event of that type."""
    return events_of(fake, type)[-1]


def deliver(fake, *events):
    """Deliver the events; return the HTTP statuses.

    ``calls(fake)`` then lists the requests to Stripe that these deliveries caused.
    """
    fake.requests.clear()
    return fake.deliver(URL, SECRET, events=events, client=Client())


def error_of(event):
    """Return the recorded error of an applied event; ``""`` if there is none."""
    webhook = StripeWebhook.objects.get(pk=event["id"])
    assert webhook.is_parsed
    return webhook.parse_error


def errors(fake):
    """Return the recorded errors by event type."""
    failed = StripeWebhook.objects.exclude(parse_error="")
    types = {it["id"]: it["type"] for it in fake.events}
    return {types[it.pk]: it.parse_error for it in failed}


def altered(event, **fields):
    """Return a copy of the event with another id, whose object has these ``fields``."""
    other = copy.deepcopy(event)
    other["id"] += "_altered"
    other["data"]["object"].update(fields)
    return other


def each_order(events, chance, number=20):
    """Yield ``number`` orders of the events: oldest first, newest first, then random ones."""
    yield list(events)
    yield list(reversed(events))
    for _ in range(number - 2):
        yield chance.sample(events, len(events))
