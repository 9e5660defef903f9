"""The app's handlers. aa_stripe finds them at start-up, like those of any project.

``BUSY_TROUBLE`` is the probability of each failure, from 0 to 1.
"""

from __future__ import annotations

import os
import random
import signal

from django.db import DatabaseError, connection

from aa_stripe.exceptions import StripeWebhookParseError
from aa_stripe.signals import stripe_charge_succeeded
from aa_stripe.webhooks import on
from tests.webhooks.busy import tables


@on("*")
def count(webhook):
    fail_at_random()
    tables.note("busy_applied", webhook.pk)
    fail_at_random()


@on("charge.*")
def reject(webhook):
    if is_likely():
        raise StripeWebhookParseError("This event is rejected.")


def note_success(sender, instance, **kwargs):
    tables.note("busy_signals", instance.uuid)
    if is_likely():
        raise RuntimeError("A receiver fails.")


stripe_charge_succeeded.connect(note_success)


def fail_at_random():
    if is_likely():
        random.choice([fail, swallow_an_error, swallow_an_error, fail, fail, die])()


def is_likely():
    return random.random() < float(os.environ.get("BUSY_TROUBLE", "0"))


def fail():
    raise RuntimeError("A handler fails.")


def swallow_an_error():
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM there_is_no_such_table")
    except DatabaseError:
        pass


def die():
    os.kill(os.getpid(), signal.SIGKILL)
