"""Applying the events that are stored, and forgetting those that were applied long ago."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import cast

from django.utils import timezone

from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.report import Outcome, Report
from aa_stripe.jobs.run import Run, Watcher, attempt
from aa_stripe.models import StripeWebhook
from aa_stripe.models.rows import CHUNK_SIZE, in_order, oldest_first, stored
from aa_stripe.models.webhook.model import StripeWebhookQuerySet

# What is done, as the report counts it.
APPLIED = "applied"
NOT_FOLLOWED = "applied, with an error of a handler's"
WOULD_APPLY = "would be applied"
PRUNED = "pruned"
WOULD_PRUNE = "would be pruned"

# Why an event is left alone.
APPLIED_BEFORE = "applied before"
OTHER_MODE = "of the other mode (live or test) than the API key"
SETTLED_MEANWHILE = "already settled by another process"

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

    Running it twice at once is safe. Raises ``StripeWebhook.DoesNotExist`` if one of the ``ids``
    is not stored, and ``ValueError`` for a rate that is not above 0.
    """
    act = partial(_apply, even_if_parsed=failed or bool(ids))
    run = Run(watcher)
    rows = _chosen(ids, failed, older_than)
    with at_rate(rate):
        _each(run, rows, act, limit)
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
    _each(run, _chosen(ids, failed, older_than), lambda it: Outcome(done=WOULD_APPLY), limit)
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

    def prune(chunk: list[str]) -> Outcome:
        if dry_run:
            return Outcome(done=WOULD_PRUNE)
        old.filter(pk__in=chunk).delete()
        return Outcome(done=PRUNED)

    with run.series("Old webhooks", old):
        while not run.is_over() and (chunk := list(islice(keys, CHUNK_SIZE))):
            outcome = attempt(prune, chunk)
            if outcome.error is not None:  # a project's own table may point to one of them
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
        _refuse_unknown(set(ids) - set(rows.values_list("pk", flat=True)))
    if failed:
        rows = rows.failed()
    elif not ids:
        rows = rows.due()
    if older_than is not None:
        rows = rows.filter(created__lt=timezone.now() - older_than)
    return rows


def _refuse_unknown(ids: set[str]) -> None:
    if ids:
        raise StripeWebhook.DoesNotExist(f"Not stored here: {', '.join(sorted(ids))}.")


def _each(
    run: Run,
    rows: StripeWebhookQuerySet,
    act: Callable[[StripeWebhook], Outcome],
    limit: int | None,
) -> None:
    """``act`` on each of the rows, as it is by then, that is not to be left alone."""

    def decide(key: str) -> Outcome:
        webhook = rows.filter(pk=key).first()
        if webhook is None:
            return Outcome(skipped=SETTLED_MEANWHILE)
        if webhook.is_parsed and not webhook.parse_error:
            return Outcome(skipped=APPLIED_BEFORE)
        if webhook.is_of_wrong_mode():
            return Outcome(skipped=OTHER_MODE)
        return act(webhook)

    run.each("Webhooks", "Webhook", rows, decide, limit=limit, order=oldest_first)


def _apply(webhook: StripeWebhook, *, even_if_parsed: bool) -> Outcome:
    if not webhook.retry(even_if_parsed=even_if_parsed):
        return Outcome(skipped=SETTLED_MEANWHILE)
    return Outcome(done=NOT_FOLLOWED if webhook.parse_error else APPLIED)
