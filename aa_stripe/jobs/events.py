"""The job that finds and recovers events that Stripe has, but never delivered.

https://docs.stripe.com/webhooks/process-undelivered-events
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from aa_stripe import gateway
from aa_stripe.inbox import apply_received, store_event
from aa_stripe.jobs.memory import remember
from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.pages import pages
from aa_stripe.jobs.report import Outcome, Report
from aa_stripe.jobs.run import Run, Watcher, attempt
from aa_stripe.jobs.watched import watched_crew_of
from aa_stripe.jobs.webhooks import APPLIED, APPLIED_WITH_ERROR, OTHER_MODE, given_up
from aa_stripe.models import StripeWebhook
from aa_stripe.models.rows import stored
from aa_stripe.settings import stripe_settings
from aa_stripe.webhooks import is_of

#: The default window, the longest one that Stripe lists, and how long a delivery may take.
WINDOW = timedelta(days=3)
LONGEST_WINDOW = timedelta(days=30)
GRACE = timedelta(seconds=300)

#: The token of the claim with which an event is inserted.
CLAIM_OF_INSERT = 1

# Actions in the report.
MISSING = "missing"
STORED = "stored"

# Reasons in the report why a missing event is skipped.
DELIVERED_MEANWHILE = "delivered in the meantime"
GONE = "no longer kept by Stripe"


@dataclass
class Pending:
    """The run's report, and the ids of the events that are still missing, oldest first."""

    report: Report
    missing: list[str] = field(default_factory=list)


def check_pending_webhooks(
    *,
    since: timedelta = WINDOW,
    grace: timedelta = GRACE,
    recover: bool = False,
    dry_run: bool = False,
    limit: int | None = None,
    rate: float | None = None,
    watcher: Watcher | None = None,
) -> Pending:
    """Compare Stripe's events with the stored ones, and return those that are missing.

    Covers the events of the types in ``STRIPE_WEBHOOK_EVENT_TYPES`` that are younger than
    ``since`` (at most 30 days) and older than ``grace``. With ``recover`` the missing events are
    stored and applied, oldest first, whatever the processor is; ``dry_run`` writes nothing. An
    event that fails does not stop the others. ``limit`` is the maximum number of events to
    recover. ``rate`` is the maximum number of requests to Stripe per second; ``None`` means
    ``STRIPE_REQUESTS_PER_SECOND``.

    Raises ``ValueError`` if the window is empty or longer than Stripe keeps events, or if the
    rate is not above 0.
    """
    if not timedelta(0) <= grace < since <= LONGEST_WINDOW:
        raise ValueError(
            "The window must begin at most 30 days ago (since) and before its end (grace)."
        )
    run = Run(watcher)
    with at_rate(rate):
        missing = _missing(run, since, grace)
        if recover and not dry_run:
            missing = _recovered(run, missing, limit)
    if not dry_run and len(missing) <= stripe_settings.PENDING_WEBHOOKS_THRESHOLD:
        remember("check_pending_webhooks", run.report)
    return Pending(run.report, missing)


# Finding


def _missing(run: Run, since: timedelta, grace: timedelta) -> list[str]:
    """Return the ids of events that are not stored; record an error of the listing as a failure."""
    found: list[str] = []
    now = time.time()
    first, last = int(now - since.total_seconds()), int(now - grace.total_seconds())
    listing = partial(gateway.events, first, last, _types_of_listing())
    with run.counting("Events", lambda: None):
        for events, error in pages(listing):
            types = wanted_types()
            wanted = [it["id"] for it in events if _is_wanted(it["type"], types)]
            missing = _not_stored(wanted)
            for event_id in wanted:
                is_missing = event_id in missing
                run.note(_label(event_id), Outcome(done=MISSING if is_missing else STORED))
            found += missing
            if error is not None:
                run.note("The listing of Stripe's events", Outcome(error=error))
            if run.is_over():
                break
    return found[::-1]


def _label(event_id: str) -> str:
    return f"Webhook id: {event_id}"


def _types_of_listing() -> Sequence[str]:
    """Return the types to filter the listing by; empty if Stripe cannot filter by them."""
    types = wanted_types()
    are_exact = all("*" not in it for it in types)
    return types if are_exact and len(types) <= gateway.MAX_EVENT_TYPES else ()


def wanted_types() -> Sequence[str]:
    """Return the types that the endpoint is subscribed to; empty stands for all."""
    return stripe_settings.WEBHOOK_EVENT_TYPES or ()


def _is_wanted(event_type: str, types: Sequence[str]) -> bool:
    return not types or any(is_of(event_type, it) for it in types)


def _not_stored(ids: list[str]) -> list[str]:
    known = set(stored(StripeWebhook).filter(pk__in=ids).values_list("pk", flat=True))
    return [id for id in ids if id not in known]


# Recovering


def _recovered(run: Run, missing: list[str], limit: int | None) -> list[str]:
    """Store and apply the missing events; return the ids that are still missing."""
    still: list[str] = []
    crew = watched_crew_of(
        None,
        partial(attempt, _recover),
        stored(StripeWebhook).db,
        time_limit=stripe_settings.WEBHOOK_HANDLER_TIMEOUT,
        give_up=_give_up,
    )
    with run.counting("Missing events", lambda: len(missing)), crew:
        for tried, event_id in enumerate(missing):
            if run.is_over() or tried == limit:
                return still + missing[tried:]
            crew.give(event_id)
            _id, outcome = crew.take_result()
            run.note(_label(event_id), outcome)
            if outcome.error is not None or outcome.skipped == GONE:
                still += _not_stored([event_id])
    return still


def _give_up(event_id: str, stack: str) -> Outcome:
    return given_up(event_id, CLAIM_OF_INSERT, stack)


def _recover(event_id: str) -> Outcome:
    try:
        event = gateway.retrieve_event(event_id)
    except gateway.InvalidRequestError as error:
        if error.http_status != 404:
            raise
        return Outcome(skipped=GONE)
    received = store_event(gateway.to_json(event))
    webhook = received.webhook
    if webhook.is_of_wrong_mode():
        return Outcome(skipped=OTHER_MODE)
    # A new event that is parsed has no handler.
    is_applied = received.is_new if webhook.is_parsed else apply_received(received)
    if not is_applied:
        return Outcome(skipped=DELIVERED_MEANWHILE)
    return Outcome(done=APPLIED_WITH_ERROR if webhook.parse_error else APPLIED)
