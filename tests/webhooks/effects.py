"""Events that only a test listens to, and effects of theirs that can be counted."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.contrib.auth.models import Group
from django.utils import timezone

from aa_stripe.models import StripeWebhook
from aa_stripe.testing.webhooks import event
from tests.support.rows import row_of

#: Nothing of this app's listens to it.
TYPE = "payout.paid"
PAYOUT = {"id": "po_1", "object": "payout"}

TIMEOUT = 30  # seconds


class WentWrong(Exception):
    """What a handler raises that fails."""


def make_event(type=TYPE, **fields):
    return event(type, PAYOUT, **fields)


def stored_event(type=TYPE, **fields):
    """The row of an event that nobody has tried to apply."""
    made = make_event(type, **fields)
    webhook = StripeWebhook(id=made["id"], raw_data=made)
    webhook.store()
    return row_of(webhook)


def only_webhook():
    return StripeWebhook.objects.get()


def make_due(webhook):
    """Let its time to be tried again have come; the row, read anew."""
    past = timezone.now() - timedelta(seconds=1)
    StripeWebhook.objects.filter(pk=webhook.pk).update(retry_at=past)
    return row_of(webhook)


def take_effect(webhook, by="handler"):
    """What a handler writes. Twice is one row more."""
    Group.objects.create(name=f"{webhook.pk} {by} {uuid.uuid4().hex}")


def effects_of(webhook):
    """By whom ``take_effect`` was called for the event, once for each time."""
    names = Group.objects.filter(name__startswith=f"{webhook.pk} ").values_list("name", flat=True)
    return sorted(name.split()[1] for name in names)
