"""Refunds by several processes, and refunds that Stripe holds up."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from aa_stripe.exceptions import StripeInProgress, StripeInternalError, StripeMethodNotAllowed
from aa_stripe.jobs import charge_pending
from aa_stripe.models import StripeRefund
from aa_stripe.models.charge import refunding
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.claims import hold, let_holder_die
from tests.support.clock import let_pass, make_due
from tests.support.payments import REFUND, amounts_refunded
from tests.support.requests import requests_to, when_done
from tests.support.rows import row_of
from tests.support.threads import InThread

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1, minutes=5)


def lose_refund(fake, charge, amount, fault=Fault.REQUEST_LOST):
    fake.fail_next(REFUND, fault)
    with pytest.raises(StripeInternalError):
        row_of(charge).refund(amount)
    return charge.refunds.get(amount=amount, status="unknown")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(refunding, "PATIENCE", 0.2)


# At the same moment


@pytest.fixture
def refunds_in_two_threads(transactional_db, fake):
    """``refunds_in_two_threads(charge, 300, 300)``: the second begins when the first is made."""

    def run(charge, *wanted):
        is_made, goes_on = threading.Event(), threading.Event()

        def wait():
            is_made.set()
            goes_on.wait(10)

        when_done(fake, REFUND, wait)
        first = InThread(lambda: row_of(charge).refund(wanted[0]))
        assert is_made.wait(10)
        second = InThread(lambda: row_of(charge).refund(wanted[1]))
        goes_on.set()
        return [first, second]

    return run


def charged_charge():
    charge = make_charge(make_customer())
    charge.charge()
    return charge


def test_two_who_want_the_same_back_at_once_each_get_it(refunds_in_two_threads, fake):
    charge = charged_charge()

    for thread in refunds_in_two_threads(charge, 300, 300):
        thread.join()

    assert amounts_refunded(fake, charge) == [300, 300]
    assert row_of(charge).amount_refunded == 600
    assert charge.refunds.filter(status="succeeded").count() == 2


@pytest.mark.parametrize(
    ("first_amount", "second_amount", "error", "given_back"),
    [
        (700, 600, "Refunds exceed charge", 700),
        (600, 600, "Refunds exceed charge", 600),
        (None, None, "Already refunded", 1000),
    ],
)
def test_two_refunds_at_once_never_exceed_the_charge(
    refunds_in_two_threads, fake, first_amount, second_amount, error, given_back
):
    charge = charged_charge()
    first, second = refunds_in_two_threads(charge, first_amount, second_amount)
    first.join()

    with pytest.raises(StripeMethodNotAllowed, match=error):
        second.join()

    assert amounts_refunded(fake, charge) == [given_back]


def test_an_order_that_is_being_requested_counts_as_given_back(charged, fake):
    order = charged.refunds.create(amount=700)
    hold(order)

    with pytest.raises(StripeMethodNotAllowed, match="Refunds exceed charge"):
        charged.refund(400)

    assert charged.refund(300).amount == 300
    assert amounts_refunded(fake, charged) == [300]


def test_a_call_gives_up_waiting_for_an_order_of_the_same_amount(charged, fake, impatient):
    hold(charged.refunds.create(amount=300))

    with pytest.raises(StripeInProgress):
        charged.refund(300)

    assert amounts_refunded(fake, charged) == []


def test_the_order_of_a_process_that_died_is_finished_and_returned(charged, fake):
    order = charged.refunds.create(amount=300)
    let_holder_die(order)

    made = charged.refund(300)

    assert amounts_refunded(fake, charged) == [300]
    assert row_of(order).stripe_refund_id == made.id
    assert (row_of(order).claim, row_of(order).is_unsettled) == ("", False)


# Orders without an outcome


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_of_a_repeated_request_is_not_recorded(
    charged, fake, settings, monkeypatch, status
):
    settings.STRIPE_MAX_NETWORK_RETRIES = 1
    fake.fail_next(REFUND, Fault.ANSWER_LOST)
    with monkeypatch.context() as patch:
        refuse_repetitions(fake, patch, status)
        with pytest.raises(StripeInternalError):
            charged.refund(300)

    assert charged.refunds.get().status == "unknown"
    assert charged.refund(300).amount == 300
    assert amounts_refunded(fake, charged) == [300]


def refuse_repetitions(fake, monkeypatch, status):
    """Respond to each refund that was requested before with an error."""
    send = fake.http_client.request

    def request(method, url, *arguments):
        if url.endswith("/v1/refunds") and requests_to(fake, REFUND):
            return '{"error": {"type": "invalid_request_error", "message": "No."}}', status, {}
        return send(method, url, *arguments)

    monkeypatch.setattr(fake.http_client, "request", request)


def test_a_refund_that_got_no_response_is_requested_again_with_the_same_key(charged, fake):
    lose_refund(fake, charged, 300)

    charged.refund(300)

    first, second = requests_to(fake, REFUND)
    assert first.idempotency_key == second.idempotency_key
    assert amounts_refunded(fake, charged) == [300]


@pytest.mark.parametrize("fault", [Fault.ERROR_500_BEFORE, Fault.ERROR_500_AFTER])
def test_a_refund_that_got_an_error_is_requested_again_after_an_hour_only(charged, fake, fault):
    order = lose_refund(fake, charged, 300, fault)
    if fault is Fault.ERROR_500_BEFORE:
        with pytest.raises(StripeInternalError, match="an earlier request"):
            row_of(charged).refund(300)
        assert len(requests_to(fake, REFUND)) == 1
        let_pass(fake, HOUR)

    made = row_of(charged).refund(300)

    assert amounts_refunded(fake, charged) == [300]
    assert row_of(order).stripe_refund_id == made.id


def test_an_order_that_stripe_holds_up_does_not_hold_up_others(charged, fake):
    lose_refund(fake, charged, 300, Fault.ERROR_500_BEFORE)

    assert charged.refund(200).amount == 200

    assert amounts_refunded(fake, charged) == [200]
    with pytest.raises(StripeMethodNotAllowed, match="Refunds exceed charge"):
        charged.refund(600)
    with pytest.raises(StripeInternalError):
        row_of(charged).refund(300)


def test_a_run_finishes_the_other_orders_although_one_is_held_up(charged, fake):
    lose_refund(fake, charged, 300, Fault.ERROR_500_BEFORE)
    lose_refund(fake, charged, 200)
    make_due()

    report = charge_pending()

    assert len(report.failed) == 1
    assert amounts_refunded(fake, charged) == [200]


def test_a_refund_without_an_outcome_waits_before_a_run_finishes_it(charged, fake):
    lose_refund(fake, charged, 300)
    fake.requests.clear()

    charge_pending()

    assert fake.requests == []
    make_due()
    charge_pending()
    assert amounts_refunded(fake, charged) == [300]


def test_a_run_skips_a_refund_that_another_process_requests(charged, fake):
    hold(charged.refunds.create(amount=300))
    fake.requests.clear()

    charge_pending()

    assert fake.requests == []
    assert StripeRefund.objects.get().status == "unknown"
