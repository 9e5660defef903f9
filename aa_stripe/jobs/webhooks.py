"""Applying the events that are stored, and forgetting those that were applied long ago."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from itertools import islice
from typing import cast

from django.utils import timezone

from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.report import Outcome, Report
from aa_stripe.jobs.rows import CHUNK_SIZE, in_order, oldest_first
from aa_stripe.jobs.run import Run, Watcher
from aa_stripe.models import StripeWebhook
from aa_stripe.models.locking import stored
from aa_stripe.models.webhook import StripeWebhookQuerySet

# What is done, as the report counts it.
APPLIED = "applied"
NOT_FOLLOWED = "applied, with an error of a handler's"
WOULD_APPLY = "would be applied"
PRUNED = "pruned"
WOULD_PRUNE = "would be pruned"

# Why an event is left alone.
APPLIED_BEFORE = "applied before"
OTHER_MODE = "of the other mode (live or test) than the API key"
SETTLED_MEANWHILE = "settled by somebody else meanwhile"

#: Stripe lists events for 30 days. One that was forgotten before would look like one that never
#: arrived.
KEPT_FOR = timedelta(days=31)


def process_webhooks(
    *,
    ids: Collection[str] = (),
    failed: bool = False,
    older_than: timedelta | None = None,
    limit: int | None = None,
    rate: float | None = None,
    watcher: Watcher | None = None,
) -> Report:
    """Apply every stored event whose time has come, the oldest first.

    That is each event that was not applied yet, or not to its end; after a failure it is left
    alone for a while, which grows with each attempt. ``failed`` are those, regardless of that
    time, of which ``parse_error`` says why they could not be followed, also if they count as
    parsed: all their handlers are called again. ``ids`` are those events alone. ``older_than`` is
    for how long they must have been here.

    No event stops the others. ``limit`` is how many may be tried; ``rate`` is how many requests
    per second may go to Stripe, ``None`` for ``STRIPE_REQUESTS_PER_SECOND``.

    Running it twice at once is safe. Raises ``ValueError`` for a rate that is not above 0.
    """
    even_if_parsed = failed or bool(ids)

    def act(key: str) -> Outcome:
        return _apply(key, even_if_parsed=even_if_parsed)

    run = Run(watcher)
    rows = _chosen(ids, failed, older_than)
    with at_rate(rate):
        run.each("Webhooks", "Webhook", rows, act, limit=limit, order=oldest_first)
    return run.report


def preview_webhooks(
    *,
    ids: Collection[str] = (),
    failed: bool = False,
    older_than: timedelta | None = None,
    limit: int | None = None,
    watcher: Watcher | None = None,
) -> Report:
    """What ``process_webhooks`` would do now; writes nothing, and asks Stripe nothing."""
    run = Run(watcher)
    rows = _chosen(ids, failed, older_than)
    with run.series("Webhooks", rows):
        for (key,) in oldest_first(rows):
            if run.is_over() or run.report.done[WOULD_APPLY] == limit:
                break
            run.note(f"Webhook id: {key}", Outcome(done=WOULD_APPLY))
    return run.report


def prune_webhooks(
    *, older_than: timedelta = KEPT_FOR, dry_run: bool = False, watcher: Watcher | None = None
) -> Report:
    """Delete the events that were applied without an error, and arrived longer ago than that.

    Raises ``ValueError`` for less than 31 days: Stripe may still list, or send again, what is
    younger, and it would be applied a second time.
    """
    if older_than < KEPT_FOR:
        raise ValueError(f"Events are kept for {KEPT_FOR.days} days at least.")
    run = Run(watcher)
    applied = _webhooks().filter(is_parsed=True, parse_error="")
    old = applied.filter(created__lt=timezone.now() - older_than)
    keys = (key for (key,) in in_order(old))
    with run.series("Old webhooks", old):
        while not run.is_over() and (chunk := list(islice(keys, CHUNK_SIZE))):
            if not dry_run:
                old.filter(pk__in=chunk).delete()
            for key in chunk:
                run.note(f"Webhook id: {key}", Outcome(done=WOULD_PRUNE if dry_run else PRUNED))
    return run.report


def _webhooks() -> StripeWebhookQuerySet:
    return cast("StripeWebhookQuerySet", stored(StripeWebhook))


def _chosen(
    ids: Collection[str], failed: bool, older_than: timedelta | None
) -> StripeWebhookQuerySet:
    rows = _webhooks()
    if ids:
        rows = rows.filter(pk__in=ids)
    if failed:
        rows = rows.failed()
    elif not ids:
        rows = rows.due()
    if older_than is not None:
        rows = rows.filter(created__lt=timezone.now() - older_than)
    return rows


def _apply(key: str, *, even_if_parsed: bool) -> Outcome:
    webhook = _webhooks().filter(pk=key).first()
    if webhook is None:
        return Outcome(skipped=SETTLED_MEANWHILE)
    if webhook.is_parsed and not (even_if_parsed and webhook.parse_error):
        return Outcome(skipped=APPLIED_BEFORE if even_if_parsed else SETTLED_MEANWHILE)
    if webhook.is_of_wrong_mode():
        return Outcome(skipped=OTHER_MODE)
    if not webhook.retry(even_if_parsed=even_if_parsed):
        return Outcome(skipped=SETTLED_MEANWHILE)
    return Outcome(done=NOT_FOLLOWED if webhook.parse_error else APPLIED)
