"""Events about a subscription and its invoices."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
import stripe
from django.db import connection

from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models import StripeSubscription, StripeWebhook
from aa_stripe.models.subscription.subscribe import UUID_KEY
from aa_stripe.testing import FakeStripe, Fault
from tests.support.builders import make_customer, make_plan, make_subscription
from tests.support.requests import calls, endpoint_of, when_done
from tests.support.rows import lose, row_of, values_of
from tests.support.threads import InThread
from tests.support.waiting import wait_until
from tests.webhooks.account import (
    NEW,
    NOT_APPLIED,
    OUTAGES,
    REDELIVERED,
    altered,
    deliver,
    each_order,
    error_of,
    errors,
    events_of,
    newest,
)

CREATE = "POST /v1/subscriptions"
RETRIEVE = "GET /v1/subscriptions/*"

CREATED = "customer.subscription.created"
UPDATED = "customer.subscription.updated"
DELETED = "customer.subscription.deleted"
OF_INVOICE = (
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.marked_uncollectible",
    "invoice.voided",
)

DAY = timedelta(days=1).total_seconds()
MONTH = 32 * DAY

pytestmark = pytest.mark.django_db


@pytest.fixture
def active(fake):
    """An active subscription, whose first invoice is paid."""
    subscription = make_subscription()
    subscription.create_at_stripe()
    return subscription


def events_of_subscriptions(fake):
    """Return the events that update a subscription's row, oldest first."""
    events = events_of(fake)
    return [
        it for it in events if it["type"].startswith("customer.subscription.") or is_of_invoice(it)
    ]


def is_of_invoice(event):
    return event["type"] in OF_INVOICE


def lose_response(fake, subscription):
    """Create the subscription at Stripe, but lose the response."""
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    with pytest.raises(stripe.APIConnectionError):
        subscription.create_at_stripe()


def make_card_decline(subscription):
    """Replace the customer's card by one that declines every payment."""
    subscription.customer.add_new_source("tok_chargeCustomerFail")


def assert_matches_stripe(fake, subscription, status=None):
    """Check that the row matches Stripe's subscription and has this ``status``, if given."""
    row = row_of(subscription)
    known = fake.account.get("subscription", row.stripe_subscription_id)
    canceled_at = row.canceled_at and int(row.canceled_at.timestamp())
    assert row.is_created_at_stripe
    assert row.status == row.stripe_response["status"] == known["status"]
    assert status in (None, row.status)
    assert row.at_period_end == known["cancel_at_period_end"]
    assert canceled_at == known["canceled_at"]
    assert row.customer.stripe_customer_id == known["customer"]


# The status of a subscription


def test_the_event_of_the_creation_changes_nothing(active, fake):
    before = values_of(active)

    statuses = deliver(fake, newest(fake, CREATED))

    assert statuses == [NEW]
    assert calls(fake) == [RETRIEVE]
    assert values_of(active) == {**before, "updated": values_of(active)["updated"]}


def test_each_event_of_a_subscription_makes_one_request(active, fake):
    events = events_of_subscriptions(fake)

    statuses = deliver(fake, *events)

    assert {it["type"] for it in events} >= {CREATED, "invoice.paid"}
    assert statuses == [NEW] * len(events)
    assert calls(fake) == [RETRIEVE] * len(events)


def test_a_renewed_subscription_is_active_with_the_new_period(active, fake):
    fake.advance(MONTH)

    deliver(fake, *events_of_subscriptions(fake))

    known = fake.account.get("subscription", active.stripe_subscription_id)
    [item] = row_of(active).stripe_response["items"]["data"]
    assert_matches_stripe(fake, active, "active")
    assert item["current_period_end"] == known["items"]["data"][0]["current_period_end"]


@pytest.mark.parametrize("type", [UPDATED, "invoice.payment_failed"])
def test_a_subscription_is_past_due_after_a_declined_renewal(active, fake, type):
    make_card_decline(active)
    fake.advance(MONTH)

    deliver(fake, newest(fake, type))

    assert calls(fake) == [RETRIEVE, "GET /v1/invoice_payments"]
    assert_matches_stripe(fake, active, "past_due")
    assert not row_of(active).has_access


def test_a_past_due_subscription_is_active_after_a_payment(active, fake):
    make_card_decline(active)
    fake.advance(MONTH)
    deliver(fake, *events_of_subscriptions(fake))
    active.customer.add_new_source("tok_visa")
    fake.advance(10 * DAY)

    deliver(fake, newest(fake, "invoice.paid"))

    assert_matches_stripe(fake, active, "active")


@pytest.mark.parametrize("status", ["canceled", "unpaid", "past_due"])
def test_after_the_last_retry_the_status_is_the_one_set_in_the_dashboard(status):
    with FakeStripe(after_last_retry=status) as fake:
        subscription = make_subscription()
        subscription.create_at_stripe()
        make_card_decline(subscription)
        fake.advance(2 * MONTH - 5 * DAY)

        deliver(fake, *events_of_subscriptions(fake))

        assert_matches_stripe(fake, subscription, status)
        assert not row_of(subscription).has_access


def test_a_subscription_canceled_in_the_dashboard_is_canceled(active, fake):
    fake.dashboard_cancel_subscription(active.stripe_subscription_id)

    deliver(fake, newest(fake, DELETED))

    assert_matches_stripe(fake, active, "canceled")
    assert row_of(active).canceled_at is not None


def test_a_subscription_canceled_at_period_end_is_active_until_then(active, fake):
    fake.dashboard_cancel_subscription(active.stripe_subscription_id, at_period_end=True)
    deliver(fake, *events_of_subscriptions(fake))
    assert_matches_stripe(fake, active, "active")
    assert row_of(active).is_ending

    fake.advance(MONTH)
    deliver(fake, newest(fake, DELETED))

    assert_matches_stripe(fake, active, "canceled")


def test_the_subscription_of_a_deleted_customer_is_canceled(active, fake):
    fake.dashboard_delete_customer(active.customer.stripe_customer_id)

    deliver(fake, newest(fake, DELETED))

    assert_matches_stripe(fake, active, "canceled")


def test_a_subscription_is_active_after_its_trial(fake):
    subscription = make_subscription(plan=make_plan(trial_period_days=14))
    subscription.create_at_stripe()
    assert row_of(subscription).status == "trialing"
    fake.advance(15 * DAY)
    events = events_of_subscriptions(fake)

    deliver(fake, *events)

    assert "customer.subscription.trial_will_end" in {it["type"] for it in events}
    assert_matches_stripe(fake, subscription, "active")


def test_a_subscription_without_a_first_payment_expires(fake):
    subscription = make_subscription(card="tok_chargeCustomerFail")
    subscription.create_at_stripe()
    assert row_of(subscription).status == "incomplete"
    fake.advance(DAY)

    deliver(fake, *events_of_subscriptions(fake))

    assert_matches_stripe(fake, subscription, "incomplete_expired")


def test_a_first_payment_in_the_browser_activates_the_subscription(fake):
    subscription = make_subscription(card="tok_authenticationRequired")
    subscription.create_at_stripe()
    assert row_of(subscription).status == "incomplete"
    [intent] = fake.account.all("payment_intent")
    method = subscription.customer.default_source
    stripe.PaymentIntent.confirm(
        intent["id"], payment_method=method, return_url="https://shop.example/"
    )
    fake.complete_authentication(intent["id"])

    deliver(fake, newest(fake, "invoice.paid"))

    assert calls(fake) == [RETRIEVE]
    assert_matches_stripe(fake, subscription, "active")


# The row and the customer of a subscription


def test_a_row_gets_its_id_although_the_response_was_lost(fake):
    subscription = make_subscription()
    customer = subscription.user.stripe_customers.get()
    lose_response(fake, subscription)
    assert row_of(subscription).stripe_subscription_id == ""

    deliver(fake, newest(fake, CREATED))

    row = row_of(subscription)
    [known] = fake.account.all("subscription")
    assert calls(fake) == [RETRIEVE]
    assert (row.stripe_subscription_id, row.customer) == (known["id"], customer)
    assert_matches_stripe(fake, subscription, "active")


def test_a_subscription_is_not_created_again_after_the_webhook_recorded_its_id(fake):
    subscription = make_subscription()
    lose_response(fake, subscription)
    deliver(fake, newest(fake, CREATED))

    with pytest.raises(StripeMethodNotAllowed, match="Already created"):
        row_of(subscription).create_at_stripe()

    assert len(fake.account.all("subscription")) == 1


def test_the_subscribing_customer_is_recorded_even_if_the_user_has_a_newer_one(fake):
    subscription = make_subscription()
    customer = subscription.user.stripe_customers.get()
    lose_response(fake, subscription)
    make_customer(subscription.user)

    deliver(fake, newest(fake, CREATED))

    assert row_of(subscription).customer == customer


def test_a_customer_that_was_set_by_hand_is_kept(active, fake):
    other = make_customer(active.user)
    StripeSubscription.objects.filter(pk=active.pk).update(customer=other)

    deliver(fake, newest(fake, CREATED))

    assert row_of(active).customer == other


def test_a_customer_of_another_user_is_not_recorded(fake):
    subscription = make_subscription()
    lose_response(fake, subscription)
    customer = subscription.user.stripe_customers.get()
    type(customer).objects.filter(pk=customer.pk).update(user=make_customer().user)

    deliver(fake, newest(fake, CREATED))

    assert row_of(subscription).stripe_subscription_id
    assert row_of(subscription).customer is None


def test_a_row_with_a_subscription_ignores_another_subscription_with_its_uuid(active, fake):
    other = stripe.Subscription.create(
        customer=active.customer.stripe_customer_id,
        items=[{"price": active.plan.stripe_plan_id}],
        metadata={UUID_KEY: str(active.uuid)},
    )
    before = values_of(active)

    statuses = deliver(fake, newest(fake, CREATED))

    assert newest(fake, CREATED)["data"]["object"]["id"] == other.id
    assert statuses == [NEW]
    assert calls(fake) == []
    assert values_of(active) == before


@pytest.mark.parametrize("text", ["", "garbage", "x" * 500, "' OR 1=1 --"])
def test_events_of_an_unknown_subscription_make_no_request(active, fake, text):
    local_only = StripeSubscription.objects.create(user=active.user, plan=active.plan)
    other = stripe.Subscription.create(
        customer=active.customer.stripe_customer_id,
        items=[{"price": active.plan.stripe_plan_id}],
        metadata={UUID_KEY: text},
    )
    fake.dashboard_cancel_subscription(other.id)
    events = [it for it in events_of_subscriptions(fake) if other.id in str(it["data"])]
    before = values_of(active), values_of(local_only)

    statuses = deliver(fake, *events)

    assert statuses == [NEW] * len(events)
    assert calls(fake) == []
    assert (values_of(active), values_of(local_only)) == before
    assert errors(fake) == {}


# Subscriptions without a row


def subscribe_without_row(fake):
    """Create a subscription whose row is rolled back; return the ``uuid`` of that row."""
    subscription = make_subscription()
    subscription.create_at_stripe()
    lose(StripeSubscription.objects.all())
    fake.requests.clear()
    return str(subscription.uuid)


@pytest.mark.parametrize("origin", [None, "", "shop.example"])
def test_a_subscription_without_a_row_is_reported(fake, settings, logged, origin):
    settings.PAYMENT_ORIGIN = origin
    uuid = subscribe_without_row(fake)
    event = newest(fake, CREATED)

    statuses = deliver(fake, event)

    assert statuses == [NEW]
    assert calls(fake) == []
    assert uuid in error_of(event)
    assert event["data"]["object"]["id"] in error_of(event)
    assert any(uuid in it for it in logged())


def test_a_subscription_without_a_row_is_reported_in_each_period(fake):
    uuid = subscribe_without_row(fake)
    fake.advance(MONTH)

    deliver(fake, newest(fake, UPDATED))

    assert uuid in error_of(newest(fake, UPDATED))


def test_an_ended_subscription_without_a_row_is_not_reported(fake, logged):
    subscribe_without_row(fake)
    fake.dashboard_cancel_subscription(fake.account.all("subscription")[0]["id"])
    created = altered(newest(fake, CREATED), status="canceled")

    deliver(fake, newest(fake, DELETED), created)

    assert errors(fake) == {}
    assert logged() == []


@pytest.mark.parametrize("this_site", [None, "", "shop.example"])
def test_a_subscription_of_another_site_is_ignored(fake, settings, logged, this_site):
    settings.PAYMENT_ORIGIN = "blog.example"
    subscribe_without_row(fake)
    settings.PAYMENT_ORIGIN = this_site

    deliver(fake, newest(fake, CREATED))

    assert error_of(newest(fake, CREATED)) == ""
    assert logged() == []


def test_a_subscription_before_the_commit_of_its_row_is_tried_again(fake, settings):
    settings.STRIPE_TRANSACTIONS = "allow"
    subscription = make_subscription()
    subscription.create_at_stripe()
    lose(StripeSubscription.objects.all())

    assert deliver(fake, newest(fake, CREATED)) == [NOT_APPLIED]

    StripeSubscription(uuid=subscription.uuid, user=subscription.user, plan=subscription.plan).save(
        force_insert=True
    )
    assert deliver(fake, newest(fake, CREATED)) == [REDELIVERED]
    assert_matches_stripe(fake, StripeSubscription.objects.get(), "active")


# Invoices


@pytest.mark.parametrize("type", OF_INVOICE)
def test_an_event_of_an_invoice_updates_the_subscription(active, fake, type):
    event = altered(newest(fake, "invoice.paid"))
    event["type"] = type
    StripeSubscription.objects.update(status="past_due")

    deliver(fake, event)

    assert calls(fake) == [RETRIEVE]
    assert_matches_stripe(fake, active, "active")


def test_the_subscription_is_found_in_an_invoice_of_an_older_api_version(active, fake):
    event = newest(fake, "invoice.paid")
    old = altered(event, parent=None, subscription=active.stripe_subscription_id)
    StripeSubscription.objects.update(status="past_due")

    deliver(fake, old)

    assert "subscription" not in event["data"]["object"]
    assert_matches_stripe(fake, active, "active")


@pytest.mark.parametrize(
    "fields",
    [
        {"parent": None},
        {"parent": {"type": "quote_details", "subscription_details": None}},
        {"parent": {"subscription_details": {"subscription": None}}},
        {"parent": None, "subscription": None},
        {"parent": {"subscription_details": {"subscription": "sub_unknown"}}},
    ],
    ids=["no parent", "a quote", "null", "null, older API version", "unknown"],
)
def test_an_invoice_without_a_known_subscription_makes_no_request(active, fake, fields):
    # A row without an id must not match an invoice without a subscription.
    StripeSubscription.objects.create(user=active.user, plan=active.plan)
    event = altered(newest(fake, "invoice.paid"), **fields)

    statuses = deliver(fake, event)

    assert statuses == [NEW]
    assert calls(fake) == []


def test_the_event_of_an_invoice_may_arrive_before_that_of_the_subscription(fake):
    subscription = make_subscription()
    lose_response(fake, subscription)

    deliver(fake, newest(fake, "invoice.paid"), newest(fake, CREATED))

    assert calls(fake) == [RETRIEVE]
    assert_matches_stripe(fake, subscription, "active")


# The order of the events, and outages


def make_history(fake, subscription):
    """Run the subscription through a trial, a declined renewal and a payment."""
    subscription.create_at_stripe()
    fake.advance(15 * DAY)
    make_card_decline(subscription)
    fake.advance(MONTH)
    subscription.customer.add_new_source("tok_visa")
    fake.advance(10 * DAY)


@pytest.mark.parametrize("is_ended", [False, True])
def test_the_row_matches_stripe_after_events_in_any_order(fake, is_ended):
    chance = random.Random(20261124)
    plan = make_plan(trial_period_days=14)
    for number in range(6):
        begun = len(fake.events)
        subscription = make_subscription(plan=plan)
        make_history(fake, subscription)
        if is_ended:
            fake.dashboard_cancel_subscription(subscription.stripe_subscription_id)
        events = [
            it
            for it in fake.events[begun:]
            if it in events_of_subscriptions(fake)
            and row_of(subscription).stripe_subscription_id in str(it["data"])
        ]
        [*_, order] = each_order(events, chance, number + 2)

        statuses = deliver(fake, *order)

        assert len(events) > 6
        assert statuses == [NEW] * len(events)
        assert_matches_stripe(fake, subscription, "canceled" if is_ended else "active")
    assert errors(fake) == {}


def test_a_redelivered_event_makes_no_request(active, fake):
    deliver(fake, newest(fake, CREATED))

    statuses = deliver(fake, newest(fake, CREATED))

    assert statuses == [REDELIVERED]
    assert calls(fake) == []


@pytest.mark.parametrize("fault", OUTAGES, ids=lambda fault: fault.name)
def test_a_subscription_is_not_changed_during_an_outage(active, fake, fault):
    fake.dashboard_cancel_subscription(active.stripe_subscription_id)
    event, before = newest(fake, DELETED), values_of(active)
    fake.fail_next(RETRIEVE, fault)

    statuses = deliver(fake, event)

    assert statuses == [NOT_APPLIED]
    assert values_of(active) == before
    assert deliver(fake, event) == [REDELIVERED]
    assert_matches_stripe(fake, active, "canceled")
    assert error_of(event) == ""


def test_the_error_of_a_subscription_unknown_to_stripe_is_recorded(active, fake):
    event, before = newest(fake, CREATED), values_of(active)
    fake.account.remove("subscription", active.stripe_subscription_id)

    statuses = deliver(fake, event)

    assert statuses == [NEW]
    assert "No such subscription" in error_of(event)
    assert values_of(active) == before


def test_saving_an_older_object_keeps_what_the_webhook_has_changed(active, fake):
    stale = row_of(active)
    fake.dashboard_cancel_subscription(active.stripe_subscription_id)
    deliver(fake, newest(fake, DELETED))

    stale.metadata = {"a": "b"}
    stale.save()

    assert_matches_stripe(fake, active, "canceled")
    assert row_of(active).metadata == {"a": "b"}


on_servers = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writer at a time."
)


@on_servers
def test_no_lock_is_held_while_stripe_is_asked(transactional_db, fake):
    subscription = make_subscription()
    subscription.create_at_stripe()
    fake.requests.clear()

    def write():
        InThread(StripeSubscription.objects.get(pk=subscription.pk).save).join()
        fake.dashboard_cancel_subscription(subscription.stripe_subscription_id)

    when_done(fake, RETRIEVE, write)

    assert deliver(fake, newest(fake, CREATED)) == [NEW]

    assert calls(fake) == [RETRIEVE, RETRIEVE]
    assert_matches_stripe(fake, subscription, "canceled")


@on_servers
def test_the_webhook_waits_for_the_transaction_that_creates_the_subscription(
    transactional_db, fake
):
    subscription = make_subscription()
    deliveries = []

    def deliver_early(request, response):
        if endpoint_of(request) == CREATE:
            fake.after_request.clear()
            deliveries.append(InThread(lambda: deliver(fake, newest(fake, CREATED))))
            wait_until(StripeWebhook.objects.exists)

    fake.after_request.append(deliver_early)

    subscription.create_at_stripe()

    assert deliveries[0].join() == [NEW]
    assert error_of(newest(fake, CREATED)) == ""
    assert_matches_stripe(fake, subscription, "active")
