"""What the views of a site do that has ``ATOMIC_REQUESTS``: each of them is a transaction.

With the default settings a payment is refused there, and nothing is sent. A site that allows
payments in transactions gets them.
"""

from __future__ import annotations

from functools import partial

import pytest
from django.core.management import call_command
from django.db import transaction

from aa_stripe.exceptions import StripeInTransaction
from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeCustomer,
    StripeRefund,
    StripeSubscription,
)
from tests.matrix.flows import SALE, new_charge, new_plan, new_subscription
from tests.matrix.site import every, in_view, stored
from tests.support.payments import amounts_refunded, intents, paid

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def is_allowed(settings):
    return getattr(settings, "STRIPE_TRANSACTIONS", "forbid") == "allow"


@pytest.fixture
def pay(fake, is_allowed):
    """``pay(function)`` calls it in a view; unless that is allowed, it must be refused."""

    def pay(function):
        if is_allowed:
            in_view(function)
            return
        fake.requests.clear()
        with pytest.raises(StripeInTransaction):
            in_view(function)
        assert fake.requests == []

    return pay


@pytest.fixture
def charge(person, customer):
    return new_charge(person)


@pytest.fixture
def subscription(person, customer):
    return new_subscription(person)


class ViewFailed(Exception):
    pass


# Payments


def test_a_charge(charge, pay, is_allowed, fake):
    pay(charge.charge)

    assert stored(charge).is_charged == is_allowed
    assert len(intents(fake)) == is_allowed


def test_a_charge_that_the_view_has_created(person, customer, pay, is_allowed):
    pay(lambda: new_charge(person).charge())

    assert [it.is_charged for it in every(StripeCharge)] == [True] * is_allowed


def test_a_charge_of_a_view_that_fails_is_paid_once(charge, fake, is_allowed):
    def pay_and_fail():
        charge.charge()
        raise ViewFailed

    with pytest.raises(ViewFailed if is_allowed else StripeInTransaction):
        in_view(pay_and_fail)

    assert not stored(charge).is_charged
    stored(charge).charge()
    assert stored(charge).is_charged
    assert len(paid(fake)) == 1


def test_a_charge_after_the_commit(person, customer):
    in_view(lambda: transaction.on_commit(new_charge(person).charge))

    assert every(StripeCharge).get().is_charged


def test_a_charge_that_is_left_to_cron(person, customer, run):
    in_view(StripeCharge(user=person.payer, amount=1000).charge_later)

    assert run("charge_stripe").stdout == "collected: 1 (10.00 USD)\n"


def test_a_run_of_charge_stripe(charge, pay, is_allowed):
    pay(partial(call_command, "charge_stripe", verbosity=0))

    assert stored(charge).is_charged == is_allowed


def test_a_refund(charge, pay, is_allowed, fake):
    charge.charge()

    pay(partial(charge.refund, 400))

    assert stored(charge).amount_refunded == 400 * is_allowed
    assert amounts_refunded(fake, charge) == [400] * is_allowed
    assert every(StripeRefund).count() == is_allowed


def test_a_subscription(person, customer, pay, is_allowed, fake):
    row = StripeSubscription.objects.create(user=person.payer, plan=new_plan())

    pay(row.create_at_stripe)

    assert stored(row).is_created_at_stripe == is_allowed
    assert len(fake.account.all("subscription")) == is_allowed


def test_closing_an_account(subscription, person, customer, pay, is_allowed):
    pay(partial(StripeCustomer.close, person.payer))

    assert stored(customer).is_active != is_allowed
    assert stored(subscription).status == ("canceled" if is_allowed else "active")


# What can be done in any transaction


def test_customers_and_cards(person, fake):
    def save_cards():
        customer = StripeCustomer.get_or_create_at_stripe(person.payer, {"id": "tok_visa"})
        customer.add_new_source("tok_mastercard")
        customer.push_details()

    in_view(save_cards)

    row = every(StripeCustomer).get()
    assert (len(row.sources), row.default_source_data["last4"]) == (2, "4444")


def test_a_card_that_is_refused(person, fake):
    create = partial(StripeCustomer.get_or_create_at_stripe, person.payer)

    with pytest.raises(Exception, match="declined"):
        in_view(partial(create, {"id": "tok_chargeDeclined"}))

    assert not every(StripeCustomer).exists()


def test_plans_and_coupons(transactional_db, fake):
    def create_and_edit():
        coupon = StripeCoupon.objects.create(**SALE)
        coupon.metadata = {"key": "value"}
        coupon.save()
        new_plan()

    in_view(create_and_edit)
    assert fake.account.get("coupon", SALE["coupon_id"])["metadata"] == {"key": "value"}
    in_view(every(StripeCoupon).get().delete)

    assert every(StripeCoupon).get().is_deleted
    assert [it["amount"] for it in fake.account.all("plan")] == [5000]


def test_a_coupon_of_a_view_that_fails_is_stored_by_the_next_save(transactional_db, fake):
    def create_and_fail():
        StripeCoupon.objects.create(**SALE)
        raise ViewFailed

    with pytest.raises(ViewFailed):
        in_view(create_and_fail)
    in_view(partial(StripeCoupon.objects.create, **SALE))

    assert every(StripeCoupon).get().is_created_at_stripe
    assert len(fake.account.all("coupon")) == 1


def test_canceling_and_refreshing(subscription, customer, charge):
    charge.charge()

    def refresh_and_cancel():
        for row in (customer, charge, subscription):
            row.refresh_from_stripe()
        subscription.cancel(at_period_end=True)

    in_view(refresh_and_cancel)

    assert stored(subscription).is_ending


def test_refresh_commands(subscription, customer):
    def refresh():
        for command in ("refresh_customers", "refresh_subscriptions", "refresh_coupons"):
            call_command(command, verbosity=0)

    in_view(refresh)
