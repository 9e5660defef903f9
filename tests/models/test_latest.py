"""A row says what Stripe said last, whichever of two processes writes last.

Each operation on a row is overlapped by a change at Stripe and a second operation, which reads it.
The second one is done while the first one waits for a response, or the other way round: then the
first one's older response is written while the second one waits.
"""

from __future__ import annotations

import pytest
import stripe
from django.db import connection, transaction
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext, isolate_apps

from aa_stripe.exceptions import StripeInProgress
from aa_stripe.models import StripeCoupon, StripeCustomer, StripeRefund, StripeSubscription
from aa_stripe.models.latest import ROUNDS
from tests.support.builders import make_charge, make_customer, make_subscription
from tests.support.requests import calls, when_done
from tests.support.rows import row_of
from tests.support.statements import statements
from tests.support.threads import InThread
from tests.webhooks.account import NEW, deliver, newest

CUSTOMER = "GET /v1/customers/*"
METHODS = "GET /v1/customers/*/payment_methods"
SUBSCRIPTION = "GET /v1/subscriptions/*"
COUPON = "GET /v1/coupons/*"
REFUNDS = "GET /v1/refunds"

pytestmark = pytest.mark.django_db


def fresh(row):
    """Return another object of the row, as another process has it."""
    return row_of(row)


# Customers


@pytest.fixture
def customer(fake):
    return make_customer()


def new_default(customer, token="tok_mastercard"):
    """Make another card the default at Stripe; return its id."""
    method = stripe.PaymentMethod.create(type="card", card={"token": token})
    stripe.PaymentMethod.attach(method.id, customer=customer.stripe_customer_id)
    stripe.Customer.modify(
        customer.stripe_customer_id, invoice_settings={"default_payment_method": method.id}
    )
    return method.id


def default_at(fake, customer):
    known = fake.account.get("customer", customer.stripe_customer_id)
    return known["invoice_settings"]["default_payment_method"]


def by_event(fake, customer):
    new_default(customer, "tok_amex")
    assert deliver(fake, newest(fake, "customer.updated")) == [NEW]


def by_refresh(fake, customer):
    new_default(customer, "tok_amex")
    fresh(customer).refresh_from_stripe()


def by_new_source(fake, customer):
    fresh(customer).add_new_source("tok_amex")


CUSTOMER_OPERATIONS = [by_event, by_refresh, by_new_source]


@pytest.mark.parametrize("endpoint", [CUSTOMER, METHODS])
@pytest.mark.parametrize("second", CUSTOMER_OPERATIONS)
@pytest.mark.parametrize("first", CUSTOMER_OPERATIONS)
def test_a_customer_has_the_default_of_the_later_of_two_operations(
    fake, customer, first, second, endpoint
):
    if {first, second} == {by_event}:
        pytest.skip("Two events in one thread would share a transaction.")
    when_done(fake, endpoint, lambda: second(fake, customer))

    first(fake, customer)

    row = row_of(customer)
    assert row.default_source == default_at(fake, customer)
    assert row.default_source in {it["id"] for it in row.sources}


def test_a_stale_object_is_written_although_it_equals_stripe(fake, customer):
    stale = fresh(customer)
    StripeCustomer.objects.update(default_source="pm_other", sources=[])

    stale.refresh_from_stripe()

    assert row_of(customer).default_source == default_at(fake, customer)
    assert len(row_of(customer).sources) == 1


def test_a_refresh_saves_other_changes_and_sends_djangos_signals_once(fake, customer):
    saved = []

    def note(sender, instance, **kwargs):
        saved.append(instance.pk)

    customer.is_active = False
    post_save.connect(note, sender=StripeCustomer)
    try:
        customer.refresh_from_stripe()
    finally:
        post_save.disconnect(note, sender=StripeCustomer)

    assert saved == [customer.pk]
    assert not row_of(customer).is_active


def test_a_refresh_saves_other_changes_if_nothing_receives_djangos_signals(customer):
    customer.is_active = False

    customer.refresh_from_stripe()

    assert not row_of(customer).is_active


def test_a_refresh_of_an_unchanged_object_is_one_read_and_one_write(customer):
    with CaptureQueriesContext(connection) as captured:
        customer.refresh_from_stripe()

    assert len(statements(captured)) == 2
    assert customer.updated == row_of(customer).updated
    assert customer.changed_fields() == set()


@isolate_apps("aa_stripe")
def test_the_save_method_of_a_derived_model_is_called(customer):
    saved = []

    class Derived(StripeCustomer):
        class Meta:
            proxy = True
            app_label = "aa_stripe"

        def save(self, *args, **kwargs):
            saved.append(self.pk)
            super().save(*args, **kwargs)

    Derived.objects.get().refresh_from_stripe()

    assert saved == [customer.pk]


def test_a_customer_that_keeps_changing_is_given_up(fake, customer):
    before = row_of(customer).default_source

    def change(request, response):
        StripeCustomer.objects.get(pk=customer.pk).save()

    fake.requests.clear()
    fake.after_request.append(change)

    with pytest.raises(StripeInProgress):
        customer.refresh_from_stripe()

    assert calls(fake) == [CUSTOMER, METHODS] * ROUNDS
    assert row_of(customer).default_source == before


def test_a_customer_that_is_not_stored_yet_is_stored(fake, customer):
    copy = StripeCustomer(user=customer.user, stripe_customer_id=customer.stripe_customer_id)

    copy.refresh_from_stripe()

    assert row_of(copy).default_source == customer.default_source


# Subscriptions


@pytest.fixture
def subscription(fake):
    row = make_subscription()
    row.create_at_stripe()
    return row


def cancel_by_hand(fake, subscription):
    stripe.Subscription.cancel(subscription.stripe_subscription_id)


def canceled_by_event(fake, subscription):
    cancel_by_hand(fake, subscription)
    assert deliver(fake, newest(fake, "customer.subscription.deleted")) == [NEW]


def canceled_by_refresh(fake, subscription):
    cancel_by_hand(fake, subscription)
    fresh(subscription).refresh_from_stripe()


def canceled_by_cancel(fake, subscription):
    fresh(subscription).cancel()


CANCELLATIONS = [canceled_by_event, canceled_by_refresh, canceled_by_cancel]


@pytest.mark.parametrize("cancel", CANCELLATIONS)
def test_a_refresh_that_overlaps_a_cancellation_leaves_it_canceled(fake, subscription, cancel):
    when_done(fake, SUBSCRIPTION, lambda: cancel(fake, subscription))

    subscription.refresh_from_stripe()

    assert (subscription.status, row_of(subscription).status) == ("canceled", "canceled")


@pytest.mark.parametrize("cancel", [canceled_by_refresh, canceled_by_cancel])
def test_an_event_that_overlaps_a_cancellation_leaves_it_canceled(fake, subscription, cancel):
    stripe.Subscription.modify(subscription.stripe_subscription_id, metadata={"a": "b"})
    when_done(fake, SUBSCRIPTION, lambda: cancel(fake, subscription))

    assert deliver(fake, newest(fake, "customer.subscription.updated")) == [NEW]

    assert row_of(subscription).status == "canceled"


def test_a_cancellation_that_is_withdrawn_meanwhile_is_not_recorded(fake, subscription):
    def withdraw():
        stripe.Subscription.modify(subscription.stripe_subscription_id, cancel_at_period_end=False)
        fresh(subscription).refresh_from_stripe()

    when_done(fake, "POST /v1/subscriptions/*", withdraw)

    subscription.cancel(at_period_end=True)

    assert not row_of(subscription).at_period_end
    assert not subscription.at_period_end


def test_a_subscription_without_a_customer_gets_that_of_stripe(fake, subscription):
    customer = subscription.customer
    StripeSubscription.objects.update(customer=None)

    row_of(subscription).refresh_from_stripe()

    assert row_of(subscription).customer == customer


# Coupons


def renamed_by_event(fake, coupon):
    stripe.Coupon.modify(coupon.coupon_id, name="new")
    assert deliver(fake, newest(fake, "coupon.updated")) == [NEW]


def renamed_by_refresh(fake, coupon):
    stripe.Coupon.modify(coupon.coupon_id, name="new")
    fresh(coupon).refresh_from_stripe()


def renamed_by_save(fake, coupon):
    row = fresh(coupon)
    row.name = "new"
    row.save()


@pytest.mark.parametrize("rename", [renamed_by_event, renamed_by_refresh, renamed_by_save])
def test_a_coupon_has_the_name_of_the_later_of_two_operations(fake, rename):
    coupon = StripeCoupon(coupon_id="SALE", percent_off=10, duration="once", name="old")
    coupon.save()
    when_done(fake, COUPON, lambda: rename(fake, coupon))

    coupon.refresh_from_stripe()

    assert (coupon.name, row_of(coupon).name) == ("new", "new")


# Refunds


@pytest.mark.skipif(connection.vendor != "mysql", reason="Elsewhere a transaction sees commits.")
def test_refunds_are_counted_in_a_transaction_although_the_charge_was_saved_meanwhile(
    transactional_db, fake
):
    charge = make_charge()
    charge.charge()

    def comment():
        other = row_of(charge)
        other.comment = "note"
        other.save()

    with transaction.atomic():
        mine = row_of(charge)
        InThread(comment).join()
        fake.requests.clear()
        mine.take_over_refunds()

    assert calls(fake) == [REFUNDS, REFUNDS]
    assert (mine.comment, row_of(charge).comment) == ("note", "note")


def test_a_refund_has_the_status_of_the_later_listing(fake):
    charge = make_charge(make_customer(card="tok_visa"))
    charge.charge()
    charge.refund(300)
    refund = StripeRefund.objects.get()
    made = fake.account.get("refund", refund.stripe_refund_id)
    made["status"] = "pending"

    def settle():
        made["status"] = "succeeded"
        fresh(charge).take_over_refunds()

    when_done(fake, REFUNDS, settle)

    charge.take_over_refunds()

    assert row_of(refund).status == "succeeded"
