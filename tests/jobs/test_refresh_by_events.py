"""``refresh_customers`` and ``refresh_subscriptions`` refresh what Stripe's events name."""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
import stripe
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from stripe.params import WebhookEndpointCreateParams

from aa_stripe import gateway
from aa_stripe.jobs import Watcher, memory, objects, refresh_customers, refresh_subscriptions
from aa_stripe.jobs.customers import CustomerRefresh
from aa_stripe.jobs.subscriptions import SubscriptionRefresh
from aa_stripe.models import StripeCustomer, StripeJobRun, StripeSubscription
from aa_stripe.testing import Fault
from aa_stripe.webhooks import registry
from tests.support.builders import make_customer, make_subscription, make_user
from tests.support.requests import calls, endpoint_of, fail_second_page, requests_to, when_done
from tests.support.rows import lose
from tests.support.statements import about_the_run, statements

EVENTS = "GET /v1/events"

pytestmark = pytest.mark.django_db


def changed_customer():
    """Return a customer whose description was changed at Stripe."""
    customer = make_customer()
    stripe.Customer.modify(customer.stripe_customer_id, description="changed")
    return customer


def canceled_subscription():
    """Return a subscription that was canceled at Stripe."""
    subscription = make_subscription()
    subscription.create_at_stripe()
    stripe.Subscription.cancel(subscription.stripe_subscription_id)
    return subscription


@dataclass
class Noun:
    """A job, and what the tests need to know about what it refreshes."""

    job: str
    function: Any
    refresh: Any
    model: Any
    listing: str
    requests_for_one: int
    changed: Any
    read: Any
    expected: Any
    statements: int  # of a run without changes, those about the run left out
    stale: dict  # the values of a row that was not refreshed for long


CUSTOMERS = Noun(
    job="refresh_customers",
    function=refresh_customers,
    refresh=CustomerRefresh,
    model=StripeCustomer,
    listing="GET /v1/customers",
    requests_for_one=2,  # the customer and its payment methods
    changed=changed_customer,
    read=lambda row: row.stripe_response["description"],
    expected="changed",
    statements=1,
    stale={"stripe_response": {"stale": True}},
)
SUBSCRIPTIONS = Noun(
    job="refresh_subscriptions",
    function=refresh_subscriptions,
    refresh=SubscriptionRefresh,
    model=StripeSubscription,
    listing="GET /v1/subscriptions",
    requests_for_one=1,
    changed=canceled_subscription,
    read=lambda row: row.status,
    expected="canceled",
    statements=2,  # the second one looks for signals that are due
    stale={"stripe_response": {"stale": True}, "status": "active"},
)


@pytest.fixture(params=[CUSTOMERS, SUBSCRIPTIONS], ids=lambda noun: noun.job)
def noun(request, fake):
    return request.param


@pytest.fixture
def refreshed(noun, run, fake):
    """``refreshed(days=2)`` runs everything, as if that long ago; events before are older."""

    def refreshed(**age):
        run(noun.job, "--all")
        ago = timedelta(**age)
        StripeJobRun.objects.filter(pk=noun.job).update(refreshed_until=timezone.now() - ago)
        for event in fake.account.all("event"):
            event["created"] -= int(ago.total_seconds()) + 3600
        fake.requests.clear()

    return refreshed


@pytest.fixture
def refreshed_customers(run, fake):
    def refreshed():
        run("refresh_customers", "--all")
        for event in fake.account.all("event"):
            event["created"] -= 3600

    return refreshed


def read(noun, row):
    return noun.read(noun.model.objects.get(pk=row.pk))


def is_up_to_date(noun, row):
    return read(noun, row) == noun.expected


# Which rows are refreshed


def test_the_first_run_goes_through_everything(noun, fake, run):
    row = noun.changed()
    fake.requests.clear()

    ran = run(noun.job)

    assert is_up_to_date(noun, row)
    assert ran.stdout == "updated: 1\n"
    assert calls(fake)[0] == noun.listing
    assert requests_to(fake, EVENTS) == []


def test_what_an_event_names_is_refreshed(noun, refreshed, fake, run):
    refreshed(days=1)
    row = noun.changed()
    fake.requests.clear()

    ran = run(noun.job)

    assert is_up_to_date(noun, row)
    assert ran.stdout == "updated: 1\n"
    assert calls(fake)[0] == EVENTS
    assert len(fake.requests) == 1 + noun.requests_for_one
    assert requests_to(fake, noun.listing) == []


def test_nothing_but_the_events_is_read_if_nothing_has_changed(noun, refreshed, fake, run):
    noun.changed()
    refreshed(days=1)

    ran = run(noun.job)

    assert ran.stdout == ""
    assert calls(fake) == [EVENTS]


def test_a_run_without_changes_costs_the_same_statements_for_any_number_of_rows(noun, refreshed):
    counts = []
    for number in (1, 20):
        noun.model.objects.all().delete()
        for _ in range(number):
            noun.changed()
        refreshed(days=1)
        with CaptureQueriesContext(connection) as captured:
            noun.function()
        counts.append((len(statements(captured)), len(about_the_run(captured))))

    assert counts == [(noun.statements, 2), (noun.statements, 2)]


def test_an_object_named_by_several_events_is_read_once(noun, refreshed, fake, run):
    refreshed(days=1)
    row = noun.changed()
    [event, *_] = fake.account.all("event")
    fake.account.add("event", **{**event, "id": "evt_again"})
    fake.requests.clear()

    run(noun.job)

    assert is_up_to_date(noun, row)
    assert len(fake.requests) == 1 + noun.requests_for_one


def test_objects_that_are_only_at_stripe_cost_no_request(noun, refreshed, fake, run):
    refreshed(days=1)
    noun.changed()
    lose(noun.model.objects.all())
    fake.requests.clear()

    ran = run(noun.job)

    assert ran.stdout == f"skipped ({objects.NOT_HERE}): 1\n"
    assert calls(fake) == [EVENTS]


def test_a_row_added_since_the_last_run_is_refreshed_without_an_event(noun, refreshed, fake, run):
    row = noun.changed()
    refreshed(days=1)
    noun.model.objects.update(stripe_response={}, created=timezone.now())

    ran = run(noun.job)

    assert is_up_to_date(noun, row)
    assert ran.stdout == "updated: 1\n"


def test_an_old_row_that_gets_its_id_later_is_refreshed_without_an_event(
    run, fake, refreshed_customers
):
    customer = make_customer()
    stripe_id = customer.stripe_customer_id
    long_ago = timezone.now() - timedelta(days=2)
    StripeCustomer.objects.update(
        stripe_customer_id="", stripe_response={}, sources=[], created=long_ago, updated=long_ago
    )
    refreshed_customers()
    row = StripeCustomer.objects.get()
    row.stripe_customer_id = stripe_id
    row.save()

    run("refresh_customers")

    assert len(StripeCustomer.objects.get().sources) == 1


def test_events_of_the_minutes_before_the_last_run_are_read_again(noun, refreshed, fake, run):
    refreshed(days=1)
    row = noun.changed()
    for event in fake.account.all("event"):
        event["created"] = fake.now - int((timedelta(days=1) + objects.OVERLAP).total_seconds()) + 5

    run(noun.job)

    assert is_up_to_date(noun, row)


@pytest.mark.parametrize(("days", "endpoint"), [(28.9, EVENTS), (29.1, None)])
def test_after_29_days_everything_is_compared(noun, refreshed, fake, run, days, endpoint):
    refreshed(days=days)

    run(noun.job)

    assert calls(fake)[0] == (endpoint or noun.listing)


def test_a_run_in_the_future_is_that_of_a_wrong_clock(noun, refreshed, fake, run):
    refreshed(days=-1)

    run(noun.job)

    assert calls(fake)[0] == noun.listing


def test_no_events_are_missed_when_the_clocks_are_put_forward(noun, fake, settings):
    settings.USE_TZ = False
    settings.TIME_ZONE = "Europe/Berlin"
    after = datetime.fromisoformat("2026-03-29T03:05:00")  # naive: there was no 02:55

    noun.refresh(limit=None, dry_run=True, watcher=None)._changed(after)

    [request] = requests_to(fake, EVENTS)
    asked_since = int(request.params["created"]["gte"])
    assert asked_since == after.timestamp() - objects.OVERLAP.total_seconds()


def test_all_compares_everything(noun, refreshed, fake, run):
    row = noun.changed()
    refreshed(days=1)
    noun.model.objects.update(**noun.stale)

    ran = run(noun.job, "--all")

    assert is_up_to_date(noun, row)
    assert ran.stdout == "updated: 1\n"
    assert requests_to(fake, EVENTS) == []


def test_every_page_of_the_events_is_read(noun, refreshed, fake, run):
    refreshed(days=1)
    row = noun.changed()
    for _ in range(100):
        fake.account.add("event", type=noun.refresh.event_types[-1], data={"object": {}})

    run(noun.job)

    assert is_up_to_date(noun, row)
    assert len(requests_to(fake, EVENTS)) == 2


ODD = [
    None,
    [],
    {},
    {"object": None},
    {"object": []},
    {"object": {"id": 7}},
    {"object": {"id": ""}},
    {"object": {"id": "x", "object": 3, "metadata": []}},
    {"object": {"id": "x", "customer": 7, "metadata": 3}},
]


@pytest.mark.parametrize("data", ODD, ids=str)
def test_an_odd_event_does_not_stop_the_run(noun, refreshed, fake, run, data):
    refreshed(days=1)
    row = noun.changed()
    fake.account.add("event", type=noun.refresh.event_types[0], data=data)

    ran = run(noun.job)

    assert is_up_to_date(noun, row)
    assert ran.status == 0


def test_a_signal_ends_the_listing_of_events(noun, refreshed, fake):
    refreshed(days=1)
    for _ in range(300):
        fake.account.add("event", type=noun.refresh.event_types[-1], data={"object": {}})
    watcher = Watcher()

    def stop():
        watcher.stop_reason = "received SIGTERM"

    when_done(fake, EVENTS, stop)

    report = noun.function(watcher=watcher)

    assert report.stopped == "received SIGTERM"
    assert calls(fake) == [EVENTS]


# What is remembered


def test_a_complete_run_is_where_the_next_one_begins(noun, refreshed, run):
    refreshed(days=3)
    before = timezone.now()

    run(noun.job)

    remembered = StripeJobRun.objects.get(pk=noun.job)
    assert before <= remembered.refreshed_until <= remembered.ended_well <= timezone.now()


def test_the_next_run_begins_where_this_one_began(noun, fake):
    times = []
    fake.before_request.append(lambda request: times.append(timezone.now()))

    noun.function()

    assert StripeJobRun.objects.get().refreshed_until <= times[0]


def test_a_run_that_was_stopped_is_not_remembered(noun, fake):
    watcher = Watcher()
    watcher.stop_reason = "received SIGTERM"

    noun.function(watcher=watcher)

    assert not StripeJobRun.objects.exists()


def test_a_limit_that_is_reached_after_the_listing_makes_the_run_incomplete(fake):
    for _ in range(2):
        fake.dashboard_delete_customer(make_customer().stripe_customer_id)

    refresh_customers(limit=1)

    assert not StripeJobRun.objects.filter(refreshed_until__isnull=False).exists()


def fail_to_refresh(noun, fake):
    one = {
        "refresh_customers": "GET /v1/customers/*",
        "refresh_subscriptions": "GET /v1/subscriptions/*",
    }
    fake.fail_next(one[noun.job], Fault.ERROR_500_BEFORE)


@pytest.mark.parametrize("words", [(), ("--all",)], ids=["events", "all"])
def test_a_run_with_a_failure_is_repeated_from_where_it_began(noun, refreshed, fake, run, words):
    refreshed(days=3)
    remembered = StripeJobRun.objects.values().get(pk=noun.job)
    row = noun.changed()
    fail_to_refresh(noun, fake)

    ran = run(noun.job, *words)

    assert ran.status == 1
    assert StripeJobRun.objects.values().get(pk=noun.job) == remembered
    run(noun.job)
    assert is_up_to_date(noun, row)


def test_a_listing_of_events_that_breaks_off_is_not_complete(noun, refreshed, fake, run):
    refreshed(days=3)
    remembered = StripeJobRun.objects.values().get(pk=noun.job)
    for _ in range(101):
        fake.account.add("event", type=noun.refresh.event_types[0], data={"object": {}})
    fail_second_page(fake, EVENTS)

    ran = run(noun.job)

    assert ran.status == 1
    assert "The listing of Stripe's events" in ran.stdout
    assert StripeJobRun.objects.values().get(pk=noun.job) == remembered


@pytest.mark.parametrize("words", [(), ("--all",)], ids=["events", "all"])
def test_a_run_that_reaches_its_limit_is_not_complete(noun, refreshed, run, words):
    refreshed(days=3)
    until = StripeJobRun.objects.get(pk=noun.job).refreshed_until
    noun.changed()

    ran = run(noun.job, "--limit", "1", *words)

    assert ran.status == 0
    remembered = StripeJobRun.objects.get(pk=noun.job)
    assert remembered.refreshed_until == until
    assert timezone.now() - remembered.ended_well < timedelta(minutes=1)


@pytest.mark.parametrize("words", [(), ("--all",)], ids=["events", "all"])
def test_a_dry_run_writes_nothing(noun, refreshed, fake, run, words):
    refreshed(days=3)
    row = noun.changed()
    before = list(noun.model.objects.values()), list(StripeJobRun.objects.values())

    with CaptureQueriesContext(connection) as captured:
        ran = run(noun.job, "--dry-run", *words)

    assert ran.stdout == "would be updated: 1\n"
    assert (list(noun.model.objects.values()), list(StripeJobRun.objects.values())) == before
    assert all(sql.startswith("SELECT") for sql in statements(captured) + about_the_run(captured))
    assert not is_up_to_date(noun, row)


def test_with_the_key_of_another_account_everything_is_compared(
    noun, refreshed, run, settings, fake
):
    refreshed(days=1)
    settings.STRIPE_API_KEY += "other"

    assert memory.last_refresh(noun.job) is None


def test_the_api_key_cannot_be_read_from_what_is_stored(noun, refreshed, settings):
    refreshed(days=1)

    stored = StripeJobRun.objects.get(pk=noun.job)
    assert re.fullmatch("[0-9a-f]{64}", stored.key_digest)
    assert settings.STRIPE_API_KEY not in str(StripeJobRun.objects.values().get(pk=noun.job))


# Changes meanwhile


def test_a_row_that_another_process_refreshes_meanwhile_has_what_stripe_said_last(
    run, fake, refreshed_customers
):
    customer = make_customer()
    refreshed_customers()
    stripe.Customer.modify(customer.stripe_customer_id, description="changed")

    def change():
        stripe.Customer.modify(customer.stripe_customer_id, description="newest")
        StripeCustomer.objects.get(pk=customer.pk).refresh_from_stripe()

    when_done(fake, "GET /v1/customers/*", change)

    run("refresh_customers")

    assert StripeCustomer.objects.get().stripe_response["description"] == "newest"


def test_a_row_that_is_overwritten_after_it_was_read_is_written_again(
    run, fake, refreshed_customers
):
    customers = [make_customer() for _ in range(2)]
    refreshed_customers()
    for each in customers:
        described = StripeCustomer.objects.get(pk=each.pk).stripe_response["description"]
        stripe.Customer.modify(each.stripe_customer_id, description=described)

    def overwrite():
        StripeCustomer.objects.update(stripe_response={"id": "older"}, updated=timezone.now())

    when_done(fake, "GET /v1/customers/*/payment_methods", overwrite)

    run("refresh_customers")

    responses = StripeCustomer.objects.values_list("stripe_response", flat=True)
    assert "older" not in [it["id"] for it in responses]


@pytest.mark.parametrize("noun", [CUSTOMERS], indirect=True)
def test_a_deleted_customer_whose_row_is_saved_during_the_run_is_deactivated(noun, run, fake):
    customer = make_customer()
    fake.dashboard_delete_customer(customer.stripe_customer_id)
    when_done(fake, noun.listing, lambda: StripeCustomer.objects.get().save())

    run(noun.job, "--all")

    assert not StripeCustomer.objects.get().is_active


def test_subscriptions_that_the_listing_does_not_contain_are_retrieved(run, fake, monkeypatch):
    ended, other = canceled_subscription(), canceled_subscription()
    StripeSubscription.objects.filter(pk=ended.pk).update(status="incomplete_expired")
    fake.requests.clear()
    monkeypatch.setattr(gateway, "all_subscriptions", lambda: iter(()))

    ran = run("refresh_subscriptions", "--all")

    assert [it.path for it in fake.requests] == [
        f"/v1/subscriptions/{other.stripe_subscription_id}"
    ]
    assert ran.stdout == "updated: 1\n"


def test_a_subscription_unknown_to_stripe_stays_unchanged(run, fake):
    subscription = make_subscription(
        stripe_subscription_id="sub_other", is_created_at_stripe=True, status="active"
    )

    ran = run("refresh_subscriptions", "--all")

    subscription.refresh_from_db()
    assert subscription.status == "active"
    assert (ran.status, ran.stdout) == (0, f"skipped ({objects.NOT_AT_STRIPE}): 1\n")


def test_a_canceled_subscription_is_stored_without_time_zones(run, fake, settings):
    settings.USE_TZ = False
    subscription = canceled_subscription()

    first, second = (run("refresh_subscriptions", "--all").stdout for _ in range(2))

    subscription.refresh_from_db()
    assert subscription.canceled_at.tzinfo is None
    assert (first, second) == ("updated: 1\n", "unchanged: 1\n")


def test_a_request_that_stripe_refuses_is_a_failure(run, fake, refreshed_customers):
    refreshed_customers()
    changed_customer()

    def spoil(request):
        if endpoint_of(request) == "GET /v1/customers/*":
            request.params["nonsense"] = "1"

    fake.before_request.append(spoil)

    ran = run("refresh_customers")

    assert ran.status == 1
    assert "Received unknown parameter: nonsense" in ran.stdout


@pytest.mark.django_db(transaction=True)
def test_many_workers_may_fail_at_once(fake):
    for _ in range(16):
        make_customer()
    fake.fail_next("GET /v1/customers/*/payment_methods", Fault.ERROR_500_BEFORE, times=16)

    report = refresh_customers(everything=True, workers=16)

    assert len(report.failed) == 16
    assert not report.stopped


def test_a_deleted_customer_is_deactivated(run, fake):
    customer = make_customer()
    run("refresh_customers")
    fake.dashboard_delete_customer(customer.stripe_customer_id)

    ran = run("refresh_customers")

    customer.refresh_from_db()
    assert not customer.is_active
    assert ran.stdout == "deactivated (deleted at Stripe): 1\n"


def test_a_detached_card_is_removed_from_its_former_customer(run, fake, refreshed_customers):
    customer = make_customer()
    refreshed_customers()
    stripe.PaymentMethod.detach(customer.default_source)

    run("refresh_customers")

    customer.refresh_from_db()
    assert customer.sources == []


def test_a_subscription_whose_id_was_lost_is_found_by_its_uuid(run, fake):
    run("refresh_subscriptions")
    subscription = make_subscription()
    stripe_id = subscription.create_at_stripe().id
    StripeSubscription.objects.update(
        stripe_subscription_id="", is_created_at_stripe=False, stripe_response={}
    )

    run("refresh_subscriptions")

    subscription.refresh_from_db()
    assert subscription.stripe_subscription_id == stripe_id
    assert subscription.is_created_at_stripe


def test_a_subscription_without_a_customer_gets_it(run, fake):
    subscription = canceled_subscription()
    StripeSubscription.objects.update(customer=None)

    run("refresh_subscriptions")

    subscription.refresh_from_db()
    assert subscription.customer == StripeCustomer.objects.get()
    assert subscription.status == "canceled"


# The types of events


def enabled_events():
    """Return the types of events that the SDK knows."""
    source = inspect.getsource(sys.modules[WebhookEndpointCreateParams.__module__])
    return set(re.findall(r'"([a-z_]+(?:\.[a-z_]+)+)"', source))


def test_stripe_has_the_types_that_are_asked_for(noun):
    assert set(noun.refresh.event_types) <= enabled_events()


def test_each_type_that_is_asked_for_has_a_handler(noun):
    assert all(registry.handlers_of(it) for it in noun.refresh.event_types)


@pytest.mark.parametrize(
    ("refresh", "prefixes"),
    [(CustomerRefresh, ("customer.source.",)), (SubscriptionRefresh, ("customer.subscription.",))],
)
def test_all_types_of_a_kind_are_asked_for(refresh, prefixes):
    assert {it for it in enabled_events() if it.startswith(prefixes)} <= set(refresh.event_types)


def test_the_user_of_a_row_that_is_named_keeps_its_other_fields(run, refreshed_customers):
    customer = make_customer()
    refreshed_customers()
    user = make_user()
    StripeCustomer.objects.update(user=user)
    stripe.Customer.modify(customer.stripe_customer_id, description="changed")

    run("refresh_customers")

    customer.refresh_from_db()
    assert customer.user == user
