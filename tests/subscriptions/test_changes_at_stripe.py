"""What is changed at Stripe, in the customer portal or the Dashboard, is what the row says."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
import stripe
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone as django_timezone

from aa_stripe.jobs import refresh_subscriptions
from aa_stripe.models import StripeSubscription, StripeSubscriptionPlan
from tests.support.builders import make_plan, make_subscription
from tests.support.requests import calls, refuse_next, when_done
from tests.webhooks.account import deliver, newest

RETRIEVE = "GET /v1/subscriptions/*"
UPDATE = "POST /v1/subscriptions/*"
DAY = timedelta(days=1)
MONTH = timedelta(days=31)

pytestmark = pytest.mark.django_db


def stored():
    return StripeSubscription.objects.get()


def modify(subscription, **params):
    """Change the subscription at Stripe, as the customer portal or the Dashboard does."""
    return stripe.Subscription.modify(subscription.stripe_subscription_id, **params)


def seconds_after(fake, delay):
    return int(fake.account.now + delay.total_seconds())


def switch(subscription, price_id):
    known = stripe.Subscription.retrieve(subscription.stripe_subscription_id)
    [item] = known["items"].data
    items = [{"id": item.id, "price": price_id}]
    return modify(subscription, items=items, proration_behavior="none")


# Ending


def test_a_subscription_with_a_date_of_cancellation_is_ending(active, fake):
    at = seconds_after(fake, 10 * DAY)
    modify(active, cancel_at=at)

    active.refresh_from_stripe()

    row = stored()
    assert row.cancel_at == datetime.fromtimestamp(at, timezone.utc)
    assert (row.at_period_end, row.is_ending, row.has_access) == (False, True, True)


def test_a_subscription_whose_cancellation_is_revoked_is_not_ending(active, fake):
    modify(active, cancel_at=seconds_after(fake, 10 * DAY))
    active.refresh_from_stripe()
    modify(active, cancel_at="")

    active.refresh_from_stripe()

    assert (stored().cancel_at, stored().is_ending) == (None, False)


def test_a_subscription_that_was_canceled_is_not_ending(active, fake):
    modify(active, cancel_at=seconds_after(fake, 10 * DAY))
    fake.advance((11 * DAY).total_seconds())

    active.refresh_from_stripe()

    assert (stored().status, stored().is_ending) == ("canceled", False)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/Los_Angeles"])
@pytest.mark.parametrize(
    ("end_date_is_in_days", "hours_after_that_day"),
    [(0, -1), (0, 0), (0, 30), (-1, -1), (-1, 0), (-1, 30), (-3, -1), (-3, 50)],
)
def test_a_subscription_is_due_if_stripe_ends_it_after_its_end_date(
    active, settings, zone, end_date_is_in_days, hours_after_that_day
):
    settings.TIME_ZONE = zone
    within_the_hour = django_timezone.localdate(django_timezone.now() + timedelta(hours=1))
    end_date = within_the_hour + timedelta(days=end_date_is_in_days)
    day_after = datetime.combine(end_date + DAY, datetime.min.time(), ZoneInfo(zone))
    cancel_at = day_after + timedelta(hours=hours_after_that_day)
    StripeSubscription.objects.update(end_date=end_date, cancel_at=cancel_at)

    due = list(StripeSubscription.objects.due_for_cancel())

    assert due == ([] if cancel_at < day_after else [active])


def test_a_subscription_that_ends_before_its_period_is_not_canceled_again(active, fake):
    at = seconds_after(fake, 3 * DAY)
    modify(active, cancel_at=at)

    returned = active.cancel(at_period_end=True)

    assert (returned.cancel_at, returned.cancel_at_period_end) == (at, False)
    assert stored().is_ending


def test_a_subscription_that_the_portal_ends_with_its_period_is_not_canceled_again(active, fake):
    [item] = fake.account.get("subscription", active.stripe_subscription_id)["items"]["data"]
    modify(active, cancel_at=item["current_period_end"])
    fake.requests.clear()

    active.cancel(at_period_end=True)

    assert calls(fake) == [RETRIEVE]
    assert stored().is_ending


def test_a_subscription_that_would_end_after_its_period_ends_with_it(active, fake):
    modify(active, cancel_at=seconds_after(fake, 100 * DAY))

    returned = active.cancel(at_period_end=True)

    [item] = returned["items"].data
    assert returned.cancel_at == item.current_period_end
    assert stored().at_period_end


CHANGES = {
    "canceled": lambda fake, it: stripe.Subscription.cancel(it.stripe_subscription_id),
    "set to end with its period": lambda fake, it: modify(it, cancel_at_period_end=True),
    "set to end at a time": lambda fake, it: modify(it, cancel_at=seconds_after(fake, DAY)),
}


@pytest.mark.parametrize("at_period_end", [False, True])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_cancellation_meanwhile_is_no_error(active, fake, change, at_period_end):
    when_done(fake, RETRIEVE, lambda: change(fake, active))

    returned = active.cancel(at_period_end=at_period_end)

    row = stored()
    known = fake.account.get("subscription", row.stripe_subscription_id)
    assert row.status == returned.status == known["status"]
    assert (row.at_period_end, row.cancel_at is None) == (
        known["cancel_at_period_end"],
        known["cancel_at"] is None,
    )
    assert row.status == "canceled" or row.is_ending


def test_another_refusal_of_the_cancellation_is_raised(active, fake):
    refuse_next(fake, UPDATE)

    with pytest.raises(stripe.InvalidRequestError, match="unknown"):
        active.cancel(at_period_end=True)

    assert not stored().is_ending


# Pauses


@pytest.mark.parametrize("behavior", ["keep_as_draft", "mark_uncollectible", "void"])
def test_a_paused_collection_gives_no_access(active, fake, behavior):
    modify(active, pause_collection={"behavior": behavior})
    fake.advance(MONTH.total_seconds())

    active.refresh_from_stripe()

    row = stored()
    assert (row.status, row.pause_collection, row.has_access) == ("active", behavior, False)
    assert len(fake.account.all("charge")) == 1


def test_a_resumed_collection_gives_access_again(active):
    modify(active, pause_collection={"behavior": "void"})
    active.refresh_from_stripe()
    modify(active, pause_collection="")

    active.refresh_from_stripe()

    assert (stored().pause_collection, stored().has_access) == ("", True)


def test_a_paused_subscription_is_not_ending(active):
    modify(active, pause_collection={"behavior": "void"})

    active.cancel(at_period_end=True)

    assert not stored().is_ending


def has_access(subscription):
    """Grant access to whom the default does not, and the reverse."""
    return not subscription.is_current


def test_a_site_decides_who_has_access(active, settings):
    settings.STRIPE_SUBSCRIPTION_HAS_ACCESS = f"{__name__}.has_access"
    assert not active.has_access

    active.pause_collection = "void"

    assert active.has_access


# Plans


def test_the_plan_follows_a_switch_at_stripe(active):
    silver = make_plan(name="silver")
    switch(active, silver.stripe_plan_id)

    active.refresh_from_stripe()

    row = stored()
    assert (row.plan, row.stripe_price_id) == (silver, silver.stripe_plan_id)
    assert active.plan == silver


def test_a_row_keeps_its_plan_if_no_plan_stands_for_the_price(active):
    plan, unknown = active.plan, make_plan(name="silver")
    StripeSubscriptionPlan.objects.filter(pk=unknown.pk).delete()
    switch(active, unknown.stripe_plan_id)

    active.refresh_from_stripe()

    row = stored()
    assert (row.plan, row.stripe_price_id) == (plan, unknown.stripe_plan_id)


def test_a_row_keeps_its_plan_if_another_plan_stands_for_the_same_price(active):
    plan = active.plan
    twin = StripeSubscriptionPlan.objects.create(
        name="twin", amount=5000, interval="month", stripe_plan_id=plan.stripe_plan_id
    )
    StripeSubscription.objects.update(plan=twin)

    stored().refresh_from_stripe()

    assert stored().plan == twin


def test_an_object_read_before_two_switches_writes_the_plan_of_the_price(active):
    gold, silver = active.plan, make_plan(name="silver")
    stale = stored()
    switch(active, silver.stripe_plan_id)
    active.refresh_from_stripe()
    switch(active, gold.stripe_plan_id)

    stale.refresh_from_stripe()

    assert (stored().plan, stored().stripe_price_id) == (gold, gold.stripe_plan_id)


@pytest.fixture
def outdated(active):
    """A row without the values of columns that were added after it was written."""
    silver = make_plan(name="silver")
    switch(active, silver.stripe_plan_id)
    active.refresh_from_stripe()
    old = make_plan(name="old")
    StripeSubscription.objects.update(plan=old, stripe_price_id="")
    return silver


def test_a_listing_fills_the_columns_of_an_old_row_without_another_request(outdated, fake):
    fake.requests.clear()

    refresh_subscriptions(everything=True)

    assert calls(fake) == ["GET /v1/subscriptions"]
    assert (stored().plan, stored().stripe_price_id) == (outdated, outdated.stripe_plan_id)


def test_a_listing_of_unchanged_subscriptions_costs_the_same_for_any_number(db, fake):
    def number_of_statements(number):
        for _ in range(number):
            make_subscription().create_at_stripe()
        with CaptureQueriesContext(connection) as captured:
            refresh_subscriptions(everything=True)
        return len(captured)

    number_of_statements(1)  # the first run creates the row of the job

    assert number_of_statements(1) == number_of_statements(3)


def test_an_event_switches_the_plan(active, fake):
    silver = make_plan(name="silver")
    switch(active, silver.stripe_plan_id)

    deliver(fake, newest(fake, "customer.subscription.updated"))

    assert stored().plan == silver


def test_a_new_subscription_has_the_id_of_its_price(active):
    assert stored().stripe_price_id == active.plan.stripe_plan_id
