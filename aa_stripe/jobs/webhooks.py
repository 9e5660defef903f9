"""The jobs that apply stored events, and prune those that were applied long ago."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import cast

from django.utils import timezone

from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.report import SETTLED_MEANWHILE, Outcome, Report
from aa_stripe.jobs.run import Run, Watcher, attempt
from aa_stripe.models import StripeWebhook, StripeWebhookQuerySet
from aa_stripe.models.rows import CHUNK_SIZE, in_order, oldest_first, stored

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

    Two runs at the same time are safe. Raises ``StripeWebhook.DoesNotExist`` if one of the
    ``ids`` is not stored, and ``ValueError`` if the rate is not above 0.
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
    """Return what ``process_webhooks`` would do now; write nothing, do not call Stripe."""
    run = Run(watcher)
    _each(run, _chosen(ids, failed, older_than), lambda it: Outcome(done=WOULD_APPLY), limit)
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


def _each(
    run: Run,
    rows: StripeWebhookQuerySet,
    act: Callable[[StripeWebhook], Outcome],
    limit: int | None,
) -> None:
    """Reread each row, and call ``act`` with it unless it has to be skipped."""

    def decide(key: str) -> Outcome:
        webhook = rows.filter(pk=key).first()
        if webhook is None:
            return Outcome(skipped=SETTLED_MEANWHILE)
        if webhook.is_parsed and not webhook.parse_error:
            return Outcome(skipped=ALREADY_APPLIED)
        if webhook.is_of_wrong_mode():
            return Outcome(skipped=OTHER_MODE)
        return act(webhook)

    run.each("Webhooks", "Webhook", rows, decide, limit=limit, order=oldest_first)


def _apply(webhook: StripeWebhook, *, even_if_parsed: bool) -> Outcome:
    if not webhook.retry(even_if_parsed=even_if_parsed):
        return Outcome(skipped=SETTLED_MEANWHILE)
    return Outcome(done=APPLIED_WITH_ERROR if webhook.parse_error else APPLIED)
