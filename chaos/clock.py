"""Time: a day lasts a minute, and the clocks of the processes differ.

Lateness has to stay above everything that can delay a request here: the slowest response, a stop
past the lease, and the timeouts. Stripe's keys live longer than we believe, as in reality.
"""

from __future__ import annotations

import time
from datetime import timedelta
from unittest.mock import patch

from django.db.models import F
from django.utils import timezone

#: How long Stripe may take to carry out a request, in seconds.
SLOWEST = 8

#: How long a process is stopped at most, in seconds: past its lease.
LONGEST_STOP = 8

LATE = timedelta(seconds=25)
KEY_LIFETIME = timedelta(seconds=45)
STRIPES_KEY_LIFETIME = 75  # seconds

#: How far the clock of a process may be wrong, in seconds. Signatures are valid for five minutes.
SKEW = 200

_time, _now = time.time, timezone.now
_offset = 0.0


def install() -> None:
    """Let this process have a clock of its own. Before Django's models keep the function."""
    time.time = lambda: _time() + _offset
    timezone.now = lambda: _now() + timedelta(seconds=_offset)


def shift(seconds: float) -> None:
    """Set this process's clock wrong."""
    global _offset
    _offset = seconds


def shorten() -> None:
    """Shorten the constants of the app in this process."""
    from aa_stripe.models import base, claims
    from aa_stripe.models.charge import record

    claims.FIRST_DELAY, claims.LONGEST_DELAY = timedelta(seconds=0.5), timedelta(seconds=3)
    claims.FIRST_SLOW_DELAY, claims.LONGEST_SLOW_DELAY = timedelta(seconds=2), timedelta(seconds=6)
    claims.LATE = LATE
    for module in (base, claims):
        patch.object(module, "KEY_LIFETIME", KEY_LIFETIME).start()
    record.STILL_OPEN["retry_at"] = claims.after(0, slow=True)


def shorten_keys() -> None:
    """Shorten the life of idempotency keys at the offline Stripe in this process."""
    from aa_stripe.testing.http import idempotency

    idempotency.LIFETIME = STRIPES_KEY_LIFETIME


def let_pass(span: timedelta) -> None:
    """Let time pass for the stored rows, by moving their times into the past."""
    from aa_stripe.models import StripeCharge, StripeRefund, StripeWebhook

    for model in (StripeCharge, StripeRefund):
        names = ("created", "sent_at", "retry_at", "claimed_until")
        model.objects.update(**{name: F(name) - span for name in names})
    StripeWebhook.objects.update(retry_at=None, claimed_until=F("claimed_until") - span)
