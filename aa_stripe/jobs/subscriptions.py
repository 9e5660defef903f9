"""The jobs that cancel subscriptions whose end date is reached, and refresh changed ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from django.db.models import F, QuerySet

from aa_stripe import gateway
from aa_stripe.jobs.memory import remember
from aa_stripe.jobs.objects import ObjectRefresh
from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.refresh import UPDATED
from aa_stripe.jobs.report import SETTLED_MEANWHILE, Outcome, Report
from aa_stripe.jobs.run import Run, Watcher
from aa_stripe.models import ENDED, StripeSubscription, StripeSubscriptionQuerySet
from aa_stripe.models.claims import after, is_due
from aa_stripe.models.latest import Write
from aa_stripe.models.now import DatabaseNow
from aa_stripe.models.rows import in_order, stored, write_if

# Actions in the report.
CANCELED = "canceled"
ENDING = "set to end with the period"
ENDED_ALREADY = "already ended at Stripe"
WOULD_CANCEL = "would be canceled"
SIGNALS_SENT = "signals sent"


def end_due_subscriptions(
    *,
    at_period_end: bool = True,
    limit: int | None = None,
    rate: float | None = None,
    watcher: Watcher | None = None,
) -> Report:
    """Cancel every active subscription whose end date is reached, in the order of their ids.

    With ``at_period_end`` a subscription ends with its paid period, otherwise it ends now. A row
    that fails does not stop the others, unless Stripe rejects the API key several times in a row;
    it waits before a job tries it again, from one minute up to six hours.
    ``limit`` is the maximum number of subscriptions to try. ``rate`` is the maximum number of
    requests to Stripe per second; ``None`` means ``STRIPE_REQUESTS_PER_SECOND``.

    Two runs at the same time are safe. Raises ``ValueError`` if the rate is not above 0.
    """

    def end(key: int) -> Outcome:
        return _end(key, at_period_end=at_period_end)

    run = Run(watcher)
    with at_rate(rate):
        run.each("Subscriptions", "Subscription", _due(), end, limit=limit)
    remember("end_subscriptions", run.report)
    return run.report


def preview_due_subscriptions(
    *, limit: int | None = None, watcher: Watcher | None = None
) -> Report:
    """Return what ``end_due_subscriptions`` would do now; write nothing, do not call Stripe."""
    run = Run(watcher)
    with run.series("Subscriptions", _due()):
        for (key,) in in_order(_due()):
            if run.is_over() or run.report.done[WOULD_CANCEL] == limit:
                break
            run.note(f"Subscription id: {key}", Outcome(done=WOULD_CANCEL))
    return run.report


def _due() -> StripeSubscriptionQuerySet:
    return _rows().due_for_cancel().filter(is_due(DatabaseNow()))


def _rows() -> StripeSubscriptionQuerySet:
    return cast("StripeSubscriptionQuerySet", stored(StripeSubscription))


def _end(key: int, *, at_period_end: bool) -> Outcome:
    subscription = _due().filter(pk=key).first()
    if subscription is None:
        return Outcome(skipped=SETTLED_MEANWHILE)
    try:
        had_ended = subscription.cancel(at_period_end=at_period_end).status in ENDED
    except Exception as error:
        if not gateway.is_about_our_key(error):
            _postpone(subscription)
        raise
    if not at_period_end:
        return Outcome(done=CANCELED)
    return Outcome(done=ENDED_ALREADY if had_ended else ENDING)


def _postpone(subscription: StripeSubscription) -> None:
    """Delay the row, so that those behind it are reached even if a limit ends each run."""
    later = {"attempts": F("attempts") + 1, "retry_at": after(subscription.attempts)}
    write_if(subscription, {}, later)


def refresh_subscriptions(
    *,
    everything: bool = False,
    limit: int | None = None,
    rate: float | None = None,
    workers: int | None = None,
    dry_run: bool = False,
    watcher: Watcher | None = None,
) -> Report:
    """Update the rows of the subscriptions that have changed at Stripe; return a ``Report``.

    Stripe's events since the last complete run name those subscriptions. ``everything`` compares
    all rows with Stripe's listing instead, a hundred with each request. So does a run without a
    complete one in the last 29 days, or with another API key than that one's. After a complete
    listing, the subscription of each row that it did not contain is retrieved, unless it has
    ended. A subscription that fails does not stop the others, but the run is not complete then.

    ``limit`` is the maximum number of subscriptions to refresh; a run that reaches it is not
    complete. ``rate`` is the maximum number of requests to Stripe per second; ``None`` means
    ``STRIPE_REQUESTS_PER_SECOND``. ``workers`` is the number of subscriptions to work on at once;
    ``None`` means 4, and 1 on SQLite. ``dry_run`` reads from Stripe and writes nothing. At the end,
    signals that are due are sent.

    Two runs at the same time are safe. Raises ``ValueError`` if the rate is not above 0 or the
    number of workers is below 1.
    """
    job = SubscriptionRefresh(limit=limit, dry_run=dry_run, watcher=watcher, workers=workers)
    report = job.report(rate, everything=everything)
    if not dry_run:
        due = _rows().with_signal_due()
        job.run.each("Signals", "Subscription", due, _send_signals)
    return report


def _send_signals(key: int) -> Outcome:
    subscription = _rows().with_signal_due().filter(pk=key).first()
    if subscription is None:
        return Outcome(skipped=SETTLED_MEANWHILE)
    subscription.send_due_signals()
    return Outcome(done=SIGNALS_SENT)


class SubscriptionRefresh(ObjectRefresh[StripeSubscription]):
    job = "refresh_subscriptions"
    noun = "subscriptions"
    would = {UPDATED: "would be updated"}
    id_field = "stripe_subscription_id"
    event_types = StripeSubscription.EVENT_TYPES

    def listing(self) -> Iterator[gateway.JSON]:
        return gateway.all_subscriptions()

    def rows(self) -> QuerySet[StripeSubscription]:
        return stored(StripeSubscription).exclude(stripe_subscription_id="")

    def expected(self) -> QuerySet[StripeSubscription]:
        return self.rows().exclude(status__in=ENDED)

    def label(self, row: StripeSubscription) -> str:
        return f"Subscription id: {row.pk}"

    def row_of_each(
        self, objects: Sequence[gateway.JSON]
    ) -> Iterable[tuple[str, StripeSubscription]]:
        return StripeSubscription.of_each(objects)

    def named_in(self, event: gateway.JSON) -> Iterable[gateway.JSON]:
        return [StripeSubscription.named_in(event)]

    def refresh_listed(
        self, rows: Sequence[StripeSubscription], listed: gateway.JSON, write: Write
    ) -> None:
        StripeSubscription.refresh_listed(rows, listed, write)

    def refresh_rows(
        self, rows: Sequence[StripeSubscription], stripe_id: str, write: Write
    ) -> object:
        return StripeSubscription.refresh_rows(rows, stripe_id, write)
