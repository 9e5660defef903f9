"""Claims: which process works on a row, so that no other does, and so that a crash is noticed.

A claim is a token and a lease. The lease ends by the database's clock, which all processes share;
the holder measures its own time with a monotonic clock. No lock is held while Stripe is asked. A
token that is still there after its lease means that its holder died: the row becomes unsettled.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import models
from django.db.models import Case, F, Q, When
from django.db.models.expressions import Combinable

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInProgress, StripeTooSlow
from aa_stripe.fields import ExactCharField
from aa_stripe.models.base import KEY_LIFETIME
from aa_stripe.models.now import DatabaseNow
from aa_stripe.models.rows import (
    database_of,
    key_of,
    own_row,
    root_model,
    store_if,
    update_one,
    update_plain,
)
from aa_stripe.models.statements import condition_of, read
from aa_stripe.settings import stripe_settings

logger = logging.getLogger("aa-stripe")

#: The delay after the first attempt without an outcome, of a row or of an event. It doubles with
#: each further attempt.
FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=6)

#: The same while a bank or a customer decides, which takes days; webhooks report it sooner.
FIRST_SLOW_DELAY = timedelta(hours=1)
LONGEST_SLOW_DELAY = timedelta(days=1)

#: How long a call waits for the process that holds the claim, in seconds.
PATIENCE = 10.0
PAUSE = 0.1

#: Statuses of errors that Stripe stores under the idempotency key.
#: https://docs.stripe.com/api/idempotent_requests
STORED = frozenset({400, 402, 404, 500})

#: More doublings would overflow a timedelta.
MOST_DOUBLINGS = 20

#: How long after the last request Stripe may still carry it out.
LATE = timedelta(hours=1)


class Claimable(models.Model):
    """A model whose rows are claimed before Stripe is asked about them.

    The times are those of ``DatabaseNow`` and are compared in SQL only.
    """

    #: The token of the process that works on the row, or that died while it did.
    claim = ExactCharField(max_length=32, blank=True, default="", editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    #: Whether something may have happened at Stripe that is not recorded on the row.
    is_unsettled = models.BooleanField(default=False, editable=False)
    #: When a job tries the row again; ``None`` means now.
    retry_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: The number of attempts without an outcome since the last one with an outcome.
    attempts = models.PositiveIntegerField(default=0, editable=False)
    #: The latest time at which a request whose outcome is unknown may have been sent.
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: The number in the idempotency keys. It grows when Stripe has stored a response for the last.
    key_number = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        abstract = True


#: The values of a row without a claim.
FREE = {"claim": "", "claimed_until": None}

#: The values of a row about which Stripe has nothing more to say.
SETTLED = {**FREE, "is_unsettled": False, "retry_at": None, "attempts": 0}


def is_free() -> Q:
    """Return the condition that no process holds the claim of a row."""
    return Q(claimed_until=None) | Q(claimed_until__lte=DatabaseNow())


def is_due(now: object) -> Q:
    """Return the condition that a job may try a row at the time ``now``."""
    return Q(retry_at=None) | Q(retry_at__lte=now)


def delay(attempts: int, *, slow: bool = False) -> timedelta:
    """Return the delay after one more attempt than ``attempts``."""
    first, longest = (
        (FIRST_SLOW_DELAY, LONGEST_SLOW_DELAY) if slow else (FIRST_DELAY, LONGEST_DELAY)
    )
    doubled: timedelta = first * 2 ** min(attempts, MOST_DOUBLINGS)
    return min(doubled, longest)


def after(attempts: int, *, slow: bool = False) -> Combinable:
    """Return the time of the next attempt, for a row with that many attempts."""
    return DatabaseNow(delay(attempts, slow=slow))


def is_stored(error: gateway.StripeError) -> bool:
    """Return whether Stripe repeats the error as long as the idempotency key is the same."""
    return error.http_status in STORED or gateway.is_replayed(error)


def numbered_key(name: object, number: int) -> str:
    """Return an idempotency key; the first is that of earlier versions of this app."""
    return f"{name}-{number}" if number else str(name)


class Claim:
    """The claim of ``row``, which this process holds; every write requires that it still does."""

    def __init__(self, row: models.Model, token: str, taken_at: float) -> None:
        self.row = row
        self.token = token
        self._ends = taken_at + stripe_settings.claim_lease

    def check(self) -> None:
        """Raise ``StripeTooSlow`` if the lease may end before a request does.

        Connecting and reading may each take ``STRIPE_TIMEOUT``.
        """
        if time.monotonic() + 2 * stripe_settings.TIMEOUT > self._ends:
            raise StripeTooSlow

    def write(self, values: dict[str, Any], *conditions: Q, **expected: Any) -> bool:
        """Update the row and the object, if the row is as ``expected``; return whether it is."""
        return store_if(self.row, {"claim": self.token, **expected}, values, *conditions)

    def renew(self, values: dict[str, Any], *conditions: Q, **expected: Any) -> bool:
        """Write the values as ``write`` does and begin the lease anew, before money moves."""
        taken_at = time.monotonic()
        # If this process dies now, money may move that the row does not say.
        lease = {
            "is_unsettled": True,
            "claimed_until": _lease_end(),
            "sent_at": DatabaseNow(),
        }
        is_renewed = self.write({**values, **lease}, *conditions, **expected)
        if is_renewed:
            self._ends = taken_at + stripe_settings.claim_lease
        return is_renewed

    def may_arrive(self) -> bool:
        """Return whether Stripe may still carry out a request of an earlier holder."""
        return not own_row(self.row, database_of(self.row)).filter(is_late()).exists()

    def conclude(self, values: dict[str, Any], *conditions: Q) -> bool:
        """Write the outcome and end the claim: Stripe has nothing more to say."""
        return self.write({**SETTLED, **values}, *conditions)

    def give_back(self) -> bool:
        """End the claim of a row about which Stripe was not asked to do anything."""
        return self.write(FREE)

    def postpone(self, values: dict[str, Any], *, slow: bool = False) -> bool:
        """End the claim without an outcome; a job tries the row again later."""
        attempts: int = self.row.attempts  # type: ignore[attr-defined]
        later = {"attempts": attempts + 1, "retry_at": after(attempts, slow=slow)}
        return self.write({**later, **values, **FREE})


def choose_key(claim: Claim, **expected: Any) -> bool:
    """Choose the number in the idempotency key and renew the claim before the request is sent.

    For a request that moves money, or bills, by itself. The key is the same as long as Stripe has
    sent no response to it; that is ``stripe_response`` of the row. Otherwise it is another one,
    when Stripe cannot carry out the earlier request any more. Returns whether the request may be
    sent (again) now.
    """
    row: Any = claim.row
    is_known = Q(sent_at=None) | Q(sent_at__gt=DatabaseNow() - KEY_LIFETIME)
    if not row.stripe_response and claim.renew({}, is_known, **expected):
        return True
    following = {"key_number": row.key_number + 1, "stripe_response": {}}
    return claim.renew(following, Q(sent_at=None) | is_late(), **expected)


@contextmanager
def ending(claim: Claim) -> Iterator[None]:
    """Log an error of the block, which ends the claim: the cause is raised, not this error.

    The lease then ends by itself.
    """
    try:
        yield
    except Exception:
        logger.exception("The claim of %r could not be given back.", claim.row)


def patiently(patience: float) -> Iterator[None]:
    """Yield now and at short intervals; raise ``StripeInProgress`` after ``patience`` seconds."""
    until = time.monotonic() + patience
    while True:
        yield
        if time.monotonic() >= until:
            raise StripeInProgress
        time.sleep(PAUSE)


class Source:
    """Rows that are claimed one by one."""

    def __init__(self, rows: models.QuerySet[Any]) -> None:
        self.rows = rows
        self.condition = condition_of(rows)


def take(row: models.Model, **expected: Any) -> Claim | None:
    """Claim the row if it is free and as ``expected``; return ``None`` otherwise."""
    claim, using = Claim(row, uuid4().hex, time.monotonic()), database_of(row)
    free = {**key_of(row), **expected, "claim": ""}
    if update_plain(root_model(row), using, free, _claimed(claim.token)):
        return claim
    stored = own_row(row, using).filter(**expected)
    return claim if _take_after_a_death(stored, claim.token) else None


def take_from(source: Source, key: object) -> Claim | None:
    """Claim the row with that primary key if it is in the source and free, and read it.

    Returns ``None`` otherwise.
    """
    token, taken_at = uuid4().hex, time.monotonic()
    rows, model = source.rows, source.rows.model
    row = {model._meta.pk.attname: key}
    free, claimed = {**row, "claim": ""}, _claimed(token)
    is_taken = update_plain(model, rows.db, free, claimed, source.condition)
    if not is_taken and not _take_after_a_death(rows.filter(pk=key), token):
        return None
    taken = read(model, rows.db, {**row, "claim": token})
    return Claim(taken, token, taken_at) if taken is not None else None


def _claimed(token: str) -> dict[str, Any]:
    return {"claim": token, "claimed_until": _lease_end()}


def _take_after_a_death(row: models.QuerySet[Any], token: str) -> bool:
    """Claim the row if its holder died; return whether it did.

    The row becomes unsettled, and the claim counts as an attempt. The row may have killed its
    holder: if it kills this process as well, a job tries it again later.
    """
    # Nearly all rows have no claim, so this statement is hardly ever needed.
    values = {**_after_a_death(), **_claimed(token)}
    return update_one(row.filter(is_free(), claim__gt=""), values)


def _after_a_death() -> dict[str, Combinable | bool]:
    """Return the values of a row whose holder died.

    MySQL assigns them one by one, so what they depend on comes last.
    """
    many = When(attempts__gte=3, then=DatabaseNow() + LONGEST_DELAY)
    return {
        "is_unsettled": True,
        "sent_at": F("claimed_until"),
        "retry_at": Case(many, default=DatabaseNow() + FIRST_SLOW_DELAY),
        "attempts": F("attempts") + 1,
    }


def is_late() -> Q:
    """Return the condition that Stripe will not carry out any earlier request for the row."""
    return Q(sent_at__lte=DatabaseNow() - LATE)


@contextmanager
def checked_requests(claim: Claim) -> Iterator[None]:
    """Check the lease before each request to Stripe within the block."""
    with gateway.before_each_request(claim.check):
        yield


def _lease_end() -> DatabaseNow:
    return DatabaseNow(timedelta(seconds=stripe_settings.claim_lease))
