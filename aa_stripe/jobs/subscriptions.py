"""Ending the subscriptions whose time is up."""

from __future__ import annotations

from typing import cast

from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.report import Outcome, Report
from aa_stripe.jobs.rows import in_order
from aa_stripe.jobs.run import Run, Watcher
from aa_stripe.models import StripeSubscription
from aa_stripe.models.rows import stored
from aa_stripe.models.subscription.model import ENDED, StripeSubscriptionQuerySet

# What is done, as the report counts it.
CANCELED = "canceled"
ENDING = "set to end with the period"
ENDED_ALREADY = "ended at Stripe already"
WOULD_CANCEL = "would be canceled"

# Why a subscription is left alone.
SETTLED_MEANWHILE = "settled by somebody else meanwhile"


def end_due_subscriptions(
    *,
    at_period_end: bool = True,
    limit: int | None = None,
    rate: float | None = None,
    watcher: Watcher | None = None,
) -> Report:
    """Cancel every active subscription whose end date is reached, in the order of their ids.

    With ``at_period_end`` each goes on until the end of what is paid for, otherwise it ends now.
    No row stops the others, unless Stripe refuses the API key for several in a row. ``limit`` is
    how many may be tried; ``rate`` is how many requests per second may go to Stripe, ``None``
    for ``STRIPE_REQUESTS_PER_SECOND``.

    Running it twice at once is safe. Raises ``ValueError`` for a rate that is not above 0.
    """

    def end(key: int) -> Outcome:
        return _end(key, at_period_end=at_period_end)

    run = Run(watcher)
    with at_rate(rate):
        run.each("Subscriptions", "Subscription", _due(), end, limit=limit)
    return run.report


def preview_due_subscriptions(
    *, limit: int | None = None, watcher: Watcher | None = None
) -> Report:
    """What ``end_due_subscriptions`` would do now; writes nothing, and asks Stripe nothing."""
    run = Run(watcher)
    with run.series("Subscriptions", _due()):
        for (key,) in in_order(_due()):
            if run.is_over() or run.report.done[WOULD_CANCEL] == limit:
                break
            run.note(f"Subscription id: {key}", Outcome(done=WOULD_CANCEL))
    return run.report


def _due() -> StripeSubscriptionQuerySet:
    return cast("StripeSubscriptionQuerySet", stored(StripeSubscription)).due_for_cancel()


def _end(key: int, *, at_period_end: bool) -> Outcome:
    subscription = _due().filter(pk=key).first()
    if subscription is None:
        return Outcome(skipped=SETTLED_MEANWHILE)
    had_ended = subscription.cancel(at_period_end=at_period_end).status in ENDED
    if not at_period_end:
        return Outcome(done=CANCELED)
    return Outcome(done=ENDED_ALREADY if had_ended else ENDING)
