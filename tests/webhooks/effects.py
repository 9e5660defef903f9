"""Events that only tests handle, and their effects, which can be counted."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.contrib.auth.models import Group
from django.utils import timezone

from aa_stripe.models import StripeWebhook
from aa_stripe.testing.webhooks import event
from tests.support.rows import row_of

#: This app has no handler for it.
TYPE = "payout.paid"
PAYOUT = {"id": "po_1", "object": "payout"}

TIMEOUT = 30  # seconds


class WentWrong(Exception):
    """The exception of a handler that fails."""


def make_event(type=TYPE, **fields):
    return event(type, PAYOUT, **fields)


def stored_event(type=TYPE, **fields):
    """Return the row of an event that is stored and was never tried."""
    made = make_event(type, **fields)
    webhook = StripeWebhook(id=made["id"], raw_data=made)
    webhook.store()
    return row_of(webhook)


def only_webhook():
    return StripeWebhook.objects.get()


def make_due(webhook):
    """Make the event due for a retry, and end its claim; return its row, read again."""
    past = timezone.now() - timedelta(hours=1)
    StripeWebhook.objects.filter(pk=webhook.pk).update(retry_at=past, claimed_until=past)
    return row_of(webhook)


def end_claims():
    """End the claims of all events, as ``STRIPE_WEBHOOK_HANDLER_TIMEOUT`` does."""
    StripeWebhook.objects.update(claimed_until=timezone.now() - timedelta(hours=1))


def write_effect(webhook, by="handler"):
    """Write a row, as a handler does. Each call adds one."""
    Group.objects.create(name=f"{webhook.pk} {by} {uuid.uuid4().hex}")


def effects_of(webhook):
    """Return the ``by`` of each call of ``write_effect`` for the event, sorted."""
    names = Group.objects.filter(name__startswith=f"{webhook.pk} ").values_list("name", flat=True)
    return sorted(name.split()[1] for name in names)
