"""A Stripe account whose events are delivered to this site, and what came of each."""

from __future__ import annotations

import copy
from contextlib import contextmanager

from django.db import transaction
from django.test import Client

from aa_stripe.models import StripeWebhook
from aa_stripe.testing import Fault

URL = "/aa-stripe/webhooks"
SECRET = "whsec_test"

NEW, AGAIN, NOT_YET = 201, 200, 500

#: What leaves us without an answer that says anything.
SILENCES = [Fault.REQUEST_LOST, Fault.ERROR_500_BEFORE, Fault.RATE_LIMITED, Fault.GARBAGE]


def events_of(fake, *types):
    """The account's events of these types (of all, if none is named), oldest first."""
    return [it for it in fake.events if not types or it["type"] in types]


def newest(fake, type):
    """The account's latest event of that type."""
    return events_of(fake, type)[-1]


def deliver(fake, *events):
    """Send the events; the HTTP statuses. ``asked()`` are the requests made because of them."""
    fake.requests.clear()
    return fake.deliver(URL, SECRET, events=events, client=Client())


def error_of(event):
    """What is recorded of the event, which counts as applied; ``""`` when all went well."""
    webhook = StripeWebhook.objects.get(pk=event["id"])
    assert webhook.is_parsed
    return webhook.parse_error


def errors(fake):
    """The events that could not be followed, with what is recorded of them."""
    failed = StripeWebhook.objects.exclude(parse_error="")
    types = {it["id"]: it["type"] for it in fake.events}
    return {types[it.pk]: it.parse_error for it in failed}


def altered(event, **fields):
    """The event about an object that has other ``fields``; with an id of its own."""
    other = copy.deepcopy(event)
    other["id"] += "_altered"
    other["data"]["object"].update(fields)
    return other


def each_order(events, chance, number=20):
    """``number`` orders of the events, the oldest first and the newest first among them."""
    yield list(events)
    yield list(reversed(events))
    for _ in range(number - 2):
        yield chance.sample(events, len(events))


@contextmanager
def row_locked(row):
    """Somebody else holds the row's lock within the block."""
    with transaction.atomic():
        type(row).objects.select_for_update().get(pk=row.pk)
        yield
