"""A subscription, from its creation to its end."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import stripe
from django.utils import timezone

from aa_stripe.exceptions import StripeMethodNotAllowed, StripeNoActiveCustomer
from aa_stripe.models import StripeSubscription, StripeSubscriptionPlan
from aa_stripe.testing import Fault
from tests.support.builders import make_customer, make_plan, make_subscription, make_user
from tests.support.clock import let_pass

CANCEL = "DELETE /v1/subscriptions/*"
MONTH = timedelta(days=31)

pytestmark = pytest.mark.django_db


def at_stripe(fake, subscription):
    return fake.account.get("subscription", subscription.stripe_subscription_id)


# Creating


def test_a_subscription_is_created_with_the_values_of_its_row(subscription, fake):
    subscription.metadata = {"name": "test subscription"}

    returned = subscription.create_at_stripe()

    known = at_stripe(fake, subscription)
    assert known["id"] == returned.id
    assert known["customer"] == subscription.customer.stripe_customer_id
    assert known["items"]["data"][0]["price"]["id"] == subscription.plan.stripe_plan_id
    assert known["metadata"]["name"] == "test subscription"


def test_the_row_stores_the_created_subscription(subscription, fake):
    returned = subscription.create_at_stripe()

    row = StripeSubscription.objects.get(pk=subscription.pk)
    assert row.is_created_at_stripe
    assert (row.stripe_subscription_id, row.status) == (returned.id, "active")
    assert row.stripe_response["id"] == returned.id
    assert row.has_access


def test_a_subscription_that_was_never_saved_is_saved(db, fake):
    user = make_customer().user

    StripeSubscription(user=user, plan=make_plan()).create_at_stripe()

    assert StripeSubscription.objects.get().status == "active"


def test_the_latest_active_customer_subscribes(subscription, fake):
    newer = make_customer(subscription.user)

    subscription.create_at_stripe()

    assert subscription.customer == newer


def test_a_subscription_has_the_trial_of_its_plan(db, fake):
    subscription = make_subscription(plan=make_plan(trial_period_days=14))

    subscription.create_at_stripe()

    assert subscription.status == StripeSubscription.STATUS_TRIAL
    assert subscription.has_access


def test_the_trial_of_a_price_made_in_the_dashboard_is_that_of_the_row(db, fake):
    product = stripe.Product.create(name="silver")
    recurring = {"interval": "month"}
    price = stripe.Price.create(
        product=product.id, currency="usd", unit_amount=2000, recurring=recurring
    )
    plan = StripeSubscriptionPlan.objects.create(
        name="silver",
        amount=2000,
        interval="month",
        stripe_plan_id=price.id,
        is_created_at_stripe=True,
        trial_period_days=14,
    )
    subscription = make_subscription(plan=plan)

    subscription.create_at_stripe()

    known = at_stripe(fake, subscription)
    assert known["status"] == "trialing"
    assert known["trial_end"] - known["trial_start"] == 14 * 24 * 3600
    assert fake.account.all("charge") == []


def test_a_row_without_a_trial_gives_none_whatever_the_plan_at_stripe_says(db, fake):
    plan = make_plan(trial_period_days=14)
    StripeSubscriptionPlan.objects.update(trial_period_days=0)
    plan.refresh_from_db()
    subscription = make_subscription(plan=plan)

    subscription.create_at_stripe()

    assert subscription.status == "active"


@pytest.mark.parametrize("text", ["0.00", "7.50", "19.00", "7.1234"])
def test_tax_percent_reads_with_two_decimals_or_more(db, fake, text):
    make_subscription(tax_percent=Decimal(text))

    assert str(StripeSubscription.objects.get().tax_percent) == text


def test_tax_percent_becomes_a_tax_rate(db, fake):
    subscription = make_subscription(tax_percent=Decimal("19.25"))

    subscription.create_at_stripe()

    [rate] = fake.account.all("tax_rate")
    assert (rate["percentage"], rate["inclusive"]) == (19.25, False)
    assert [it["id"] for it in at_stripe(fake, subscription)["default_tax_rates"]] == [rate["id"]]


def test_a_tax_rate_is_created_once_and_found_again(db, fake):
    for percent in ("19", "19.0000", "7"):
        make_subscription(tax_percent=Decimal(percent)).create_at_stripe()

    assert [it["percentage"] for it in fake.account.all("tax_rate")] == [19, 7]


def test_a_tax_of_a_hundred_percent_is_accepted(db, fake):
    make_subscription(tax_percent=100).create_at_stripe()

    assert fake.account.all("tax_rate")[0]["percentage"] == 100


def test_a_declined_card_leaves_the_subscription_incomplete(db, fake):
    subscription = make_subscription(card="tok_chargeCustomerFail")

    subscription.create_at_stripe()

    row = StripeSubscription.objects.get(pk=subscription.pk)
    assert row.status == "incomplete"
    assert not row.has_access


def test_error_if_incomplete_makes_a_decline_raise(db, fake, settings):
    settings.STRIPE_SUBSCRIPTION_PAYMENT_BEHAVIOR = "error_if_incomplete"
    subscription = make_subscription(card="tok_chargeCustomerFail")

    with pytest.raises(stripe.CardError):
        subscription.create_at_stripe()

    row = StripeSubscription.objects.get(pk=subscription.pk)
    assert (row.is_created_at_stripe, row.status, row.is_unsettled) == (False, "", False)
    assert fake.account.all("subscription") == []


def test_a_retry_after_a_decline_succeeds_with_a_good_card(db, fake, settings):
    settings.STRIPE_SUBSCRIPTION_PAYMENT_BEHAVIOR = "error_if_incomplete"
    subscription = make_subscription(card="tok_chargeCustomerFail")
    with pytest.raises(stripe.CardError):
        subscription.create_at_stripe()
    subscription.user.stripe_customers.get().add_new_source("tok_visa")

    subscription.create_at_stripe()

    assert subscription.status == "active"


def test_a_customer_without_a_card_is_refused(db, fake):
    subscription = make_subscription(card=None)

    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        subscription.create_at_stripe()

    assert not StripeSubscription.objects.get().is_created_at_stripe


def test_without_an_active_customer_nothing_is_created(plan, fake):
    subscription = StripeSubscription.objects.create(user=make_user(), plan=plan)

    with pytest.raises(StripeNoActiveCustomer):
        subscription.create_at_stripe()


def test_without_a_plan_at_stripe_nothing_is_created(db, fake):
    plan = StripeSubscriptionPlan.objects.create(name="new", amount=100, interval="day")
    subscription = make_subscription(plan=plan)

    with pytest.raises(StripeMethodNotAllowed, match="plan is not created"):
        subscription.create_at_stripe()


def test_a_subscription_is_created_once(active, fake):
    with pytest.raises(StripeMethodNotAllowed, match="Already created"):
        active.create_at_stripe()

    assert len(fake.account.all("subscription")) == 1


def test_an_old_row_unknown_at_stripe_is_created(subscription, fake):
    let_pass(fake, timedelta(hours=25))

    StripeSubscription.objects.get().create_at_stripe()

    assert len(fake.account.all("subscription")) == 1


# Updating from Stripe


def test_a_renewal_that_is_declined_is_past_due(active, fake):
    active.customer.add_new_source("tok_chargeCustomerFail")
    fake.advance(MONTH.total_seconds())

    returned = active.refresh_from_stripe()

    row = StripeSubscription.objects.get(pk=active.pk)
    assert row.status == returned.status == "past_due"
    assert not row.has_access


def test_an_unpaid_start_expires(db, fake):
    subscription = make_subscription(card="tok_chargeCustomerFail")
    subscription.create_at_stripe()
    fake.advance(24 * 3600)

    subscription.refresh_from_stripe()

    assert subscription.status == StripeSubscription.STATUS_INCOMPLETE_EXPIRED


@pytest.mark.parametrize("status", [it for it, _ in StripeSubscription.STATUS_CHOICES])
def test_every_status_is_stored(active, fake, status):
    at_stripe(fake, active)["status"] = status

    active.refresh_from_stripe()

    row = StripeSubscription.objects.get(pk=active.pk)
    assert row.status == status
    assert row.has_access is (status in {"active", "trialing"})


def test_a_subscription_unknown_at_stripe_leaves_the_row_as_it_was(active, fake):
    StripeSubscription.objects.update(stripe_subscription_id="sub_unknown")
    row = StripeSubscription.objects.get()

    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        row.refresh_from_stripe()

    assert StripeSubscription.objects.get().status == "active"


def test_a_stale_object_does_not_revert_the_status(active):
    stale = StripeSubscription.objects.get(pk=active.pk)
    active.cancel()
    stale.end_date = timezone.localdate()

    stale.save()

    row = StripeSubscription.objects.get(pk=active.pk)
    assert (row.status, row.end_date) == ("canceled", stale.end_date)


# Ending


def test_a_subscription_is_canceled_at_once(active, fake):
    returned = active.cancel()

    row = StripeSubscription.objects.get(pk=active.pk)
    assert (row.status, returned.status) == ("canceled", "canceled")
    assert row.canceled_at is not None
    assert not row.has_access
    assert not row.is_ending


def test_a_subscription_is_canceled_with_its_period(active, fake):
    active.cancel(at_period_end=True)

    row = StripeSubscription.objects.get(pk=active.pk)
    assert (row.status, row.at_period_end) == ("active", True)
    assert row.canceled_at is not None
    assert row.has_access
    assert row.is_ending


def test_a_subscription_ends_with_its_period(active, fake):
    active.cancel(at_period_end=True)
    fake.advance(MONTH.total_seconds())

    active.refresh_from_stripe()

    assert (active.status, active.has_access, active.is_ending) == ("canceled", False, False)


@pytest.mark.parametrize("at_period_end", [False, True])
def test_canceling_twice_does_no_harm(active, fake, at_period_end):
    active.cancel(at_period_end=at_period_end)
    first = active.canceled_at
    fake.advance(60)

    active.cancel(at_period_end=at_period_end)

    assert active.canceled_at == first


@pytest.mark.parametrize("at_period_end", [False, True])
def test_canceling_a_subscription_canceled_at_stripe_updates_the_row(active, fake, at_period_end):
    stripe.Subscription.cancel(active.stripe_subscription_id)

    returned = active.cancel(at_period_end=at_period_end)

    row = StripeSubscription.objects.get(pk=active.pk)
    assert returned.status == row.status == "canceled"


def test_a_cancellation_at_stripe_meanwhile_is_no_error(active, fake):
    def cancel_first(request):
        if request.method == "DELETE":
            fake.before_request.clear()
            stripe.Subscription.cancel(active.stripe_subscription_id)

    fake.before_request.append(cancel_first)

    assert active.cancel().status == "canceled"


def test_a_subscription_that_ends_with_its_period_can_be_canceled_at_once(active, fake):
    active.cancel(at_period_end=True)

    active.cancel()

    assert active.status == "canceled"


def test_a_subscription_unknown_at_stripe_cannot_be_canceled(active, fake):
    StripeSubscription.objects.update(stripe_subscription_id="sub_unknown")
    row = StripeSubscription.objects.get()

    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        row.cancel()

    assert StripeSubscription.objects.get().status == "active"


def test_a_subscription_that_was_never_created_cannot_be_canceled(subscription, fake):
    with pytest.raises(StripeMethodNotAllowed, match="not created"):
        subscription.cancel()


def test_a_lost_response_to_canceling_is_settled_by_the_next_attempt(active, fake):
    fake.fail_next(CANCEL, Fault.ANSWER_LOST)
    with pytest.raises(stripe.APIConnectionError):
        active.cancel()
    assert StripeSubscription.objects.get(pk=active.pk).status == "active"

    active.cancel()

    assert StripeSubscription.objects.get(pk=active.pk).status == "canceled"


# Due subscriptions


def test_a_subscription_that_ends_within_the_hour_is_due(active, settings):
    settings.TIME_ZONE = "UTC"
    soon = timezone.localdate(timezone.now() + timedelta(hours=1))
    StripeSubscription.objects.update(end_date=soon)

    assert list(StripeSubscription.get_subcriptions_for_cancel()) == [active]
    assert list(StripeSubscription.get_subscriptions_for_cancel()) == [active]


@pytest.mark.parametrize(
    "fields",
    [
        {"end_date": None},
        {"end_date": timezone.localdate() + timedelta(days=2)},
        {"status": "canceled"},
        {"at_period_end": True},
    ],
)
def test_a_subscription_without_a_reached_end_date_is_not_due(active, fields):
    StripeSubscription.objects.update(**{"end_date": timezone.localdate(), **fields})

    assert list(StripeSubscription.get_subscriptions_for_cancel()) == []


def test_due_subscriptions_are_canceled(active, fake):
    StripeSubscription.objects.update(end_date=timezone.localdate())

    StripeSubscription.end_subscriptions()

    assert StripeSubscription.objects.get().status == "canceled"


def test_end_subscriptions_stops_at_the_first_error(db, fake):
    rows = [make_subscription(end_date=timezone.localdate()) for _ in range(2)]
    for row in rows:
        row.create_at_stripe()
    fake.fail_next("GET /v1/subscriptions/*", Fault.ERROR_500_BEFORE)

    with pytest.raises(stripe.APIError):
        StripeSubscription.end_subscriptions(at_period_end=True)

    assert not StripeSubscription.objects.filter(at_period_end=True).exists()
