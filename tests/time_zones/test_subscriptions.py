"""Subscriptions, with and without ``USE_TZ``, in each time zone."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from aa_stripe.models import StripeSubscription
from aa_stripe.models.subscription import queryset
from aa_stripe.utils import local_date
from tests.jobs.conftest import run  # noqa: F401 (a fixture)
from tests.support.builders import make_subscription
from tests.support.rows import row_of
from tests.time_zones.conftest import REPEATED_HOUR, is_recent, stored_time
from tests.webhooks.account import NEW, deliver, errors, events_of

pytestmark = pytest.mark.django_db

LAST_DAY = date(2026, 6, 30)


@pytest.fixture
def active(db, moment):
    row = make_subscription(end_date=local_date(moment))
    row.create_at_stripe()
    return row


def canceled_at(fake):
    [subscription] = fake.account.all("subscription")
    return subscription["canceled_at"]


@pytest.mark.parametrize("at_period_end", [True, False])
def test_the_time_of_cancel_is_stored(active, fake, moment, at_period_end):
    active.cancel(at_period_end=at_period_end)

    row = row_of(active)
    assert moment <= canceled_at(fake) < moment + 60
    assert active.canceled_at == row.canceled_at == stored_time(canceled_at(fake))
    assert row.at_period_end == at_period_end
    assert is_recent(row.updated)
    assert is_recent(row.created)


def test_refreshing_stores_the_time_of_a_cancellation_in_the_dashboard(active, fake):
    fake.dashboard_cancel_subscription(active.stripe_subscription_id)

    active.refresh_from_stripe()

    assert row_of(active).canceled_at == stored_time(canceled_at(fake))


def test_every_event_of_a_subscription_is_applied(active, fake):
    fake.dashboard_cancel_subscription(active.stripe_subscription_id)

    statuses = deliver(fake, *events_of(fake))

    assert set(statuses) == {NEW}
    assert errors(fake) == {}
    assert row_of(active).canceled_at == stored_time(canceled_at(fake))


def test_refresh_subscriptions_stores_the_time_once(active, fake, run):  # noqa: F811
    fake.dashboard_cancel_subscription(active.stripe_subscription_id)

    first, second = (run("refresh_subscriptions", "--all").stdout for _ in range(2))

    assert (first, second) == ("updated: 1\n", "unchanged: 1\n")
    assert row_of(active).canceled_at == stored_time(canceled_at(fake))


@pytest.fixture
def at(monkeypatch):
    """``at(seconds)`` sets the clock by which subscriptions are due."""

    def at(seconds):
        monkeypatch.setattr(queryset, "now", lambda: seconds)

    return at


@pytest.mark.parametrize(("seconds_before", "days"), [(3601, 1), (3600, 0)])
def test_a_subscription_is_due_an_hour_before_its_end_date_begins_in_local_time(
    fake, zone, at, seconds_before, days
):
    begin = datetime.combine(LAST_DAY, time(), tzinfo=ZoneInfo(zone))
    for day in range(-1, 2):
        row = make_subscription(end_date=LAST_DAY + timedelta(days=day))
        row.create_at_stripe()
    at(begin.timestamp() - seconds_before)

    due = StripeSubscription.get_subscriptions_for_cancel()

    assert max(it.end_date for it in due) == LAST_DAY - timedelta(days=days)
    assert due.count() == 2 - days


def test_the_repeated_hour_has_a_date(zone, at, fake):
    row = make_subscription(end_date=local_date(REPEATED_HOUR))
    row.create_at_stripe()
    at(REPEATED_HOUR)

    assert StripeSubscription.get_subscriptions_for_cancel().get() == row


@pytest.mark.parametrize("options", [{}, {"at_period_end": True}])
def test_due_subscriptions_are_ended(active, fake, at, moment, options):
    at(moment)

    StripeSubscription.end_subscriptions(**options)

    assert row_of(active).canceled_at == stored_time(canceled_at(fake))


@pytest.mark.parametrize("options", [[], ["--now"]])
def test_the_command_ends_due_subscriptions(active, fake, run, at, moment, options):  # noqa: F811
    at(moment)

    ran = run("end_subscriptions", *options)

    assert ran.status == 0
    assert row_of(active).canceled_at == stored_time(canceled_at(fake))
