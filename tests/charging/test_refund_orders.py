"""Orders of refunds while other processes, webhooks and late requests change the charge."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe
from django.db import OperationalError, transaction

from aa_stripe import gateway
from aa_stripe.exceptions import (
    StripeInternalError,
    StripeInTransaction,
    StripeMethodNotAllowed,
    StripeTooSlow,
)
from aa_stripe.jobs import charge_pending
from aa_stripe.models.charge import refunds
from aa_stripe.models.charge.refunds import UUID_KEY
from aa_stripe.models.claims import DatabaseNow
from aa_stripe.testing import Fault
from aa_stripe.testing.http import faults
from aa_stripe.testing.http.response import Response
from tests.support.builders import make_charge, make_customer
from tests.support.claims import hold
from tests.support.clock import let_pass, make_due
from tests.support.payments import REFUND, REFUNDS, amounts_refunded
from tests.support.requests import arrive_late, before, refuse_next, requests_to, when_done
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db


# What fits into the charge


def test_a_refund_of_another_process_is_not_taken_for_one_of_the_dashboard(
    charged, fake, before_the_commit
):
    before_the_commit(lambda: row_of(charged).refund(400))

    with pytest.raises(StripeMethodNotAllowed, match="Refunds exceed charge"):
        charged.refund(700)

    assert amounts_refunded(fake, charged) == [400]


def test_an_order_that_is_in_the_sum_already_is_not_subtracted_twice(
    charged, fake, before_the_commit
):
    order = charged.refunds.create(amount=300)
    hold(order)

    def make_and_count_it():
        stripe.Refund.create(
            charge=charged.stripe_charge_id, amount=300, metadata={UUID_KEY: str(order.uuid)}
        )
        refunds.sync_refunds(row_of(charged))

    before_the_commit(make_and_count_it)

    assert charged.refund(700).amount == 700


def test_a_list_that_was_read_before_another_refund_is_read_again(charged, fake):
    fake.fail_next(REFUND, Fault.ERROR_500_BEFORE)
    with pytest.raises(StripeInternalError):
        charged.refund(100)
    when_done(fake, REFUNDS, lambda: when_done(fake, REFUNDS, lambda: row_of(charged).refund(400)))

    with pytest.raises(StripeMethodNotAllowed, match="Refunds exceed charge"):
        charged.refund(700)

    assert amounts_refunded(fake, charged) == [400]


# Refusals and late requests


def test_a_refusal_while_an_earlier_request_may_arrive_is_not_recorded(charged, fake):
    fake.fail_next(REFUND, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        charged.refund(300)
    [lost] = requests_to(fake, REFUND)
    refuse_next(fake, REFUND)
    with pytest.raises(StripeInternalError):
        charged.refund(300)

    arrive_late(fake, lost)

    assert charged.refund(300).amount == 300
    assert amounts_refunded(fake, charged) == [300]
    assert charged.refunds.get().status == "succeeded"


def test_an_order_that_was_refused_and_made_nevertheless_is_recorded(charged, fake):
    order = charged.refunds.create(amount=300, status="refused")
    stripe.Refund.create(
        charge=charged.stripe_charge_id, amount=300, metadata={UUID_KEY: str(order.uuid)}
    )

    charged.refresh_from_stripe()

    assert row_of(order).status == "succeeded"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_first_request_that_stripe_cannot_carry_out_is_refused(
    charged, fake, monkeypatch, status
):
    send = fake.http_client.request

    def request(method, url, *arguments):
        if url.endswith("/v1/refunds") and method == "post":
            return '{"error": {"type": "invalid_request_error", "message": "No."}}', status, {}
        return send(method, url, *arguments)

    monkeypatch.setattr(fake.http_client, "request", request)

    with pytest.raises(stripe.StripeError, match="No"):
        charged.refund(300)

    assert charged.refunds.get().status == "refused"


def test_a_refund_is_not_requested_if_the_lease_may_end_before_the_response(charged, fake, later):
    def wait_long_for_the_turn():
        if charged.refunds.exists():
            later(300 - 2 * 80 + 1)

    with gateway.before_each_request(wait_long_for_the_turn), pytest.raises(StripeTooSlow):
        charged.refund(300)

    assert amounts_refunded(fake, charged) == []
    assert (charged.refunds.get().status, charged.refunds.get().claim) == ("unknown", "")


# The sum, the signal and the row


def test_the_sum_is_counted_later_if_the_list_cannot_be_read(charged, fake, sent_signals):
    def refund_too_and_go_down():
        row_of(charged).refund(200)
        fake.fail_next(REFUNDS, Fault.ERROR_500_BEFORE)

    before(fake, REFUND, refund_too_and_go_down)

    assert charged.refund(300).amount == 300

    make_due()
    charge_pending()
    assert row_of(charged).amount_refunded == 500
    assert sent_signals == ["refunded", "refunded"]
    assert not charged.refunds.filter(status="unknown").exists()


def test_the_row_names_the_refund_that_was_made_although_it_had_changed(charged, fake):
    before(fake, REFUND, lambda: row_of(charged).refund(200))

    made = charged.refund(300)

    assert row_of(charged).stripe_refund_id == made.id


@pytest.mark.django_db(transaction=True)
def test_a_conflict_while_a_refund_is_recorded_is_retried(fake, monkeypatch):
    charge = make_charge(make_customer())
    charge.charge()
    record = refunds.record

    def be_the_victim_of_a_deadlock(*arguments):
        monkeypatch.setattr(refunds, "record", record)
        raise OperationalError(1213, "Deadlock found")

    monkeypatch.setattr(refunds, "record", be_the_victim_of_a_deadlock)

    assert charge.refund(300).amount == 300

    assert charge.refunds.get().status == "succeeded"


def test_a_refund_that_a_webhook_records_before_the_response_is_lost_is_returned(charged, fake):
    fake.fail_next(REFUND, Fault.ANSWER_LOST)
    when_done(fake, REFUND, lambda: row_of(charged).take_over_refunds())

    assert charged.refund(300).amount == 300

    assert amounts_refunded(fake, charged) == [300]


# Runs and transactions


def test_refunds_that_are_held_up_do_not_stop_a_run(customer, fake):
    for _ in range(11):
        charge = make_charge(customer)
        charge.charge()
        fake.fail_next(REFUND, Fault.ERROR_500_BEFORE)
        with pytest.raises(StripeInternalError):
            charge.refund(300)
    pending = make_charge(customer)
    make_due()

    report = charge_pending()

    assert report.stopped == ""
    assert row_of(pending).is_charged


def test_an_order_waits_if_the_list_cannot_be_read(charged, fake):
    fake.fail_next(REFUND, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        charged.refund(300)
    make_due()
    fake.fail_next(REFUNDS, Fault.ERROR_500_BEFORE)
    charge_pending()
    fake.requests.clear()

    charge_pending()

    assert fake.requests == []


@pytest.mark.django_db(transaction=True)
def test_an_unknown_refund_is_not_requested_inside_a_transaction(fake):
    charge = make_charge(make_customer())
    charge.charge()
    fake.fail_next(REFUND, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        charge.refund(300)
    fake.requests.clear()

    with pytest.raises(StripeInTransaction), transaction.atomic():
        row_of(charge).refresh_from_stripe()

    assert fake.requests == []


def test_an_order_that_stripe_responded_to_with_an_error_waits_an_hour(charged, fake):
    fake.fail_next(REFUND, Fault.ERROR_500_BEFORE)
    with pytest.raises(StripeInternalError):
        charged.refund(300)

    orders = charged.refunds.annotate(now=DatabaseNow())

    retry_at, now = orders.values_list("retry_at", "now").get()
    assert 59 <= (retry_at - now).total_seconds() / 60 <= 60


def test_any_error_that_stripe_repeats_gets_a_new_key_hours_later(charged, fake, monkeypatch):
    monkeypatch.setattr(faults, "error_500", lambda: Response.of(503, {"error": {}}))
    fake.fail_next(REFUND, Fault.ERROR_500_BEFORE)
    with pytest.raises(StripeInternalError):
        charged.refund(300)
    for _ in range(2):  # the repetition of the error, and the next key
        let_pass(fake, timedelta(hours=3))
        charge_pending()

    assert amounts_refunded(fake, charged) == [300]
