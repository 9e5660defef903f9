"""A failure is recorded once, only if it happened, and it is that of the row's payment of today."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
import stripe

from aa_stripe.exceptions import StripeInternalError
from aa_stripe.jobs import charge_pending
from aa_stripe.models import StripeCharge, claims
from aa_stripe.models.claims import DatabaseNow
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.claims import hold
from tests.support.clock import let_pass, make_due
from tests.support.payments import (
    CONFIRM,
    RETRIEVE,
    intent_of,
    lose_response,
    paid,
    payer_of,
)
from tests.support.requests import before, calls, keys_of, requests_to, when_done
from tests.support.rows import row_of
from tests.support.threads import InThread

pytestmark = pytest.mark.django_db


def needs_authentication():
    """Make a charge that failed: its card requires 3-D Secure for each payment."""
    charge = make_charge(make_customer(card="pm_card_authenticationRequired"))
    charge.charge()
    make_due()
    return charge


@pytest.fixture
def unauthenticated(db, fake, sent_signals):
    charge = needs_authentication()
    sent_signals.clear()
    fake.requests.clear()
    return charge


@pytest.fixture
def in_browser(unauthenticated, fake):
    """A failed charge whose customer has begun 3-D Secure in the browser."""
    stripe.PaymentIntent.confirm(
        unauthenticated.stripe_payment_intent_id,
        payment_method=unauthenticated.customer.default_source,
    )
    assert intent_of(fake, unauthenticated)["status"] == "requires_action"
    fake.requests.clear()
    return unauthenticated


# A lost decline


@pytest.mark.parametrize("terms", [{"amount": 500}, {"currency": "eur"}])
def test_a_lost_decline_on_other_terms_is_not_the_failure_of_todays(
    declined, fake, sent_signals, terms
):
    lose_response(fake, declined)
    StripeCharge.objects.update(**terms)

    row_of(declined).charge()

    assert calls(fake).count(CONFIRM) == 2
    assert row_of(declined).charge_attempt_failed
    assert sent_signals == ["card_exception"]


#: Stripe may still carry out a request that was sent less than an hour ago.
PAUSES = [timedelta(0), timedelta(hours=2)]


@pytest.mark.parametrize("pause", PAUSES)
def test_other_terms_are_tried_under_a_new_key_after_a_lost_decline(declined, fake, pause):
    lose_response(fake, declined)
    let_pass(fake, pause)
    StripeCharge.objects.update(amount=500)

    row_of(declined).charge()

    uuid = declined.uuid
    assert keys_of(fake, CONFIRM) == [f"{uuid}-confirm", f"{uuid}-1-confirm"]
    assert row_of(declined).stripe_response["error"]["payment_intent"]["amount"] == 500


@pytest.mark.parametrize("pause", PAUSES)
def test_other_terms_are_tried_after_a_bank_debit_that_failed_later(db, fake, sent_signals, pause):
    charge = make_charge(make_customer(card="pm_card_fakeProcessing"))
    charge.charge()
    let_pass(fake, pause)
    fake.settle(charge.stripe_payment_intent_id, succeed=False)
    StripeCharge.objects.update(amount=500)

    row_of(charge).charge()
    fake.settle(row_of(charge).stripe_payment_intent_id, succeed=True)
    make_due()
    charge_pending()

    assert [intent["amount_received"] for intent in paid(fake)] == [500]
    assert sent_signals == ["succeeded"]


def test_a_lost_decline_is_not_reported_if_the_new_amount_is_paid(declined, fake, sent_signals):
    lose_response(fake, declined)
    StripeCharge.objects.update(amount=500)
    payer_of(declined).add_new_source("tok_visa")

    assert row_of(declined).charge() is not None

    assert sent_signals == ["succeeded"]


def test_a_bank_debit_that_fails_while_a_run_reads_it_is_found_by_a_later_run(
    db, fake, sent_signals
):
    charge = make_charge(make_customer(card="pm_card_fakeProcessing"))
    charge.charge()
    make_due()
    when_done(fake, RETRIEVE, lambda: fake.settle(charge.stripe_payment_intent_id, succeed=False))
    charge_pending()
    let_pass(fake, timedelta(days=2))

    charge_pending()

    assert row_of(charge).charge_attempt_failed
    assert sent_signals == ["card_exception"]


# The mark of a failed row


def test_a_failure_that_another_process_marks_survives_a_lost_response(charge, fake):
    before(fake, CONFIRM, lambda: StripeCharge.objects.update(charge_attempt_failed=True))
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)

    charge_pending()

    assert row_of(charge).charge_attempt_failed


def test_a_rejected_api_key_leaves_a_failed_row_failed(declined, settings, sent_signals):
    declined.charge()
    settings.STRIPE_API_KEY = "invalid"

    with pytest.raises(stripe.AuthenticationError):
        row_of(declined).charge()

    row = row_of(declined)
    assert (row.charge_attempt_failed, row.failure_code) == (True, "card_declined")
    assert sent_signals == ["card_exception"]


# A failed row whose payment is canceled in the Dashboard


@pytest.mark.parametrize("card", ["tok_chargeCustomerFail", "pm_card_authenticationRequired"])
def test_the_cancellation_of_a_failed_payment_is_not_another_failure(db, fake, sent_signals, card):
    charge = make_charge(make_customer(card=card))
    charge.charge()
    failed = row_of(charge)
    sent_signals.clear()
    fake.dashboard_cancel(failed.stripe_payment_intent_id)
    StripeCharge.objects.update(is_unsettled=True, sent_at=DatabaseNow(), retry_at=None)

    report = charge_pending()

    row = row_of(charge)
    assert (row.failure_code, row.stripe_charge_id) == (
        failed.failure_code,
        failed.stripe_charge_id,
    )
    assert dict(report.done) == {}
    assert sent_signals == []


def test_nothing_is_asked_about_a_failed_row_whose_payment_was_canceled(unauthenticated, fake):
    fake.dashboard_cancel(unauthenticated.stripe_payment_intent_id)
    charge_pending()
    make_due()
    fake.requests.clear()

    charge_pending()

    assert not row_of(unauthenticated).is_unsettled
    assert fake.requests == []


# 3-D Secure


def test_an_authentication_that_fails_is_one_more_failure(in_browser, fake, sent_signals):
    fake.fail_authentication(in_browser.stripe_payment_intent_id)

    report = charge_pending()

    assert dict(report.done) == {"declined": 1}
    assert row_of(in_browser).failure_code == "payment_intent_authentication_failure"
    assert sent_signals == ["card_exception"]


def test_an_authentication_that_failed_is_reported_once(in_browser, fake, sent_signals):
    fake.fail_authentication(in_browser.stripe_payment_intent_id)
    charge_pending()
    make_due()

    report = charge_pending()

    assert dict(report.done) == {}
    assert sent_signals == ["card_exception"]


def test_an_authentication_that_is_not_finished_is_not_a_failure(in_browser, sent_signals):
    report = charge_pending()

    assert (dict(report.done), dict(report.skipped)) == ({}, {"still not paid": 1})
    assert sent_signals == []


def test_a_failure_after_an_error_of_a_read_is_that_of_a_new_confirmation(
    in_browser, fake, sent_signals
):
    fake.fail_next(RETRIEVE, Fault.ERROR_500_BEFORE)
    with pytest.raises(StripeInternalError):
        row_of(in_browser).charge()
    make_due()

    charge_pending()

    assert calls(fake).count(CONFIRM) == 1
    assert sent_signals == ["card_exception", "requires_action"]


def test_a_new_card_is_tried_though_its_first_confirmation_was_lost(in_browser, fake, sent_signals):
    in_browser.customer.add_new_source("tok_visa")
    lose_response(fake, row_of(in_browser), Fault.REQUEST_LOST)
    make_due()

    charge_pending()

    assert row_of(in_browser).is_charged
    assert len(paid(fake)) == 1
    assert sent_signals == ["succeeded"]


# A decline of another process that tried nothing


def test_a_call_that_waited_for_a_failed_read_tries_the_card_itself(transactional_db, fake):
    charge = needs_authentication()
    waiting = []

    def call_meanwhile():
        waiting.append(InThread(row_of(charge).charge))
        time.sleep(0.3)

    fake.fail_next(RETRIEVE, Fault.ERROR_500_BEFORE)
    when_done(fake, RETRIEVE, call_meanwhile)

    charge_pending()
    waiting[0].join()

    assert calls(fake).count(CONFIRM) == 2


@pytest.mark.parametrize("card", ["tok_chargeCustomerFail", "pm_card_authenticationRequired"])
def test_the_decline_of_a_row_that_stays_unsettled_is_the_result_of_a_call_that_waited(
    customer, fake, sent_signals, monkeypatch, card
):
    charge = make_charge(make_customer(customer.user, card))
    lose_response(fake, charge, Fault.REQUEST_LOST)
    hold(charge)

    def let_the_holder_finish(seconds):
        monkeypatch.undo()
        StripeCharge.objects.update(claim="", claimed_until=None)
        row_of(charge).charge()

    monkeypatch.setattr(claims.time, "sleep", let_the_holder_finish)

    assert row_of(charge).charge() is None

    assert sent_signals.count("card_exception") == 1
    assert len(requests_to(fake, CONFIRM)) == 2
