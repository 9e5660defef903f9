"""Rows that fail each time do not keep others waiting; a report counts each row once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aa_stripe.jobs import charge_pending, charges
from aa_stripe.models import StripeCharge, StripeCustomer
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.claims import end_lease, let_holder_die
from tests.support.clock import let_pass, make_due
from tests.support.payments import CONFIRM, CREATE, RETRIEVE, lose_response
from tests.support.processes import Killed
from tests.support.requests import when_done
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def charge(customer):
    return make_charge(customer)


def die():
    raise Killed


def kill_run(fake, endpoint, charge):
    """Run in a process that is killed when Stripe has carried out a request for the charge."""
    make_due()
    when_done(fake, endpoint, die)
    with pytest.raises(Killed):
        charge_pending()
    let_holder_die(charge)


def make_stranger_charge(number):
    """Make a charge whose customer Stripe does not know."""
    stranger = StripeCustomer.objects.create(
        user=make_user(), stripe_customer_id=f"cus_of_another_account_{number}"
    )
    return make_charge(stranger)


def attempts_of(*charges):
    return [row_of(charge).attempts for charge in charges]


# The order, and rows that fail each time


def test_a_row_that_kills_each_run_has_more_attempts_each_time(charge, fake):
    for endpoint in (CREATE, RETRIEVE, RETRIEVE):
        kill_run(fake, endpoint, charge)

    assert attempts_of(charge) == [2]  # the last one is counted by the process that finds it


def test_an_unsettled_row_that_kills_each_run_does_not_keep_new_rows_waiting(customer, fake):
    killing, new = make_charge(customer), make_charge(customer)
    kill_run(fake, CREATE, killing)
    kill_run(fake, RETRIEVE, killing)

    charge_pending()

    assert row_of(new).is_charged
    assert not row_of(killing).is_charged


def test_an_unsettled_row_that_kills_the_run_comes_after_other_unsettled_ones(customer, fake):
    killing, other = make_charge(customer), make_charge(customer)
    kill_run(fake, CREATE, killing)
    kill_run(fake, RETRIEVE, killing)
    lose_response(fake, other)
    StripeCharge.objects.filter(pk=other.pk).update(attempts=0, retry_at=None)

    charge_pending(limit=1)

    assert row_of(other).is_charged
    assert not row_of(killing).is_charged


def test_new_rows_do_not_keep_an_unsettled_one_waiting(charge, customer, fake):
    lose_response(fake, charge)
    for _ in range(3):
        make_charge(customer)
    make_due()

    charge_pending(limit=1)

    assert row_of(charge).is_charged


def test_unsettled_rows_do_not_keep_a_new_one_waiting(customer, fake):
    for _ in range(3):
        lose_response(fake, make_charge(customer))
    new = make_charge(customer)
    make_due()

    charge_pending(limit=2)

    assert row_of(new).is_charged


def test_customers_that_stripe_does_not_know_do_not_use_up_each_limit(fake):
    strangers = [make_stranger_charge(number) for number in range(3)]
    good = make_charge(make_customer())
    charge_pending(limit=3)

    charge_pending(limit=3)

    assert row_of(good).is_charged
    assert attempts_of(*strangers) == [1, 1, 1]


def test_rows_of_another_account_do_not_stop_each_run_at_once(fake):
    good = make_charge(make_customer())
    for number in range(5):
        make_stranger_charge(number)
    StripeCharge.objects.filter(pk=good.pk).update(attempts=1)
    reports = []

    for _ in range(3):
        make_due()
        reports.append(charge_pending())

    assert "API key" in reports[0].stopped
    assert row_of(good).is_charged


def test_a_row_that_lacked_a_customer_waits_an_hour_even_after_a_long_outage(charge, fake):
    lose_response(fake, charge, Fault.REQUEST_LOST)
    StripeCharge.objects.update(attempts=9)
    make_due()
    StripeCustomer.objects.update(is_active=False)
    charge_pending()
    StripeCustomer.objects.update(is_active=True)
    let_pass(fake, timedelta(minutes=61))

    charge_pending()

    assert row_of(charge).is_charged


# What is counted in a row


def test_a_stripe_that_hangs_stops_the_run(customer, fake, settings, later):
    settings.STRIPE_MAX_NETWORK_RETRIES = 2
    for _ in range(12):
        make_charge(customer)
    fake.before_request.append(lambda request: later(80))
    fake.fail_next("*", Fault.REQUEST_LOST, times=None)

    report = charge_pending()

    assert "Stripe could not be reached 10 times" in report.stopped
    assert len(report.failed) == 10


def test_rows_without_an_amount_do_not_hide_an_outage(customer, fake):
    for number in range(24):
        make_charge(customer, amount=1000 if number % 2 else None)
    fake.fail_next(CREATE, Fault.REQUEST_LOST, times=None)

    report = charge_pending()

    assert "Stripe could not be reached 10 times" in report.stopped
    assert dict(report.skipped) == {"no amount": 10}


def test_payments_that_are_still_not_paid_let_the_run_go_on(customer, fake):
    rows = [make_charge(customer) for _ in range(24)]
    for row in rows:
        lose_response(fake, row, Fault.REQUEST_LOST)
    manual = [row.pk for row in rows[::2]]
    StripeCharge.objects.filter(pk__in=manual).update(is_manual_charge=True, attempts=1)
    make_due()
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST, times=None)

    report = charge_pending()

    assert report.stopped == ""
    assert (dict(report.skipped), len(report.failed)) == ({"still not paid": 12}, 12)


# Reports of two processes


@pytest.fixture
def reports():
    """The reports of all runs of the test."""
    return []


def total(reports, action):
    return sum(report.done[action] for report in reports)


@pytest.mark.parametrize(
    ("card", "action"), [("tok_visa", "collected"), ("tok_chargeCustomerFail", "declined")]
)
def test_a_row_that_two_runs_settle_after_the_lease_is_reported_once(
    db, fake, reports, card, action
):
    charge = make_charge(make_customer(card=card))

    def run_too():
        end_lease(charge)
        reports.append(charge_pending())

    when_done(fake, CONFIRM, run_too)

    reports.append(charge_pending())

    assert len(reports) == 2
    assert total(reports, action) == 1


def test_a_decline_before_the_claim_is_taken_is_reported_once(db, fake, reports, monkeypatch):
    make_charge(make_customer(card="tok_chargeCustomerFail"))
    take_from = charges.take_from

    def take_late(*arguments):
        monkeypatch.setattr(charges, "take_from", take_from)
        reports.append(charge_pending())
        return take_from(*arguments)

    monkeypatch.setattr(charges, "take_from", take_late)

    reports.append(charge_pending())

    assert len(reports) == 2
    assert total(reports, "declined") == 1
