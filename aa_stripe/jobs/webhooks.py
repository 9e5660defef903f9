"""The jobs that apply stored events, and prune those that were applied long ago."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import cast

from django.utils import timezone

from aa_stripe.jobs.listed import Listed, listed
from aa_stripe.jobs.memory import remember
from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.report import SETTLED_MEANWHILE, Outcome, Report
from aa_stripe.jobs.run import Run, Watcher, attempt
from aa_stripe.jobs.watched import watched_crew_of
from aa_stripe.models import (
    StripeWebhook,
    StripeWebhookQuerySet,
    apply_event,
    give_up_event,
    too_slow,
)
from aa_stripe.models.rows import CHUNK_SIZE, in_order, stored
from aa_stripe.settings import stripe_settings

logger = logging.getLogger("aa-stripe")

# Actions in the report.
APPLIED = "applied"
APPLIED_WITH_ERROR = "applied, handler error recorded"
WOULD_APPLY = "would be applied"
PRUNED = "pruned"
WOULD_PRUNE = "would be pruned"

# Reasons in the report why an event is skipped.
ALREADY_APPLIED = "already applied"
OTHER_MODE = "live or test mode differs from the API key"

#: Stripe lists events for 30 days. An event pruned earlier would look like one never delivered.
KEPT_FOR = timedelta(days=31)


def process_webhooks(
    *,
    ids: Collection[str] = (),
    failed: bool = False,
    older_than: timedelta | None = None,
    limit: int | None = None,
    rate: float | None = None,
    workers: int | None = None,
    watcher: Watcher | None = None,
) -> Report:
    """Apply every stored event that is due, oldest first.

    Due events are those that were not applied yet. After a failure they are not due for a delay,
    which grows with each attempt. ``failed`` selects the events with a ``parse_error`` instead,
    due or not, including those that a handler rejected; all their handlers run again. ``ids``
    selects only these events, due or not. ``older_than`` is the minimum time since they were
    stored.

    An event that fails does not stop the others. ``limit`` is the maximum number of events to
    try; skipped events do not count. ``rate`` is the maximum number of requests to Stripe per
    second; ``None`` means ``STRIPE_REQUESTS_PER_SECOND``.

    ``workers`` is the number of threads that apply events, each with its own database connection;
    ``None`` means 1. An event whose handlers take longer than ``STRIPE_WEBHOOK_HANDLER_TIMEOUT``
    fails, and its thread is abandoned: the run goes on with the others. With 0, inside a
    transaction, and on SQLite with 1, the calling thread applies the events, without a time limit.

    Several runs at the same time are safe. Raises ``StripeWebhook.DoesNotExist`` if one of the
    ``ids`` is not stored, and ``ValueError`` if the rate is not above 0 or the number of workers is
    below 0.
    """
    run = Run(watcher, workers, at_least=0)
    rows = _chosen(ids, failed, older_than)
    applying = _Applying(rows, even_if_parsed=failed or bool(ids))
    act = partial(_decide, applying.apply)
    crew_of = partial(
        watched_crew_of,
        time_limit=stripe_settings.WEBHOOK_HANDLER_TIMEOUT,
        give_up=applying.give_up,
    )
    with at_rate(rate):
        run.each("Webhooks", "Webhook", rows, act, limit=limit, order=listed, crew_of=crew_of)
    remember("process_webhooks", run.report)
    return run.report


def preview_webhooks(
    *,
    ids: Collection[str] = (),
    failed: bool = False,
    older_than: timedelta | None = None,
    limit: int | None = None,
    watcher: Watcher | None = None,
) -> Report:
    """Return what ``process_webhooks`` would do now; write nothing, do not call Stripe."""
    run = Run(watcher)
    rows = _chosen(ids, failed, older_than)
    act = partial(_decide, lambda key, details: Outcome(done=WOULD_APPLY))
    run.each("Webhooks", "Webhook", rows, act, limit=limit, order=listed)
    return run.report


def prune_webhooks(
    *, older_than: timedelta = KEPT_FOR, dry_run: bool = False, watcher: Watcher | None = None
) -> Report:
    """Delete events that were applied without an error and are older than ``older_than``.

    The age is the time since an event was stored. Raises ``ValueError`` for less than 31 days:
    Stripe may still list or redeliver younger events, and they would be applied a second time.
    """
    if older_than < KEPT_FOR:
        raise ValueError(f"older_than must be at least {KEPT_FOR.days} days.")
    run = Run(watcher)
    applied = _webhooks().filter(is_parsed=True, parse_error="")
    old = applied.filter(created__lt=timezone.now() - older_than)
    keys = (key for (key,) in in_order(old))

    def prune(chunk: list[str]) -> Outcome:
        if dry_run:
            return Outcome(done=WOULD_PRUNE)
        old.filter(pk__in=chunk).delete()
        return Outcome(done=PRUNED)

    with run.series("Old webhooks", old):
        while not run.is_over() and (chunk := list(islice(keys, CHUNK_SIZE))):
            outcome = attempt(prune, chunk)
            if outcome.error is not None:  # a project's table may refer to one of them
                run.note(f"Webhook ids: {chunk[0]} to {chunk[-1]}", outcome)
                continue
            for key in chunk:
                run.note(f"Webhook id: {key}", outcome)
    return run.report


def _webhooks() -> StripeWebhookQuerySet:
    return cast("StripeWebhookQuerySet", stored(StripeWebhook))


def _chosen(
    ids: Collection[str], failed: bool, older_than: timedelta | None
) -> StripeWebhookQuerySet:
    rows = _webhooks()
    if ids:
        rows = rows.filter(pk__in=ids)
        _reject_unknown(set(ids) - set(rows.values_list("pk", flat=True)))
    if failed:
        rows = rows.failed()
    elif not ids:
        rows = rows.due()
    if older_than is not None:
        rows = rows.filter(created__lt=timezone.now() - older_than)
    return rows


def _reject_unknown(ids: set[str]) -> None:
    if ids:
        raise StripeWebhook.DoesNotExist(f"Events not stored: {', '.join(sorted(ids))}.")


def _decide(act: Callable[[str, Listed], Outcome], key: str, found: Listed | None) -> Outcome:
    """Call ``act`` with the event unless it has to be skipped."""
    if found is None:
        return Outcome(skipped=SETTLED_MEANWHILE)
    if found.is_done:
        return Outcome(skipped=ALREADY_APPLIED)
    if found.is_of_wrong_mode():
        return Outcome(skipped=OTHER_MODE)
    return act(key, found)


class _Applying:
    """The events that the workers of a run are applying."""

    def __init__(self, rows: StripeWebhookQuerySet, *, even_if_parsed: bool) -> None:
        self._rows = rows
        self._even_if_parsed = even_if_parsed
        #: The tokens of the claims, by the event's id. Several threads use it.
        self._claims: dict[str, int] = {}

    def apply(self, key: str, found: Listed) -> Outcome:
        # Most of Stripe's events have no handler.
        if StripeWebhook.apply_unhandled(key, found.type, found.attempts):
            return Outcome(done=APPLIED)
        try:
            return self._apply_claimed(key)
        finally:
            self._claims.pop(key, None)

    def _apply_claimed(self, key: str) -> Outcome:
        webhook = self._rows.filter(pk=key).first()
        # Another process may have worked on the row since its chunk was listed.
        if webhook is None or not apply_event(
            webhook,
            even_if_parsed=self._even_if_parsed,
            on_claim=partial(self._claims.__setitem__, key),
        ):
            return Outcome(skipped=SETTLED_MEANWHILE)
        return Outcome(done=APPLIED_WITH_ERROR if webhook.parse_error else APPLIED)

    def give_up(self, entry: tuple[str, Listed], stack: str) -> Outcome | None:
        """Return the outcome of an event whose thread is abandoned; see ``WatchedCrew``."""
        return given_up(entry[0], self._claims.pop(entry[0], None), stack)


def given_up(key: str, token: int | None, stack: str) -> Outcome:
    """End the claim of an event whose handlers take too long in another thread.

    ``token`` is that of the claim, if it is known; otherwise the claim ends by its lease.
    """
    # A warning: the run logs the error of the outcome.
    logger.warning("The handlers of event %s take too long. They are here:\n%s", key, stack)
    if token is not None:
        give_up_event(StripeWebhook(id=key), token)
    return Outcome(error=too_slow())
