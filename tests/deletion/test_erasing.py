"""``StripeCustomer.close(user, erase=True)``: what may identify the user is nowhere here."""

from __future__ import annotations

from contextlib import suppress

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from aa_stripe.exceptions import StripeInProgress, StripeInTransaction, StripeMethodNotAllowed
from aa_stripe.gateway import StripeError
from aa_stripe.models import (
    StripeCharge,
    StripeCustomer,
    StripeRefund,
    StripeWebhook,
    erasing,
    rows,
)
from aa_stripe.models.erasable import reduced
from aa_stripe.testing import Fault
from tests.deletion.personal import MARK, dump, spoil_everything, spoilt
from tests.deletion.test_closing import REQUESTS, ended_at_stripe
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.claims import hold, let_holder_die
from tests.support.rows import row_of, values_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def charge(customer):
    """A charge of which a part is refunded."""
    row = make_charge(customer)
    row.charge()
    row.refund(300)
    return row_of(row)


@pytest.fixture
def declined(customer):
    row = make_charge(customer)
    StripeCharge.objects.filter(pk=row.pk).update(
        charge_attempt_failed=True,
        failure_code="card_declined",
        stripe_response={"error": {"code": "card_declined", "message": "Anna's card."}},
    )
    return row


@pytest.fixture
def everything(customer, subscription, charge, declined, fake):
    """Rows of each kind and all events about them, with the mark everywhere."""
    make_charge(customer)
    store_events(fake)
    spoil_everything()


def store_events(fake, is_parsed=True):
    """Store the events of the account that are about a customer."""
    for event in fake.events:
        if event["data"]["object"]["object"] in ("plan", "price", "product"):
            continue
        StripeWebhook(id=event["id"], raw_data=event, is_parsed=is_parsed).store()


def test_the_mark_is_nowhere(everything, customer):
    assert dump().count(MARK) > 100

    StripeCustomer.close(customer.user, erase=True)

    assert [line for line in dump().splitlines() if MARK in line] == []


def test_what_the_books_need_stays(everything, customer, charge, subscription):
    StripeCustomer.close(customer.user, erase=True)

    kept = row_of(charge)
    assert (kept.amount, kept.amount_refunded, kept.currency) == (1000, 300, "usd")
    assert kept.created == charge.created
    assert kept.stripe_charge_id == kept.stripe_response["id"]
    assert kept.stripe_response["amount"] == 1000
    assert kept.stripe_response["payment_intent"] == kept.stripe_payment_intent_id
    assert kept.user == customer.user
    [refund] = StripeRefund.objects.all()
    assert refund.stripe_response["charge"] == kept.stripe_charge_id
    assert row_of(subscription).stripe_response["id"] == subscription.stripe_subscription_id


def test_an_erased_charge_can_be_refunded(everything, customer, charge):
    StripeCustomer.close(customer.user, erase=True)

    row_of(charge).refund()

    assert row_of(charge).is_refunded
    assert all(it.stripe_response["erased"] for it in charge.refunds.all())


def test_a_second_call_changes_nothing(everything, customer):
    StripeCustomer.close(customer.user, erase=True)
    before = [values_of(row) for row in StripeWebhook.objects.order_by("pk")]

    StripeCustomer.close(customer.user, erase=True)

    assert [values_of(row) for row in StripeWebhook.objects.order_by("pk")] == before
    assert MARK not in dump()


@pytest.mark.parametrize("endpoint", dict.fromkeys(REQUESTS))
@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.ANSWER_LOST])
def test_a_call_after_a_failure_erases_everything(
    everything, customer, fake, settings, endpoint, fault
):
    settings.STRIPE_MAX_NETWORK_RETRIES = 0
    fake.fail_next(endpoint, fault)
    with pytest.raises(StripeError):
        StripeCustomer.close(customer.user, erase=True)

    StripeCustomer.close(customer.user, erase=True)

    assert ended_at_stripe(fake)
    assert MARK not in dump()


class Killed(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("number", range(1, 60, 4))
def test_a_call_after_a_crash_before_any_statement_erases_the_rest(everything, customer, number):
    left = [number]

    def crash(execute, sql, params, many, context):
        if sql.startswith(("UPDATE", "INSERT")):
            left[0] -= 1
            if not left[0]:
                raise Killed
        return execute(sql, params, many, context)

    with connection.execute_wrapper(crash), suppress(Killed):
        StripeCustomer.close(customer.user, erase=True)

    StripeCustomer.close(customer.user, erase=True)

    assert MARK not in dump()


def test_the_rows_and_events_of_other_users_stay_as_they_are(charge, customer, fake):
    other = make_customer()
    paid = make_charge(other, description="A book")
    paid.charge()
    store_events(fake)
    theirs = [
        it for it in StripeWebhook.objects.all() if other.stripe_customer_id in str(it.raw_data)
    ]
    before = [values_of(it) for it in (other, paid, *theirs)]

    StripeCustomer.close(customer.user, erase=True)

    assert theirs
    assert [values_of(it) for it in (other, paid, *theirs)] == before


def test_an_event_keeps_what_it_is_found_and_applied_by(charge, customer, fake):
    store_events(fake, is_parsed=False)

    StripeCustomer.close(customer.user, erase=True)

    webhook = next(it for it in StripeWebhook.objects.all() if it.event_type == "charge.refunded")
    assert webhook.raw_data["livemode"] is False
    assert webhook.raw_data["created"] > 0
    assert webhook.stripe_object["id"] == charge.stripe_charge_id
    assert webhook.stripe_object["customer"] == customer.stripe_customer_id
    assert not webhook.is_parsed


def test_an_erased_event_that_was_not_applied_is_applied(charge, customer, subscription, fake):
    fake.dashboard_refund(charge.stripe_charge_id, 200)
    store_events(fake, is_parsed=False)
    StripeCustomer.close(customer.user, erase=True)

    for webhook in StripeWebhook.objects.order_by("created"):
        webhook.parse()

    assert not StripeWebhook.objects.filter(is_parsed=False).exists()
    assert set(StripeWebhook.objects.values_list("parse_error", flat=True)) == {""}
    assert row_of(charge).amount_refunded == 500


def test_a_failed_event_still_counts_as_failed(charge, customer, fake):
    store_events(fake)
    StripeWebhook.objects.update(parse_error="Anna")

    StripeCustomer.close(customer.user, erase=True)

    assert "Anna" not in dump()
    assert StripeWebhook.objects.failed().exists()


def test_a_dispute_of_a_subscription_payment_is_found_by_its_payment(subscription, customer, fake):
    [charge] = fake.account.all("charge")
    store_events(fake)
    dispute = {"id": "dp_1", "object": "dispute", "charge": charge["id"], "evidence": MARK}
    event = {"id": "evt_0", "type": "charge.dispute.created", "data": {"object": dispute}}
    StripeWebhook(id="evt_0", raw_data=event, is_parsed=True).store()

    StripeCustomer.close(customer.user, erase=True)

    assert MARK not in dump()


def test_a_mandate_is_found_by_its_payment_method(charge, customer, fake):
    [method] = fake.account.all("payment_method")
    store_events(fake)
    mandate = {"id": "mandate_1", "object": "mandate", "payment_method": method["id"], "ip": MARK}
    event = {"id": "evt_0", "type": "mandate.updated", "data": {"object": mandate}}
    StripeWebhook(id="evt_0", raw_data=event, is_parsed=True).store()

    StripeCustomer.close(customer.user, erase=True)

    assert MARK not in dump()


def test_events_are_read_in_chunks(charge, customer, fake, monkeypatch):
    store_events(fake)
    spoil_everything()
    monkeypatch.setattr(rows, "CHUNK_SIZE", 2)

    StripeCustomer.close(customer.user, erase=True)

    assert MARK not in dump()


def test_a_charge_that_another_process_works_on_is_waited_for(charge, customer, monkeypatch):
    monkeypatch.setattr(erasing, "PATIENCE", 0.0)
    pending = make_charge(customer)
    hold(pending)

    with pytest.raises(StripeInProgress):
        StripeCustomer.close(customer.user, erase=True)

    let_holder_die(pending)
    StripeCustomer.close(customer.user, erase=True)


def test_inside_a_transaction_it_is_refused(transactional_db, fake):
    customer = make_customer()

    with transaction.atomic(), pytest.raises(StripeInTransaction):
        StripeCustomer.close(customer.user, erase=True)

    assert row_of(customer).erased is None


@pytest.mark.parametrize("value", [{}, [], "", None])
def test_an_empty_response_stays_empty(value):
    assert reduced(value) == {}


@pytest.mark.parametrize("value", [{"name": "Anna"}, ["Anna"], "Anna"])
def test_of_a_response_without_anything_to_keep_only_the_fact_stays(value):
    assert reduced(value) == {"erased": True}


def test_reducing_twice_changes_nothing(charge):
    once = reduced(spoilt(charge.stripe_response))

    assert reduced(once) == once


@pytest.mark.parametrize(
    "metadata",
    [
        {"aa_stripe_payer": "auth.user:5"},
        {"name": "Anna"},
        {"aa_stripe_charge_uuid": "Anna"},
        {"origin": "Anna"},
        "Anna",
    ],
)
def test_metadata_that_is_not_ours_is_erased(metadata):
    assert reduced({"metadata": metadata}) == {"metadata": {}, "erased": True}


def test_metadata_that_rows_are_found_by_stays(settings):
    settings.PAYMENT_ORIGIN = "shop"
    ours = {
        "aa_stripe_charge_uuid": "6f1c9f3e-3b1a-4b8e-9a44-1d1f6f3d2b11",
        "origin": "shop",
    }

    assert reduced({"metadata": ours}) == {"metadata": ours, "erased": True}


def test_the_rows_of_a_user_who_was_deleted_before_are_erased(charge, customer, subscription, fake):
    user, key = customer.user, customer.user_id
    subscription.cancel()
    user.delete()
    store_events(fake)
    spoil_everything()

    StripeCustomer.close(type(user)(pk=key), erase=True)

    assert MARK not in dump()
    assert ended_at_stripe(fake)
    assert row_of(charge).user_key == str(key)


@pytest.mark.parametrize("erase", [True, False])
def test_a_user_without_a_primary_key_is_refused(customer, fake, erase):
    customer.user.delete()
    fake.requests.clear()

    with pytest.raises(StripeMethodNotAllowed):
        StripeCustomer.close(get_user_model()(), erase=erase)

    row = row_of(customer)
    assert (row.is_active, row.erased, fake.requests) == (True, None, [])


@pytest.mark.parametrize("erase", [True, False])
def test_rows_of_a_deleted_user_are_not_those_of_a_later_one_with_the_key(customer, erase):
    user = customer.user
    key = user.pk
    user.delete()
    again = make_user(id=key)

    StripeCustomer.close(again, erase=erase)

    assert (row_of(customer).is_active, row_of(customer).erased) == (True, None)
