"""What becomes of a subscription's row when Stripe tells of it, or of its invoices."""

from __future__ import annotations

import random
import time
from datetime import timedelta

import pytest
import stripe
from django.db import connection

from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models import StripeSubscription, StripeWebhook
from aa_stripe.models.subscription.subscribe import UUID_KEY
from aa_stripe.testing import FakeStripe, Fault
from tests.support.builders import make_customer, make_plan, make_subscription
from tests.support.requests import calls, endpoint_of
from tests.support.rows import row_of, values_of
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
    row_locked,
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
    """A subscription that is paid for."""
    subscription = make_subscription()
    subscription.create_at_stripe()
    return subscription


def of_subscriptions(fake):
    """The events that a subscription's row listens to, oldest first."""
    events = events_of(fake)
    return [it for it in events if it["type"].startswith("customer.subscription.") or is_paid(it)]


def is_paid(event):
    return event["type"] in OF_INVOICE


def lose_response(fake, subscription):
    """Subscribe, and never hear what became of it."""
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    with pytest.raises(stripe.APIConnectionError):
        subscription.create_at_stripe()


def spoil_card(subscription):
    """Let the customer's card be one that declines every payment."""
    subscription.customer.add_new_source("tok_chargeCustomerFail")


def assert_matches_stripe(fake, subscription, status=None):
    row = row_of(subscription)
    known = fake.account.get("subscription", row.stripe_subscription_id)
    canceled_at = row.canceled_at and int(row.canceled_at.timestamp())
    assert row.is_created_at_stripe
    assert row.status == row.stripe_response["status"] == known["status"]
    assert status in (None, row.status)
    assert row.at_period_end == known["cancel_at_period_end"]
    assert canceled_at == known["canceled_at"]
    assert row.customer.stripe_customer_id == known["customer"]


# How it goes on


def test_the_event_of_its_creation_says_nothing_new(active, fake):
    before = values_of(active)

    statuses = deliver(fake, newest(fake, CREATED))

    assert statuses == [NEW]
    assert calls(fake) == [RETRIEVE]
    assert values_of(active) == {**before, "updated": values_of(active)["updated"]}


def test_each_event_of_a_subscription_is_one_request(active, fake):
    told = of_subscriptions(fake)

    statuses = deliver(fake, *told)

    assert {it["type"] for it in told} >= {CREATED, "invoice.paid"}
    assert statuses == [NEW] * len(told)
    assert calls(fake) == [RETRIEVE] * len(told)


def test_a_renewal_leaves_it_active_with_the_new_period(active, fake):
    fake.advance(MONTH)

    deliver(fake, *of_subscriptions(fake))

    known = fake.account.get("subscription", active.stripe_subscription_id)
    [item] = row_of(active).stripe_response["items"]["data"]
    assert_matches_stripe(fake, active, "active")
    assert item["current_period_end"] == known["items"]["data"][0]["current_period_end"]


@pytest.mark.parametrize("type", [UPDATED, "invoice.payment_failed"])
def test_a_renewal_that_is_declined_makes_it_past_due(active, fake, type):
    spoil_card(active)
    fake.advance(MONTH)

    deliver(fake, newest(fake, type))

    assert calls(fake) == [RETRIEVE]
    assert_matches_stripe(fake, active, "past_due")
    assert not row_of(active).has_access


def test_a_payment_at_last_makes_it_active_again(active, fake):
    spoil_card(active)
    fake.advance(MONTH)
    deliver(fake, *of_subscriptions(fake))
    active.customer.add_new_source("tok_visa")
    fake.advance(10 * DAY)

    deliver(fake, newest(fake, "invoice.paid"))

    assert_matches_stripe(fake, active, "active")


@pytest.mark.parametrize("status", ["canceled", "unpaid", "past_due"])
def test_after_the_last_try_it_is_what_the_dashboard_says(status):
    with FakeStripe(after_last_retry=status) as fake:
        subscription = make_subscription()
        subscription.create_at_stripe()
        spoil_card(subscription)
        fake.advance(2 * MONTH - 5 * DAY)

        deliver(fake, *of_subscriptions(fake))

        assert_matches_stripe(fake, subscription, status)
        assert not row_of(subscription).has_access


def test_a_subscription_ended_in_the_dashboard_is_canceled(active, fake):
    fake.dashboard_cancel_subscription(active.stripe_subscription_id)

    deliver(fake, newest(fake, DELETED))

    assert_matches_stripe(fake, active, "canceled")
    assert row_of(active).canceled_at is not None


def test_a_subscription_that_ends_with_its_period_is_active_until_then(active, fake):
    fake.dashboard_cancel_subscription(active.stripe_subscription_id, at_period_end=True)
    deliver(fake, *of_subscriptions(fake))
    assert_matches_stripe(fake, active, "active")
    assert row_of(active).is_ending

    fake.advance(MONTH)
    deliver(fake, newest(fake, DELETED))

    assert_matches_stripe(fake, active, "canceled")


def test_a_deleted_customer_has_no_subscription_any_more(active, fake):
    fake.dashboard_delete_customer(active.customer.stripe_customer_id)

    deliver(fake, newest(fake, DELETED))

    assert_matches_stripe(fake, active, "canceled")


def test_a_trial_becomes_what_is_paid_for(fake):
    subscription = make_subscription(plan=make_plan(trial_period_days=14))
    subscription.create_at_stripe()
    assert row_of(subscription).status == "trialing"
    fake.advance(15 * DAY)
    told = of_subscriptions(fake)

    deliver(fake, *told)

    assert "customer.subscription.trial_will_end" in {it["type"] for it in told}
    assert_matches_stripe(fake, subscription, "active")


def test_a_first_payment_that_never_comes_makes_it_expire(fake):
    subscription = make_subscription(card="tok_chargeCustomerFail")
    subscription.create_at_stripe()
    assert row_of(subscription).status == "incomplete"
    fake.advance(DAY)

    deliver(fake, *of_subscriptions(fake))

    assert_matches_stripe(fake, subscription, "incomplete_expired")


def test_a_first_payment_in_the_browser_makes_it_active(fake):
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


# Whose it is


def test_a_row_whose_creating_answer_was_lost_gets_its_id(fake):
    subscription = make_subscription()
    payer = subscription.user.stripe_customers.get()
    lose_response(fake, subscription)
    assert row_of(subscription).stripe_subscription_id == ""

    deliver(fake, newest(fake, CREATED))

    row = row_of(subscription)
    [known] = fake.account.all("subscription")
    assert calls(fake) == [RETRIEVE]
    assert (row.stripe_subscription_id, row.customer) == (known["id"], payer)
    assert_matches_stripe(fake, subscription, "active")


def test_a_row_that_got_its_id_by_the_webhook_is_not_created_again(fake):
    subscription = make_subscription()
    lose_response(fake, subscription)
    deliver(fake, newest(fake, CREATED))

    with pytest.raises(StripeMethodNotAllowed, match="Already created"):
        row_of(subscription).create_at_stripe()

    assert len(fake.account.all("subscription")) == 1


def test_the_customer_who_has_subscribed_is_the_rows_though_another_one_is_newer(fake):
    subscription = make_subscription()
    payer = subscription.user.stripe_customers.get()
    lose_response(fake, subscription)
    make_customer(subscription.user)

    deliver(fake, newest(fake, CREATED))

    assert row_of(subscription).customer == payer


def test_a_customer_that_a_person_has_chosen_is_left_alone(active, fake):
    other = make_customer(active.user)
    StripeSubscription.objects.filter(pk=active.pk).update(customer=other)

    deliver(fake, newest(fake, CREATED))

    assert row_of(active).customer == other


def test_a_customer_of_another_user_does_not_become_the_rows(fake):
    subscription = make_subscription()
    lose_response(fake, subscription)
    payer = subscription.user.stripe_customers.get()
    type(payer).objects.filter(pk=payer.pk).update(user=make_customer().user)

    deliver(fake, newest(fake, CREATED))

    assert row_of(subscription).stripe_subscription_id
    assert row_of(subscription).customer is None


def test_a_row_that_has_its_subscription_takes_no_other_one(active, fake):
    stranger = stripe.Subscription.create(
        customer=active.customer.stripe_customer_id,
        items=[{"price": active.plan.stripe_plan_id}],
        metadata={UUID_KEY: str(active.uuid)},
    )
    before = values_of(active)

    statuses = deliver(fake, newest(fake, CREATED))

    assert newest(fake, CREATED)["data"]["object"]["id"] == stranger.id
    assert statuses == [NEW]
    assert calls(fake) == []
    assert values_of(active) == before


@pytest.mark.parametrize("text", ["", "garbage", "x" * 500, "6f1c24b1-6b0e-4c1a-9b62-6a2f7c1f0d11"])
def test_a_subscription_of_nobody_here_asks_nothing(active, fake, text):
    unborn = StripeSubscription.objects.create(user=active.user, plan=active.plan)
    stranger = stripe.Subscription.create(
        customer=active.customer.stripe_customer_id,
        items=[{"price": active.plan.stripe_plan_id}],
        metadata={UUID_KEY: text},
    )
    fake.dashboard_cancel_subscription(stranger.id)
    told = [it for it in of_subscriptions(fake) if stranger.id in str(it["data"])]
    before = values_of(active), values_of(unborn)

    statuses = deliver(fake, *told)

    assert statuses == [NEW] * len(told)
    assert calls(fake) == []
    assert (values_of(active), values_of(unborn)) == before
    assert errors(fake) == {}


# Its invoices


@pytest.mark.parametrize("type", OF_INVOICE)
def test_what_becomes_of_an_invoice_decides_how_the_subscription_stands(active, fake, type):
    told = altered(newest(fake, "invoice.paid"))
    told["type"] = type
    StripeSubscription.objects.update(status="past_due")

    deliver(fake, told)

    assert calls(fake) == [RETRIEVE]
    assert_matches_stripe(fake, active, "active")


def test_an_invoice_of_an_older_api_version_names_the_subscription_elsewhere(active, fake):
    told = newest(fake, "invoice.paid")
    old = altered(told, parent=None, subscription=active.stripe_subscription_id)
    StripeSubscription.objects.update(status="past_due")

    deliver(fake, old)

    assert "subscription" not in told["data"]["object"]
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
    ids=["no parent", "a quote's", "none named", "none named, of old", "unknown"],
)
def test_an_invoice_without_a_subscription_of_ours_asks_nothing(active, fake, fields):
    # A row without an id is not the one that an invoice without a subscription is of.
    StripeSubscription.objects.create(user=active.user, plan=active.plan)
    told = altered(newest(fake, "invoice.paid"), **fields)

    statuses = deliver(fake, told)

    assert statuses == [NEW]
    assert calls(fake) == []


def test_an_invoice_told_of_before_the_subscription_is_not_missed(fake):
    subscription = make_subscription()
    lose_response(fake, subscription)

    deliver(fake, newest(fake, "invoice.paid"), newest(fake, CREATED))

    assert calls(fake) == [RETRIEVE]
    assert_matches_stripe(fake, subscription, "active")


# In any order, and when Stripe does not answer


def live(fake, subscription):
    """From a trial over a decline to the end."""
    subscription.create_at_stripe()
    fake.advance(15 * DAY)
    spoil_card(subscription)
    fake.advance(MONTH)
    subscription.customer.add_new_source("tok_visa")
    fake.advance(10 * DAY)


@pytest.mark.parametrize("is_ended", [False, True])
def test_whatever_comes_last_the_row_says_what_stripe_says(fake, is_ended):
    chance = random.Random(20261124)
    plan = make_plan(trial_period_days=14)
    for number in range(6):
        begun = len(fake.events)
        subscription = make_subscription(plan=plan)
        live(fake, subscription)
        if is_ended:
            fake.dashboard_cancel_subscription(subscription.stripe_subscription_id)
        happened = [
            it
            for it in fake.events[begun:]
            if it in of_subscriptions(fake)
            and row_of(subscription).stripe_subscription_id in str(it["data"])
        ]
        [*_, order] = each_order(happened, chance, number + 2)

        statuses = deliver(fake, *order)

        assert len(happened) > 6
        assert statuses == [NEW] * len(happened)
        assert_matches_stripe(fake, subscription, "canceled" if is_ended else "active")
    assert errors(fake) == {}


def test_the_same_event_again_asks_nothing(active, fake):
    deliver(fake, newest(fake, CREATED))

    statuses = deliver(fake, newest(fake, CREATED))

    assert statuses == [REDELIVERED]
    assert calls(fake) == []


@pytest.mark.parametrize("fault", OUTAGES, ids=lambda fault: fault.name)
def test_while_stripe_is_down_nothing_changes(active, fake, fault):
    fake.dashboard_cancel_subscription(active.stripe_subscription_id)
    told, before = newest(fake, DELETED), values_of(active)
    fake.fail_next(RETRIEVE, fault)

    statuses = deliver(fake, told)

    assert statuses == [NOT_APPLIED]
    assert values_of(active) == before
    assert deliver(fake, told) == [REDELIVERED]
    assert_matches_stripe(fake, active, "canceled")
    assert error_of(told) == ""


def test_a_subscription_that_stripe_does_not_know_is_recorded_as_such(active, fake):
    told, before = newest(fake, CREATED), values_of(active)
    fake.account.remove("subscription", active.stripe_subscription_id)

    statuses = deliver(fake, told)

    assert statuses == [NEW]
    assert "No such subscription" in error_of(told)
    assert values_of(active) == before


def test_what_was_changed_here_meanwhile_is_kept(active, fake):
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
def test_stripe_is_asked_under_the_lock_of_the_row(transactional_db, fake):
    subscription = make_subscription()
    subscription.create_at_stripe()

    with row_locked(subscription):
        delivery = InThread(lambda: deliver(fake, newest(fake, CREATED)))
        wait_until(StripeWebhook.objects.exists)
        time.sleep(0.2)
        assert calls(fake) == []
        fake.dashboard_cancel_subscription(subscription.stripe_subscription_id)

    assert delivery.join() == [NEW]
    assert_matches_stripe(fake, subscription, "canceled")


@on_servers
def test_the_webhook_waits_for_whoever_is_creating_it(transactional_db, fake):
    subscription = make_subscription()
    deliveries = []

    def overtake(request, answer):
        if endpoint_of(request) == CREATE:
            fake.after_request.clear()
            deliveries.append(InThread(lambda: deliver(fake, newest(fake, CREATED))))
            wait_until(StripeWebhook.objects.exists)

    fake.after_request.append(overtake)

    subscription.create_at_stripe()

    assert deliveries[0].join() == [NEW]
    assert error_of(newest(fake, CREATED)) == ""
    assert_matches_stripe(fake, subscription, "active")
