"""What moves money is read from the database that is written to: a replica may lag behind."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.utils import ConnectionDoesNotExist

from aa_stripe.exceptions import StripeInternalError
from aa_stripe.jobs import charge_pending
from aa_stripe.models import StripeCharge, StripeCustomer
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer, make_subscription, make_user
from tests.support.clock import let_pass, make_due
from tests.support.payments import CONFIRM, CREATE, REFUND, lose_response, paid, refunds_of
from tests.support.replica import lagging_replica
from tests.support.rows import row_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake")]


def test_reading_from_the_replica_is_an_error_in_these_tests(charge):
    with lagging_replica(), pytest.raises(ConnectionDoesNotExist):
        StripeCharge.objects.get(pk=charge.pk)


def test_a_refund_that_is_asked_for_again_after_a_lost_response_is_made_once(charged, fake):
    fake.fail_next(REFUND, Fault.ANSWER_LOST)

    with lagging_replica():
        with pytest.raises(StripeInternalError):
            charged.refund(300)
        charged.refund(300)

    assert [made["amount"] for made in refunds_of(fake, charged)] == [300]
    assert row_of(charged).amount_refunded == 300


def test_a_card_that_was_just_saved_pays(charge, fake):
    customer = charge.user.stripe_customers.get()
    old = customer.default_source

    with lagging_replica():
        customer.add_new_source("pm_card_mastercard")
        charge.charge()

    [intent] = paid(fake)
    assert intent["payment_method"] == customer.default_source != old


def test_a_user_a_customer_and_a_charge_that_were_just_saved_are_charged(fake):
    with lagging_replica():
        user = make_user()
        customer = StripeCustomer(user_id=user.pk, stripe_js_response={"id": "tok_visa"})
        customer.create_at_stripe()
        charge = StripeCharge.objects.create(user_id=user.pk, amount=1000)
        charge.charge()

    assert row_of(charge).is_charged


@pytest.mark.parametrize("age", [timedelta(0), timedelta(days=2)])
@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_a_charge_is_tried_again_with_a_customer_that_was_just_saved(charge, fake, endpoint, age):
    fake.fail_next(endpoint, Fault.REQUEST_LOST)
    let_pass(fake, age)

    with lagging_replica():
        with pytest.raises(StripeInternalError):
            charge.charge()
        newer = make_customer_of(charge.user_id)
        charge.charge()

    [intent] = paid(fake)
    assert intent["customer"] == newer.stripe_customer_id
    assert row_of(charge).customer == newer


def make_customer_of(user_id):
    customer = StripeCustomer(user_id=user_id, stripe_js_response={"id": "tok_visa"})
    return customer.create_at_stripe()


def test_a_decline_is_recorded(declined):
    with lagging_replica():
        declined.charge()

    assert row_of(declined).charge_attempt_failed


def test_a_run_collects_and_completes_earlier_refunds(charged, fake):
    fake.fail_next(REFUND, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        charged.refund(300)
    pending = make_charge(make_customer())
    make_due()

    with lagging_replica():
        report = charge_pending()

    assert report.failed == []
    assert row_of(pending).is_charged
    assert row_of(charged).amount_refunded == 300


def test_a_payment_is_settled_and_its_refunds_are_counted(charge, fake):
    lose_response(fake, charge)
    fake.dashboard_refund(paid(fake)[0]["latest_charge"], 300)

    with lagging_replica():
        charge.settle(charge.stripe_payment_intent_id)
        charge.take_over_refunds()
        charge.refresh_from_stripe()

    assert row_of(charge).amount_refunded == 300


def test_a_subscription_is_created(fake):
    subscription = row_of(make_subscription())

    with lagging_replica():
        subscription.create_at_stripe()

    assert row_of(subscription).is_created_at_stripe
