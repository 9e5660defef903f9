"""Events about the payments and the disputes of a charge."""

from __future__ import annotations

import logging
import time
import uuid
from datetime import timedelta
from functools import partial

import pytest
import stripe
from django.db import connection
from django.utils import timezone

from aa_stripe import signals
from aa_stripe.exceptions import (
    StripeInternalError,
    StripeMethodNotAllowed,
    StripeWebhookParseError,
)
from aa_stripe.jobs import charge_pending, process_webhooks
from aa_stripe.models import StripeCharge, StripeWebhook
from aa_stripe.models.charge.search import UUID_KEY
from aa_stripe.testing import Fault
from aa_stripe.testing.webhooks import event as make_event
from tests.support.builders import make_charge, make_customer
from tests.support.payments import (
    CANCEL,
    CONFIRM,
    CREATE,
    RETRIEVE,
    authenticate,
    before_it_is_written,
    intent_of,
    intents,
    lose_response,
    paid,
)
from tests.support.requests import calls
from tests.support.rows import lose, row_of, values_of
from tests.support.signals import connected
from tests.support.threads import InThread
from tests.support.transactions import RolledBack, allowed_transaction
from tests.support.waiting import wait_until
from tests.webhooks.account import (
    NEW,
    NOT_APPLIED,
    OUTAGES,
    REDELIVERED,
    altered,
    deliver,
    error_of,
    events_of,
    newest,
)
from tests.webhooks.payments import (
    CANCELED,
    FAILED,
    OF_PAYMENT,
    OF_REFUND,
    PROCESSING,
    REQUIRES_ACTION,
    SUCCEEDED,
    assert_matches_stripe,
    lose_id,
)

on_servers = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writer at a time."
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def declined(fake):
    """A pending charge whose card attaches and then declines every payment."""
    return make_charge(make_customer(card="tok_chargeCustomerFail"))


@pytest.fixture
def unauthenticated(fake, sent):
    """A charge that failed because its customer has to authenticate."""
    charge = make_charge(make_customer(card="tok_authenticationRequired"))
    charge.charge()
    sent.clear()
    return charge


# Payments that succeeded


def test_a_payment_finished_in_the_browser_is_settled(unauthenticated, fake, sent):
    authenticate(fake, unauthenticated)

    statuses = deliver(fake, newest(fake, SUCCEEDED))

    assert statuses == [NEW]
    assert calls(fake) == [RETRIEVE]
    assert_matches_stripe(fake, unauthenticated)
    assert sent == [("succeeded", unauthenticated.pk)]


def test_a_payment_whose_response_was_lost_is_settled(charge, fake, sent):
    lose_response(fake, charge)

    deliver(fake, newest(fake, SUCCEEDED))

    assert calls(fake) == [RETRIEVE]
    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk)]


def test_a_charge_that_the_webhook_settled_is_not_collected_again(charge, fake, sent):
    lose_response(fake, charge)
    deliver(fake, newest(fake, SUCCEEDED))
    settled = values_of(charge)

    report = charge_pending()
    with pytest.raises(StripeMethodNotAllowed, match="Already charged"):
        charge.charge()

    assert report.done == {}
    assert values_of(charge) == settled
    assert len(paid(fake)) == 1
    assert sent == [("succeeded", charge.pk)]


def test_a_recorded_payment_is_not_asked_for_again(charged, fake, sent):
    before = values_of(charged)

    statuses = deliver(fake, *events_of(fake, *OF_PAYMENT))

    assert statuses == [NEW]
    assert calls(fake) == []
    assert values_of(charged) == before
    assert sent == []


def test_a_redelivered_event_makes_no_request_and_sends_no_signal(charge, fake, sent):
    lose_response(fake, charge)
    event = newest(fake, SUCCEEDED)
    deliver(fake, event)
    settled = values_of(charge)

    statuses = deliver(fake, event, event)

    assert statuses == [REDELIVERED, REDELIVERED]
    assert calls(fake) == []
    assert values_of(charge) == settled
    assert sent == [("succeeded", charge.pk)]


def test_two_events_of_one_payment_send_one_signal(charge, fake, sent):
    lose_response(fake, charge)
    event = newest(fake, SUCCEEDED)

    deliver(fake, event, altered(event))

    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk)]


def test_a_row_without_its_intent_id_is_found_by_its_uuid(charge, fake, sent):
    lose_response(fake, charge)
    lose_id(charge)

    deliver(fake, newest(fake, SUCCEEDED))

    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk)]


def test_the_row_of_a_payment_without_our_metadata_is_found_by_the_intent_id(charge, fake, sent):
    lose_response(fake, charge)
    event = altered(newest(fake, SUCCEEDED), metadata={})

    deliver(fake, event)

    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk)]


def test_a_charged_row_without_an_intent_id_is_not_changed(charged, fake, sent):
    StripeCharge.objects.filter(pk=charged.pk).update(stripe_payment_intent_id="")
    before = values_of(charged)

    deliver(fake, newest(fake, SUCCEEDED))

    assert error_of(newest(fake, SUCCEEDED)) == ""
    assert values_of(charged) == before
    assert sent == []


def test_the_collected_amount_replaces_the_ordered_amount(charge, fake):
    lose_response(fake, charge)
    StripeCharge.objects.filter(pk=charge.pk).update(amount=1, currency="eur")

    deliver(fake, newest(fake, SUCCEEDED))

    assert_matches_stripe(fake, charge)
    assert (row_of(charge).amount, row_of(charge).currency) == (1000, "usd")


def test_the_customer_that_paid_is_recorded(charge, fake):
    lose_response(fake, charge)
    payer = charge.customer
    newer = make_customer(charge.user)
    StripeCharge.objects.filter(pk=charge.pk).update(customer=newer)

    deliver(fake, newest(fake, SUCCEEDED))

    assert row_of(charge).customer == payer


def test_a_manual_charge_is_settled(fake, sent):
    charge = make_charge(is_manual_charge=True)
    lose_response(fake, charge)

    deliver(fake, newest(fake, SUCCEEDED))

    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk)]


def test_the_webhook_may_arrive_before_the_success_is_recorded(charge, fake, sent, monkeypatch):
    before_it_is_written(monkeypatch, lambda: deliver(fake, newest(fake, SUCCEEDED)))

    collected = charge.charge()

    assert error_of(newest(fake, SUCCEEDED)) == ""
    assert collected.id == charge.stripe_charge_id
    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk)]


def test_the_webhook_may_arrive_before_the_decline_is_recorded(declined, fake, sent, monkeypatch):
    before_it_is_written(monkeypatch, lambda: deliver(fake, newest(fake, FAILED)))

    assert declined.charge() is None

    assert error_of(newest(fake, FAILED)) == ""
    assert declined.charge_attempt_failed
    assert sent == [("card_exception", declined.pk)]


def test_a_success_does_not_change_other_rows(charge, fake):
    another = make_charge(charge.user.stripe_customers.get())
    lose_response(fake, charge)
    before = values_of(another)

    deliver(fake, newest(fake, SUCCEEDED))

    assert values_of(another) == before


# Payments that failed


def test_a_decline_whose_response_was_lost_is_recorded_once(declined, fake, sent):
    lose_response(fake, declined)

    deliver(fake, newest(fake, FAILED))

    row = row_of(declined)
    [attempt] = fake.account.all("charge")
    assert calls(fake) == [RETRIEVE]
    assert (row.is_charged, row.charge_attempt_failed) == (False, True)
    assert (row.failure_code, row.stripe_charge_id) == ("card_declined", attempt["id"])
    assert row.stripe_response["error"]["decline_code"] == "generic_decline"
    assert sent == [("card_exception", declined.pk)]


def test_the_command_sends_no_second_signal_for_a_recorded_decline(declined, fake, sent):
    lose_response(fake, declined)
    deliver(fake, newest(fake, FAILED))

    charge_pending()

    assert len(fake.account.all("charge")) == 1
    assert sent == [("card_exception", declined.pk)]


def test_calling_charge_after_a_recorded_decline_makes_a_new_attempt(declined, fake, sent):
    lose_response(fake, declined)
    deliver(fake, newest(fake, FAILED))
    declined.customer.add_new_source("tok_visa")

    row_of(declined).charge()

    assert_matches_stripe(fake, declined)
    assert sent == [("card_exception", declined.pk), ("succeeded", declined.pk)]


def test_the_webhook_of_a_recorded_decline_changes_nothing(declined, fake, sent):
    declined.charge()
    before = values_of(declined)

    deliver(fake, newest(fake, FAILED))

    assert values_of(declined) == before
    assert sent == [("card_exception", declined.pk)]


def test_a_second_decline_whose_response_was_lost_is_recorded(declined, fake, sent):
    declined.charge()
    lose_response(fake, declined)

    deliver(fake, *events_of(fake, FAILED))

    row = row_of(declined)
    assert row.charge_attempt_failed
    assert row.stripe_charge_id == fake.account.all("charge")[-1]["id"]
    assert sent == [("card_exception", declined.pk)] * 2


def test_a_late_event_of_a_decline_does_not_fail_the_next_attempt(declined, fake, sent):
    declined.charge()
    late = newest(fake, FAILED)
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        declined.charge()

    deliver(fake, late)

    assert not row_of(declined).charge_attempt_failed
    assert sent == [("card_exception", declined.pk)]


def test_a_decline_delivered_after_the_success_changes_nothing(declined, fake, sent):
    declined.charge()
    declined.customer.add_new_source("tok_visa")
    declined.charge()
    before = values_of(declined)

    deliver(fake, newest(fake, SUCCEEDED), newest(fake, FAILED))

    assert values_of(declined) == before
    assert sent == [("card_exception", declined.pk), ("succeeded", declined.pk)]


def test_a_payment_that_needs_authentication_sends_requires_action(fake, sent):
    charge = make_charge(make_customer(card="tok_authenticationRequired"))
    lose_response(fake, charge)

    deliver(fake, newest(fake, FAILED))

    assert row_of(charge).failure_code == "authentication_required"
    assert sent == [("card_exception", charge.pk), ("requires_action", charge.pk)]


def test_the_signal_has_the_card_error_of_stripe(declined, fake):
    raised = []

    def note(sender, instance, exception, **kwargs):
        raised.append((sender, exception))

    lose_response(fake, declined)

    with connected(signals.stripe_charge_card_exception, note):
        deliver(fake, newest(fake, FAILED))

    [(sender, error)] = raised
    assert sender is StripeCharge
    assert isinstance(error, stripe.CardError)
    assert (error.code, error.http_status) == ("card_declined", 402)


def test_a_pending_row_without_its_intent_id_gets_it_back(declined, fake):
    lose_response(fake, declined)
    lose_id(declined)

    deliver(fake, newest(fake, FAILED))

    row = row_of(declined)
    assert row.stripe_payment_intent_id == intents(fake)[0]["id"]
    assert (row.charge_attempt_failed, row.failure_code) == (True, "card_declined")


# Payments without a final status


def test_a_pending_row_fails_if_its_payment_requires_action(fake, sent):
    charge = make_charge(make_customer(card="tok_authenticationRequired"))
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        charge.charge()
    intent = intent_of(fake, charge)
    stripe.PaymentIntent.confirm(intent["id"], payment_method=charge.customer.default_source)

    deliver(fake, newest(fake, REQUIRES_ACTION))

    row = row_of(charge)
    assert (row.charge_attempt_failed, row.failure_code) == (True, "authentication_required")
    assert sent == [("card_exception", charge.pk), ("requires_action", charge.pk)]


def test_a_failed_row_sends_no_second_signal_while_its_customer_authenticates(
    unauthenticated, fake, sent
):
    intent = intent_of(fake, unauthenticated)
    method = unauthenticated.customer.default_source
    stripe.PaymentIntent.confirm(intent["id"], payment_method=method)
    before = values_of(unauthenticated)

    deliver(fake, *events_of(fake, FAILED, REQUIRES_ACTION))

    assert values_of(unauthenticated) == before
    assert sent == []


def test_a_row_stays_failed_if_its_customer_fails_to_authenticate(unauthenticated, fake, sent):
    intent = intent_of(fake, unauthenticated)
    method = unauthenticated.customer.default_source
    stripe.PaymentIntent.confirm(intent["id"], payment_method=method)
    fake.fail_authentication(intent["id"])

    deliver(fake, *events_of(fake, *OF_PAYMENT))

    row = row_of(unauthenticated)
    assert (row.is_charged, row.charge_attempt_failed) == (False, True)
    assert row.failure_code == "authentication_required"
    assert sent == []


def test_a_processing_payment_does_not_change_its_row(fake, sent):
    charge = make_charge(make_customer(card="tok_fakeProcessing"))
    assert charge.charge() is None
    before = values_of(charge)

    deliver(fake, newest(fake, PROCESSING))

    assert calls(fake) == [RETRIEVE]
    assert values_of(charge) == before
    assert sent == []


def test_the_row_of_a_processing_payment_gets_its_intent_id_back(fake):
    charge = make_charge(make_customer(card="tok_fakeProcessing"))
    charge.charge()
    intent_id = charge.stripe_payment_intent_id
    lose_id(charge)

    deliver(fake, newest(fake, PROCESSING))

    assert row_of(charge).stripe_payment_intent_id == intent_id


def test_a_processing_payment_may_succeed_later(fake, sent):
    charge = make_charge(make_customer(card="tok_fakeProcessing"))
    charge.charge()
    fake.settle(charge.stripe_payment_intent_id)

    deliver(fake, *events_of(fake, *OF_PAYMENT))

    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk)]


def test_a_processing_payment_may_fail_later(fake, sent):
    charge = make_charge(make_customer(card="tok_fakeProcessing"))
    charge.charge()
    fake.settle(charge.stripe_payment_intent_id, succeed=False)

    deliver(fake, *events_of(fake, *OF_PAYMENT))

    row = row_of(charge)
    assert (row.charge_attempt_failed, row.failure_code) == (True, "card_declined")
    assert sent == [("card_exception", charge.pk)]


# Payments that were canceled


def open_intent(fake, charge):
    """Create the charge's payment intent without a payment attempt; return its id."""
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        charge.charge()
    return charge.stripe_payment_intent_id


def test_a_payment_canceled_in_the_dashboard_fails_its_row(charge, fake, sent):
    fake.dashboard_cancel(open_intent(fake, charge))

    deliver(fake, newest(fake, CANCELED))

    row = row_of(charge)
    assert calls(fake) == [RETRIEVE]
    assert (row.charge_attempt_failed, row.failure_code) == (True, "canceled")
    assert sent == [("card_exception", charge.pk)]


def test_a_canceled_payment_is_retried_only_by_calling_charge(charge, fake, sent):
    fake.dashboard_cancel(open_intent(fake, charge))
    deliver(fake, newest(fake, CANCELED))

    charge_pending()
    assert paid(fake) == []
    row_of(charge).charge()

    assert_matches_stripe(fake, charge)
    assert sent == [("card_exception", charge.pk), ("succeeded", charge.pk)]


def test_a_canceled_payment_fails_its_row_without_an_intent_id(charge, fake):
    fake.dashboard_cancel(open_intent(fake, charge))
    lose_id(charge)

    deliver(fake, newest(fake, CANCELED))

    row = row_of(charge)
    assert (row.failure_code, row.stripe_payment_intent_id) == ("canceled", "")
    row.charge()
    assert_matches_stripe(fake, charge)


def test_a_redelivered_cancellation_does_not_stop_the_next_attempt(charge, fake, sent):
    fake.dashboard_cancel(open_intent(fake, charge))
    deliver(fake, newest(fake, CANCELED))
    fake.fail_next(CREATE, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        row_of(charge).charge()

    deliver(fake, altered(newest(fake, CANCELED)))

    assert list(StripeCharge.objects.pending()) == [charge]
    assert sent == [("card_exception", charge.pk)]


def test_a_second_canceled_payment_sends_a_signal_too(charge, fake, sent):
    fake.dashboard_cancel(open_intent(fake, charge))
    deliver(fake, newest(fake, CANCELED))
    fake.dashboard_cancel(open_intent(fake, charge))

    deliver(fake, newest(fake, CANCELED))

    assert row_of(charge).failure_code == "canceled"
    assert sent == [("card_exception", charge.pk)] * 2


def change_currency(fake, charge):
    """Cancel the charge's intent and pay another one, in EUR; return the canceled one's id."""
    replaced = open_intent(fake, charge)
    charge.currency = "eur"
    charge.charge()
    return replaced


def test_canceling_a_replaced_payment_is_no_failure(charge, fake, sent):
    change_currency(fake, charge)
    before = values_of(charge)

    statuses = deliver(fake, newest(fake, CANCELED))

    assert statuses == [NEW]
    assert values_of(charge) == before
    assert sent == [("succeeded", charge.pk)]


def test_canceling_a_replaced_payment_is_no_failure_if_the_response_was_lost(charge, fake, sent):
    open_intent(fake, charge)
    charge.currency = "eur"
    fake.fail_next(CANCEL, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charge.charge()

    deliver(fake, newest(fake, CANCELED))

    row = row_of(charge)
    assert not row.charge_attempt_failed
    assert sent == []
    row.charge()
    assert_matches_stripe(fake, charge)


@pytest.mark.parametrize("status", ["requires_payment_method", "requires_action", "canceled"])
def test_events_of_a_replaced_payment_change_nothing(charge, fake, sent, status):
    replaced = open_intent(fake, charge)
    charge.currency = "eur"
    open_intent(fake, charge)
    fake.account.get("payment_intent", replaced).update(
        status=status, last_payment_error={"type": "card_error", "code": "card_declined"}
    )
    late = altered(newest(fake, CANCELED), status=status)
    late["type"] = FAILED
    before = values_of(charge)

    statuses = deliver(fake, late)

    assert statuses == [NEW]
    assert values_of(charge) == before
    assert sent == []


def test_a_replaced_payment_that_succeeded_settles_the_row(charge, fake, sent):
    first = open_intent(fake, charge)
    stripe.PaymentIntent.confirm(first, payment_method=charge.customer.default_source)
    StripeCharge.objects.filter(pk=charge.pk).update(stripe_payment_intent_id="pi_unpaid")

    deliver(fake, newest(fake, SUCCEEDED))

    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk)]


# Payments without a row, and second payments


def pay_again(fake, charge):
    """Pay another intent for the same row."""
    method = charge.customer.default_source
    return stripe.PaymentIntent.create(
        amount=1000,
        currency="usd",
        customer=charge.customer.stripe_customer_id,
        payment_method=method,
        off_session=True,
        confirm=True,
        automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
        metadata={UUID_KEY: str(charge.uuid)},
    )


def test_a_second_payment_for_a_row_is_reported(charged, fake, sent, logged):
    second = pay_again(fake, charged)
    before = values_of(charged)

    statuses = deliver(fake, newest(fake, SUCCEEDED))

    reported = error_of(newest(fake, SUCCEEDED))
    assert statuses == [NEW]
    assert second.id in reported
    assert charged.stripe_payment_intent_id in reported
    assert any(second.id in it for it in logged())
    assert values_of(charged) == before
    assert sent == []


def test_the_second_of_two_unknown_payments_is_reported(charge, fake, sent):
    lose_response(fake, charge)
    pay_again(fake, charge)
    first, second = events_of(fake, SUCCEEDED)

    deliver(fake, second, first)

    assert error_of(second) == ""
    assert first["data"]["object"]["id"] in error_of(first)
    assert row_of(charge).stripe_payment_intent_id == second["data"]["object"]["id"]
    assert sent == [("succeeded", charge.pk)]


def test_the_uuid_of_another_row_in_the_metadata_does_not_pay_that_row(charge, fake, sent):
    other = make_charge(charge.user.stripe_customers.get())
    lose_response(fake, charge)
    intent_of(fake, charge)["metadata"][UUID_KEY] = str(other.uuid)
    event = altered(newest(fake, SUCCEEDED), metadata={UUID_KEY: str(other.uuid)})
    before = values_of(other)

    deliver(fake, event)

    assert row_of(charge).is_charged
    assert values_of(other) == before
    assert sent == [("succeeded", charge.pk)]


def test_a_refund_of_a_second_payment_is_not_counted(charged, fake, sent):
    second = pay_again(fake, charged)
    fake.dashboard_refund(second.latest_charge)
    before = values_of(charged)

    deliver(fake, *events_of(fake, *OF_REFUND))

    assert calls(fake) == []
    assert values_of(charged) == before
    assert sent == []


def make_older(event, age):
    StripeWebhook.objects.filter(pk=event["id"]).update(
        created=timezone.now() - age, retry_at=timezone.now()
    )


def test_a_payment_before_the_commit_of_its_row_is_settled_after_it(charge, fake, sent, settings):
    settings.STRIPE_TRANSACTIONS = "allow"
    lose_response(fake, charge)
    event, row = newest(fake, SUCCEEDED), StripeCharge.objects.get()
    lose(StripeCharge.objects.all())
    statuses = deliver(fake, event)
    row.save(force_insert=True)
    make_older(event, timedelta(minutes=10))

    process_webhooks()

    assert statuses == [500]
    assert error_of(event) == ""
    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk)]


@pytest.mark.parametrize(
    ("age", "is_applied"), [(timedelta(minutes=59), False), (timedelta(minutes=61), True)]
)
def test_a_payment_without_a_row_is_tried_again_for_an_hour(
    charge, fake, settings, age, is_applied
):
    settings.STRIPE_TRANSACTIONS = "allow"
    lose_response(fake, charge)
    event = newest(fake, SUCCEEDED)
    lose(StripeCharge.objects.all())
    deliver(fake, event)
    make_older(event, age)

    process_webhooks()

    webhook = StripeWebhook.objects.get(pk=event["id"])
    assert webhook.is_parsed is is_applied
    assert str(charge.uuid) in webhook.parse_error
    assert ("which does not exist" in webhook.parse_error) is is_applied


def test_a_payment_for_a_deleted_row_is_reported(charge, fake, sent, logged):
    lose_response(fake, charge)
    event = newest(fake, SUCCEEDED)
    lose(StripeCharge.objects.all())

    statuses = deliver(fake, event)

    assert statuses == [NEW]
    assert calls(fake) == []
    assert str(charge.uuid) in error_of(event)
    assert event["data"]["object"]["id"] in error_of(event)
    assert any(str(charge.uuid) in it for it in logged())
    assert sent == []


def test_a_reported_payment_is_settled_by_a_retry_after_its_row_is_restored(charge, fake, sent):
    lose_response(fake, charge)
    event, row = newest(fake, SUCCEEDED), StripeCharge.objects.get()
    lose(StripeCharge.objects.all())
    deliver(fake, event)
    row.save(force_insert=True)

    process_webhooks(failed=True)

    assert error_of(event) == ""
    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk)]


@pytest.mark.parametrize("origin", [None, "", "shop.example"])
def test_a_payment_of_this_site_without_a_row_is_reported(fake, settings, origin):
    settings.PAYMENT_ORIGIN = origin
    charge = make_charge()
    lose_response(fake, charge)
    lose(StripeCharge.objects.all())

    deliver(fake, newest(fake, SUCCEEDED))

    assert str(charge.uuid) in error_of(newest(fake, SUCCEEDED))


@pytest.mark.parametrize("this_site", [None, "", "shop.example"])
def test_a_payment_of_another_site_is_ignored(fake, settings, logged, this_site):
    settings.PAYMENT_ORIGIN = "blog.example"
    charge = make_charge()
    lose_response(fake, charge)
    lose(StripeCharge.objects.all())
    settings.PAYMENT_ORIGIN = this_site

    deliver(fake, newest(fake, SUCCEEDED))

    assert error_of(newest(fake, SUCCEEDED)) == ""
    assert calls(fake) == logged() == []


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        None,
        {UUID_KEY: ""},
        {UUID_KEY: "garbage"},
        {UUID_KEY: "x" * 500},
        {UUID_KEY: "' OR 1=1 --"},
    ],
    ids=["none", "null", "empty", "garbage", "long", "sql"],
)
def test_a_payment_without_a_uuid_of_ours_is_ignored(charge, fake, logged, metadata):
    lose_response(fake, charge)
    event = altered(newest(fake, SUCCEEDED), id="pi_unknown", metadata=metadata)
    before = values_of(charge)

    statuses = deliver(fake, event)

    assert statuses == [NEW]
    assert error_of(event) == ""
    assert calls(fake) == logged() == []
    assert values_of(charge) == before


@pytest.mark.parametrize("type", [FAILED, CANCELED, REQUIRES_ACTION, PROCESSING])
def test_only_a_success_without_a_row_is_reported(charge, fake, type):
    lose_response(fake, charge)
    event = altered(newest(fake, SUCCEEDED))
    event["type"] = type
    lose(StripeCharge.objects.all())

    deliver(fake, event)

    assert error_of(event) == ""
    assert calls(fake) == []


# Signals


class WentWrong(Exception):
    pass


@pytest.fixture
def failing_receiver():
    """A receiver of ``stripe_charge_succeeded`` that fails while ``fails`` is true."""

    class Receiver:
        fails = True
        calls = 0

        def __call__(self, sender, instance, **kwargs):
            self.calls += 1
            if self.fails:
                raise WentWrong

    receiver = Receiver()
    with connected(signals.stripe_charge_succeeded, receiver):
        yield receiver


def test_the_signal_stays_due_if_a_receiver_fails(charge, fake, failing_receiver, logged):
    lose_response(fake, charge)

    statuses = deliver(fake, newest(fake, SUCCEEDED))

    row = row_of(charge)
    assert statuses == [NEW]
    assert (row.is_charged, row.signal_due) == (True, "succeeded")
    assert error_of(newest(fake, SUCCEEDED)) == ""
    assert any(newest(fake, SUCCEEDED)["id"] in it for it in logged())


def test_the_command_sends_a_due_signal(charge, fake, failing_receiver):
    lose_response(fake, charge)
    deliver(fake, newest(fake, SUCCEEDED))
    failing_receiver.fails = False

    charge_pending()

    assert failing_receiver.calls == 2
    assert_matches_stripe(fake, charge)


def test_the_next_event_sends_a_due_signal(charge, fake, failing_receiver, sent):
    lose_response(fake, charge)
    deliver(fake, newest(fake, SUCCEEDED))
    failing_receiver.fails = False
    sent.clear()
    fake.dashboard_refund(row_of(charge).stripe_charge_id, 300)

    deliver(fake, newest(fake, "charge.refunded"))

    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk), ("refunded", charge.pk)]


def test_a_failing_receiver_of_the_decline_is_logged(declined, fake, logged):
    def fail(sender, instance, **kwargs):
        raise WentWrong

    lose_response(fake, declined)

    with connected(signals.stripe_charge_card_exception, fail):
        statuses = deliver(fake, newest(fake, FAILED))

    assert statuses == [NEW]
    assert row_of(declined).charge_attempt_failed
    assert any(newest(fake, FAILED)["id"] in it for it in logged())


@pytest.mark.django_db(transaction=True)
def test_receivers_are_called_after_the_success_is_committed(fake):
    seen = []

    def look(sender, instance, **kwargs):
        seen.append(InThread(partial(committed_state, instance)).join())

    def committed_state(instance):
        return row_of(instance).is_charged, StripeWebhook.objects.get(pk=event["id"]).is_parsed

    charge = make_charge()
    lose_response(fake, charge)
    event = newest(fake, SUCCEEDED)

    with connected(signals.stripe_charge_succeeded, look):
        deliver(fake, event)

    assert seen == [(True, True)]


@pytest.mark.django_db(transaction=True)
def test_receivers_are_called_after_the_decline_is_committed(fake):
    seen = []

    def look(sender, instance, **kwargs):
        assert not connection.in_atomic_block
        seen.append(InThread(lambda: row_of(instance).failure_code).join())

    declined = make_charge(make_customer(card="tok_chargeCustomerFail"))
    lose_response(fake, declined)

    with connected(signals.stripe_charge_card_exception, look):
        deliver(fake, newest(fake, FAILED))

    assert seen == ["card_declined"]


def test_no_signal_is_sent_for_a_success_that_another_handler_rolls_back(charge, fake, sent, on):
    failures = [WentWrong]

    @on(SUCCEEDED)
    def fail_once(webhook):
        if failures:
            raise failures.pop()

    lose_response(fake, charge)
    event = newest(fake, SUCCEEDED)

    statuses = deliver(fake, event)

    assert statuses == [NOT_APPLIED]
    assert not row_of(charge).is_charged
    assert sent == []
    assert deliver(fake, event) == [REDELIVERED]
    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk)]


def test_no_signal_is_sent_for_a_decline_that_another_handler_rolls_back(declined, fake, sent, on):
    failures = [WentWrong]

    @on(FAILED)
    def fail_once(webhook):
        if failures:
            raise failures.pop()

    lose_response(fake, declined)
    event = newest(fake, FAILED)

    statuses = deliver(fake, event)

    assert statuses == [NOT_APPLIED]
    assert not row_of(declined).charge_attempt_failed
    assert sent == []
    assert deliver(fake, event) == [REDELIVERED]
    assert row_of(declined).charge_attempt_failed
    assert sent == [("card_exception", declined.pk)]


# Outages and errors of Stripe


@pytest.mark.parametrize("fault", OUTAGES, ids=lambda fault: fault.name)
def test_a_charge_stays_unsettled_during_an_outage(charge, fake, sent, fault):
    lose_response(fake, charge)
    event = newest(fake, SUCCEEDED)
    before = values_of(charge)
    fake.fail_next(RETRIEVE, fault)

    statuses = deliver(fake, event)

    assert statuses == [NOT_APPLIED]
    assert values_of(charge) == before
    assert sent == []
    assert deliver(fake, event) == [REDELIVERED]
    assert_matches_stripe(fake, charge)
    assert error_of(event) == ""
    assert sent == [("succeeded", charge.pk)]


def test_the_error_of_a_payment_unknown_to_stripe_is_recorded(charge, fake, sent):
    lose_response(fake, charge)
    event, before = newest(fake, SUCCEEDED), values_of(charge)
    fake.account.remove("payment_intent", charge.stripe_payment_intent_id)

    statuses = deliver(fake, event)

    assert statuses == [NEW]
    assert "No such payment_intent" in error_of(event)
    assert values_of(charge) == before
    assert sent == []


def test_an_event_is_retried_if_stripe_refused_the_api_key(charge, fake, settings, sent):
    lose_response(fake, charge)
    event, before = newest(fake, SUCCEEDED), values_of(charge)
    settings.STRIPE_API_KEY = "rubbish"

    statuses = deliver(fake, event)

    assert statuses == [NOT_APPLIED]
    assert values_of(charge) == before
    settings.STRIPE_API_KEY = "sk_test_fake"
    assert deliver(fake, event) == [REDELIVERED]
    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk)]


# Concurrency


@on_servers
def test_simultaneous_deliveries_and_a_charge_make_one_payment(transactional_db, fake, sent):
    charge = make_charge()
    lose_response(fake, charge)
    event = newest(fake, SUCCEEDED)
    fake.dashboard_refund(intent_of(fake, charge)["latest_charge"], 300)

    def collect():
        try:
            row_of(charge).charge()
        except StripeMethodNotAllowed:
            return

    threads = [
        InThread(lambda: deliver(fake, event)),
        InThread(lambda: deliver(fake, altered(event))),
        InThread(lambda: deliver(fake, newest(fake, "refund.created"))),
        InThread(lambda: deliver(fake, newest(fake, "charge.refunded"))),
        InThread(collect),
    ]
    for thread in threads:
        thread.join()

    assert_matches_stripe(fake, charge)
    assert not StripeWebhook.objects.exclude(is_parsed=True, parse_error="").exists()
    assert sorted(sent) == [("refunded", charge.pk), ("succeeded", charge.pk)]


@on_servers
@pytest.mark.parametrize("error", [None, RolledBack])
def test_a_webhook_waits_for_the_transaction_around_charge(transactional_db, fake, sent, error):
    charge = make_charge()

    with allowed_transaction(error):
        charge.charge()
        delivery = InThread(lambda: deliver(fake, newest(fake, SUCCEEDED)))
        wait_until(StripeWebhook.objects.exists)
        time.sleep(0.2)
        assert delivery.is_alive()

    assert delivery.join() == [NEW]
    assert error_of(newest(fake, SUCCEEDED)) == ""
    assert_matches_stripe(fake, charge)
    # A rollback also resets the record that the signal was sent, so it is sent again.
    assert sent == [("succeeded", charge.pk)] * (1 if error is None else 2)


# Disputes


@pytest.mark.parametrize("action", ["created", "updated", "closed", "funds_withdrawn"])
def test_a_dispute_is_logged(charged, fake, caplog, action):
    dispute = {
        "id": "du_1",
        "object": "dispute",
        "charge": charged.stripe_charge_id,
        "status": "needs_response",
    }
    event, before = make_event(f"charge.dispute.{action}", dispute), values_of(charged)

    with caplog.at_level(logging.WARNING, logger="aa-stripe"):
        statuses = deliver(fake, event)

    [record] = [it for it in caplog.records if it.name == "aa-stripe"]
    assert statuses == [NEW]
    assert record.levelno == logging.WARNING
    for part in (action, "du_1", charged.stripe_charge_id, "needs_response"):
        assert part in record.getMessage()
    assert calls(fake) == []
    assert values_of(charged) == before


# The methods settle() and send_due_signals()


def test_settling_a_success_marks_the_signal_as_due(charge, fake, sent):
    lose_response(fake, charge)

    error = charge.settle(charge.stripe_payment_intent_id)

    assert error is None
    assert (charge.is_charged, charge.signal_due) == (True, "succeeded")
    assert sent == []
    charge.send_due_signals()
    assert sent == [("succeeded", charge.pk)]


def test_settling_a_decline_returns_the_error_once(declined, fake, sent):
    lose_response(fake, declined)

    first = declined.settle(declined.stripe_payment_intent_id)
    second = declined.settle(declined.stripe_payment_intent_id)

    assert first.code == "card_declined"
    assert second is None
    assert sent == []


def test_settling_reads_the_row_again(charge, fake, sent):
    stale = row_of(charge)
    charge.charge()

    stale.settle(charge.stripe_payment_intent_id)

    assert stale.is_charged
    assert sent == [("succeeded", charge.pk)]


def test_settling_a_second_payment_raises(charged, fake):
    second = pay_again(fake, charged)

    with pytest.raises(StripeWebhookParseError, match="paid twice"):
        charged.settle(second.id)


def test_settling_an_uncaptured_payment_records_only_its_id(charge, fake, sent):
    intent_id = open_intent(fake, charge)
    lose_id(charge)
    fake.account.get("payment_intent", intent_id)["status"] = "requires_capture"

    assert charge.settle(intent_id) is None

    row = row_of(charge)
    assert row.stripe_payment_intent_id == intent_id
    assert (row.is_charged, row.charge_attempt_failed) == (False, False)


def test_settling_an_unknown_payment_raises_the_error_of_stripe(charge, fake):
    with pytest.raises(stripe.InvalidRequestError):
        charge.settle(f"pi_{uuid.uuid4().hex}")

    assert not row_of(charge).charge_attempt_failed
