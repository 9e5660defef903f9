"""Runs against a Stripe that is away, or that is another account than the one of the rows."""

from __future__ import annotations

import json
import pickle

import pytest

from aa_stripe.jobs import Outcome, Report
from aa_stripe.jobs.run import attempt
from aa_stripe.models import StripeCharge, StripeCustomer
from aa_stripe.testing import FakeStripe, Fault
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.clock import make_due
from tests.support.payments import CONFIRM, CREATE, RETRIEVE, lose_response, paid
from tests.support.requests import calls, requests_to
from tests.support.rows import values_of

pytestmark = pytest.mark.django_db

RETRIEVE_CUSTOMER = "GET /v1/customers/*"


@pytest.fixture
def backlog(customer):
    """Six pending charges."""
    return [make_charge(customer) for _ in range(6)]


def states():
    rows = StripeCharge.objects.order_by("pk")
    return list(rows.values_list("is_charged", "charge_attempt_failed", "failure_code"))


# Another account, another mode, another version


def test_a_run_with_the_key_of_another_account_concludes_nothing(backlog, run, sent):
    before = states()

    with FakeStripe():
        ran = run("charge_stripe")

    assert ran.status == 1
    assert "Stopped early: Stripe rejected the API key" in ran.stdout
    assert ran.stdout.endswith("failed: 3\n")
    assert "another account or mode" in ran.stdout
    assert backlog[0].user.stripe_customers.get().stripe_customer_id in ran.stdout
    assert (states(), sent) == (before, [])


def test_the_right_key_collects_after_a_run_with_the_wrong_one(backlog, fake, run):
    with FakeStripe():
        run("charge_stripe")

    ran = run("charge_stripe")

    assert ran.status == 0
    assert len(paid(fake)) == len(backlog)


def test_a_payment_that_another_account_does_not_know_is_not_created_again(
    backlog, fake, run, sent
):
    for charge in backlog:
        lose_response(fake, charge, Fault.REQUEST_LOST)
    before = [values_of(charge) for charge in backlog]
    make_due()

    with FakeStripe() as other:
        ran = run("charge_stripe")

    assert calls(other) == [RETRIEVE, RETRIEVE_CUSTOMER] * 3
    assert ran.stdout.endswith("failed: 3\n")
    assert "another account or mode" in ran.stdout
    assert [row["stripe_payment_intent_id"] for row in map(values_of, backlog)] == [
        row["stripe_payment_intent_id"] for row in before
    ]
    assert sent == []


@pytest.mark.parametrize("version", ["2019-2-19", "latest", "2026-08-26dahlia"])
def test_a_version_of_the_api_that_stripe_does_not_know_concludes_nothing(
    backlog, run, sent, settings, version
):
    before = states()
    settings.STRIPE_API_VERSION = version

    ran = run("charge_stripe")

    assert ran.status == 1
    assert ran.stdout.endswith("failed: 3\n")
    assert f"Invalid Stripe API version: {version}" in ran.stdout
    assert (states(), sent) == (before, [])


def test_customers_unknown_to_stripe_do_not_stop_the_others(fake, run):
    strangers = [
        StripeCustomer.objects.create(user=make_user(), stripe_customer_id=f"cus_of_another_{it}")
        for it in range(4)
    ]
    unknown = [make_charge(stranger) for stranger in strangers]
    good = [make_charge(make_customer()) for _ in range(3)]

    ran = run("charge_stripe")

    assert ran.status == 1
    assert ran.stdout.endswith("failed: 4\n")
    assert "does not know the customer cus_of_another_3, but it knows" in ran.stdout
    assert len(paid(fake)) == len(good)
    for charge in unknown:
        charge.refresh_from_db()
        assert (charge.charge_attempt_failed, charge.failure_code) == (False, "")


@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.ERROR_500_BEFORE])
def test_without_a_response_about_the_customer_nothing_is_concluded(
    backlog, fake, run, sent, fault
):
    StripeCustomer.objects.update(stripe_customer_id="cus_of_another_account")
    fake.fail_next(RETRIEVE_CUSTOMER, fault, times=None)
    before = states()

    ran = run("charge_stripe")

    assert ran.status == 1
    assert ran.stdout.count("Temporary Stripe API error") == len(backlog)
    assert (states(), sent) == (before, [])


# Stripe is away


def test_an_outage_prints_one_traceback_and_one_line_for_each_further_row(
    backlog, fake, run, caplog
):
    fake.fail_next(CREATE, Fault.REQUEST_LOST, times=None)

    ran = run("charge_stripe")

    assert ran.stdout.count("Temporary Stripe API error") == len(backlog)
    assert ran.stdout.count(f"Exception happened\nCharge id: {backlog[0].pk}\nTraceback") == 1
    for charge in backlog[1:]:
        assert f"\nException happened. Charge id: {charge.pk}: " in ran.stdout
    assert [bool(record.exc_info) for record in caplog.records] == [True] + [False] * 5
    assert all("Charge id: " in message for message in caplog.messages)


def test_errors_of_different_kinds_have_a_traceback_each(backlog, fake, run, caplog):
    for fault in [Fault.REQUEST_LOST, Fault.ERROR_500_BEFORE, Fault.REQUEST_LOST]:
        fake.fail_next(CREATE, fault)

    ran = run("charge_stripe")

    assert ran.stdout.endswith("failed: 3\n")
    assert [bool(record.exc_info) for record in caplog.records] == [True, True, False]


@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.RATE_LIMITED])
def test_a_run_ends_after_ten_rows_in_a_row_without_a_usable_response(customer, fake, run, fault):
    for _ in range(12):
        make_charge(customer)
    fake.fail_next(CREATE, fault, times=None)

    ran = run("charge_stripe")

    assert ran.status == 1
    assert "Stopped early: Stripe could not be reached 10 times in a row.\n" in ran.stdout
    assert ran.stdout.endswith("failed: 10\n")
    assert len(requests_to(fake, CREATE)) == 10


def test_a_success_in_between_lets_the_run_go_on(customer, fake, run):
    for _ in range(20):
        make_charge(customer)
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST, times=9)
    creations = []

    def succeed_once(request):
        if request.path == "/v1/payment_intents":
            creations.append(request)
            if len(creations) == 11:
                fake.fail_next(CONFIRM, Fault.REQUEST_LOST, times=9)

    fake.before_request.append(succeed_once)

    ran = run("charge_stripe")

    assert "Stopped early" not in ran.stdout
    assert ran.stdout.endswith("failed: 18\n")
    assert len(paid(fake)) == 2


@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_rows_that_stripe_responds_to_with_500_each_time_do_not_keep_the_others_waiting(
    customer, fake, run, endpoint
):
    for _ in range(10):
        make_charge(customer)
    good = make_charge(customer)
    fake.fail_next(endpoint, Fault.ERROR_500_BEFORE, times=10)
    assert "Stopped early: Stripe could not be reached" in run("charge_stripe").stdout

    run("charge_stripe")

    good.refresh_from_db()
    assert good.is_charged


def test_payments_that_wait_for_the_bank_let_the_run_go_on(fake, run):
    waiting = make_customer(card="pm_card_fakeProcessing")
    for number in range(22):
        charge = make_charge(waiting)
        if number % 2:
            lose_response(fake, charge, Fault.REQUEST_LOST)
    StripeCharge.objects.update(attempts=0, retry_at=None)
    fake.fail_next(RETRIEVE, Fault.REQUEST_LOST, times=None)

    ran = run("charge_stripe")

    assert ran.stdout.endswith("failed: 11\n")
    assert "Stopped early" not in ran.stdout


def test_an_error_among_its_own_causes_has_a_traceback():
    report = Report()
    try:
        raise ValueError("again")
    except ValueError as error:
        error.__cause__ = error
        failure = report.add("Charge id: 1", Outcome(error=error))

    assert "ValueError: again" in failure.traceback


def test_the_errors_of_two_functions_in_one_library_function_are_of_two_kinds():
    def read():
        json.loads("{")

    def read_elsewhere():
        json.loads("{")

    report = Report()
    for act in (read, read_elsewhere, read):
        report.add("Charge id: 1", attempt(lambda _, act=act: act(), None))

    assert [bool(failure.traceback) for failure in report.failed] == [True, True, False]


def test_a_report_can_be_pickled():
    class Local(Exception):
        pass

    report = Report()
    report.add("Charge id: 1", Outcome(error=Local("No.")))

    assert pickle.loads(pickle.dumps(report)) == report
