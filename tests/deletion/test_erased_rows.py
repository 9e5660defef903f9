"""An erased row stays erased, whatever Stripe reports about it later."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from aa_stripe import jobs
from aa_stripe.gateway import CardError
from aa_stripe.models import (
    StripeCharge,
    StripeCustomer,
    StripeSubscription,
    StripeWebhook,
)
from aa_stripe.models.charge.record import write_failure
from aa_stripe.models.erasable import kept
from aa_stripe.models.erasing import reduced_if_erased
from aa_stripe.models.latest import save_newer, write_latest
from tests.deletion.personal import MARK, dump
from tests.support.builders import make_charge, make_customer, make_plan, make_user
from tests.support.requests import before
from tests.support.rows import row_of, values_of
from tests.webhooks.deliveries import SECRET, URL

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(db, fake):
    return make_customer(make_user(first_name=MARK, email=f"{MARK}@example.com"))


@pytest.fixture
def subscription(customer):
    metadata = {"note": MARK}
    row = StripeSubscription.objects.create(user=customer.user, plan=make_plan(), metadata=metadata)
    row.create_at_stripe()
    return row


@pytest.fixture
def charge(customer):
    row = make_charge(customer, description=MARK, receipt_email=f"{MARK}@example.com")
    row.charge()
    return row


@pytest.fixture
def close(customer, subscription, charge):
    def close():
        StripeCustomer.close(customer.user, erase=True)
        assert MARK not in dump()

    return close


def deliver(fake, client):
    """Deliver all events so far, as Stripe does with those that it could not deliver before."""
    assert MARK in str(fake.events)
    return fake.deliver(URL, SECRET, client=client)


def test_events_that_are_delivered_late_are_stored_without_personal_data(close, fake, client):
    close()

    assert set(deliver(fake, client)) == {201}

    assert MARK not in dump()
    assert not StripeWebhook.objects.filter(is_parsed=False).exists()
    assert set(StripeWebhook.objects.values_list("parse_error", flat=True)) == {""}


def test_an_event_that_a_sites_own_code_stores_is_reduced(close, fake):
    close()

    for event in fake.events:
        StripeWebhook.objects.create(id=event["id"], raw_data=event)

    assert StripeWebhook.objects.exists()
    assert MARK not in dump()


def test_a_later_refund_in_the_dashboard_is_counted(close, charge, fake, client):
    close()
    fake.dashboard_refund(charge.stripe_charge_id, 200)

    deliver(fake, client)

    assert row_of(charge).amount_refunded == 200
    assert MARK not in dump()


def test_an_event_that_arrives_while_the_account_is_closed_is_reduced(
    close, customer, fake, client
):
    before(fake, "DELETE /v1/customers/*", lambda: deliver(fake, client))

    close()

    assert StripeWebhook.objects.exists()


def test_recovered_events_are_stored_without_personal_data(close, fake):
    close()

    jobs.check_pending_webhooks(recover=True, grace=timedelta(0))

    assert StripeWebhook.objects.exists()
    assert MARK not in dump()


@pytest.mark.parametrize("refresh", [jobs.refresh_subscriptions, jobs.refresh_customers])
def test_a_refresh_of_everything_changes_no_erased_row(close, customer, subscription, refresh):
    close()
    before = values_of(customer), values_of(subscription)

    refresh(everything=True)

    assert (values_of(customer), values_of(subscription)) == before


def test_an_object_that_was_read_before_writes_nothing_back(close, subscription, charge, customer):
    stale = row_of(subscription), row_of(customer)
    close()

    for row in stale:
        row.refresh_from_stripe()

    assert MARK not in dump()


def test_a_process_that_asked_stripe_before_writes_nothing_back(close, subscription):
    stale, closed = row_of(subscription), []

    def ask():
        if not closed:
            closed.append(close())
        return {"name": MARK, "id": subscription.stripe_subscription_id}

    def values(row, response):
        return kept(row, {"stripe_response": response})

    write_latest([stale], ask, values, save_newer, are_fresh=True)

    assert MARK not in dump()


def test_a_payment_that_is_recorded_by_a_stale_object_writes_nothing_personal(close, charge):
    paid_by = charge.stripe_payment_intent_id
    lost = {"is_charged": False, "stripe_response": {}, "stripe_charge_id": ""}
    StripeCharge.objects.filter(pk=charge.pk).update(**lost)
    stale = row_of(charge)
    close()

    stale.settle(paid_by)

    row = row_of(charge)
    assert (row.is_charged, row.stripe_response["erased"]) == (True, True)
    assert "billing_details" not in row.stripe_response
    assert MARK not in dump()


def test_a_failure_that_is_recorded_by_a_stale_object_writes_nothing_personal(close, customer):
    declined = make_charge(customer)
    fresh = row_of(declined)
    close()
    error = CardError(f"{MARK}'s card", None, "card_declined", json_body={"error": {"a": MARK}})

    assert write_failure(fresh, error)

    row = row_of(declined)
    assert (row.charge_attempt_failed, row.failure_code) == (True, "card_declined")
    assert row.stripe_response == {"error": {}, "erased": True}


def test_a_new_customer_of_the_same_user_is_not_erased(close, customer, fake, client):
    close()

    again = make_customer(customer.user)

    assert row_of(again).erased is None
    deliver(fake, client)
    stored = [it.raw_data for it in StripeWebhook.objects.all()]
    mine = [it for it in stored if again.stripe_customer_id in str(it)]
    assert mine
    assert not any("erased" in it for it in mine)


@pytest.fixture
def erased(db):
    """Rows of an erased user: a customer ``cus_1`` and its charge ``ch_1`` of ``pi_1``."""
    user, now = make_user(), timezone.now()
    StripeCustomer.objects.create(user=user, stripe_customer_id="cus_1", erased=now)
    StripeCustomer.objects.create(user=user, stripe_customer_id="cus_2")
    StripeCharge.objects.create(
        user=user, stripe_charge_id="ch_1", stripe_payment_intent_id="pi_1", erased=now
    )


@pytest.mark.parametrize(
    "data",
    [
        {"object": {"object": "customer", "id": "cus_1"}},
        {"object": {"object": "card", "customer": "cus_1"}},
        {"object": {"object": "card", "customer": {"id": "cus_1", "name": "Anna"}}},
        {
            "object": {"object": "payment_method", "customer": None},
            "previous_attributes": {"customer": "cus_1"},
        },
        {"object": {"object": "charge", "id": "ch_1"}},
        {"object": {"object": "charge", "id": "ch_1", "customer": "cus_without_row"}},
        {"object": {"object": "payment_intent", "id": "pi_1"}},
        {"object": {"object": "refund", "charge": "ch_1"}},
        {"object": {"object": "refund", "charge": "ch_9", "payment_intent": "pi_1"}},
    ],
)
def test_an_event_about_what_was_erased_is_reduced(erased, data):
    assert reduced_if_erased({"id": "evt_1", "data": data})["erased"]


@pytest.mark.parametrize(
    "data",
    [
        {"object": {"object": "customer", "id": "cus_2"}},
        {"object": {"object": "charge", "id": "ch_2", "customer": "cus_2"}},
        {"object": {"object": "payout", "id": "po_1"}},
        {"object": {"object": ["odd"], "id": 5, "customer": ["cus_1"]}},
        {"object": "cus_1"},
        "cus_1",
        None,
    ],
)
def test_any_other_event_is_stored_as_it_is(erased, data):
    event = {"id": "evt_1", "data": data}

    assert reduced_if_erased(event) is event
