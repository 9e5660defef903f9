"""``charge_stripe`` collects pending charges, finishes interrupted ones, and reports."""

from __future__ import annotations

import logging
from unittest import mock

import pytest
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aa_stripe.exceptions import StripeMethodNotAllowed, StripeNoActiveCustomer
from aa_stripe.jobs import charge_pending, charges
from aa_stripe.models import StripeCharge, StripeCustomer, StripeRefund
from aa_stripe.signals import (
    stripe_charge_card_exception,
    stripe_charge_refunded,
    stripe_charge_succeeded,
)
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.clock import make_due
from tests.support.payments import paid
from tests.support.statements import statements

CREATE = "POST /v1/payment_intents"

pytestmark = pytest.mark.django_db


@pytest.fixture
def receive():
    """``receive(signal, act)`` calls ``act(instance)`` for each ``signal`` during the test."""
    connected = []

    def receive(signal, act):
        def receiver(sender, instance, **kwargs):
            act(instance)

        signal.connect(receiver)
        connected.append((signal, receiver))

    yield receive
    for signal, receiver in connected:
        signal.disconnect(receiver)


def fail(instance):
    raise RuntimeError(f"receiver of {instance.pk}")


def charged():
    """Return the ids of the charges that are collected."""
    return set(StripeCharge.objects.filter(is_charged=True).values_list("pk", flat=True))


def make_unknown_refund(fake, charge):
    """Collect ``charge`` and refund 4.00 of it, with a lost response."""
    charge.charge()
    fake.fail_next("POST /v1/refunds", Fault.ANSWER_LOST)
    with pytest.raises(Exception, match="Temporary Stripe API error"):
        charge.refund(400)
    assert StripeRefund.objects.get().status == "unknown"
    make_due()


# Collecting


def test_every_pending_charge_is_collected(customer, fake, run):
    pending = [make_charge(customer), make_charge(customer, amount=250)]

    ran = run("charge_stripe")

    assert charged() == {charge.pk for charge in pending}
    assert sorted(it["amount_received"] for it in paid(fake)) == [250, 1000]
    assert (ran.status, ran.stdout) == (0, "collected: 2 (12.50 USD)\n")


def test_charges_are_collected_in_the_order_of_their_ids(customer, fake, run):
    for amount in (100, 200, 300):
        make_charge(customer, amount=amount)

    run("charge_stripe")

    assert [it["amount"] for it in paid(fake)] == [100, 200, 300]


@pytest.mark.parametrize(
    "fields",
    [{"is_charged": True}, {"charge_attempt_failed": True}, {"is_manual_charge": True}],
)
def test_a_charge_that_is_not_pending_is_not_collected(customer, fake, run, fields):
    make_charge(customer, **fields)

    ran = run("charge_stripe")

    assert fake.requests == []
    assert (ran.status, ran.stdout) == (0, "")


def test_money_is_summed_by_currency(customer, run):
    make_charge(customer, amount=1999, currency="eur")
    make_charge(customer, amount=500, currency="jpy")
    make_charge(customer, amount=1, currency="EUR")
    make_charge(customer, amount=100, currency="usd")

    ran = run("charge_stripe")

    assert "declined: 1" in ran.stdout  # a cent is below Stripe's minimum
    assert "collected: 3 (19.99 EUR, 500 JPY, 1.00 USD)" in ran.stdout


def test_a_declined_card_is_counted_and_is_not_a_failure(fake, run):
    declined = make_charge(make_customer(card="tok_chargeCustomerFail"))

    ran = run("charge_stripe")

    declined.refresh_from_db()
    assert declined.failure_code == "card_declined"
    assert (ran.status, ran.stdout) == (0, "declined: 1\n")


def test_a_charge_without_an_active_customer_is_skipped(customer, fake, run):
    make_charge(customer)
    StripeCustomer.objects.update(is_active=False)
    StripeCharge.objects.create(user=make_user(), amount=100)

    ran = run("charge_stripe")

    assert fake.requests == []
    assert (ran.status, ran.stdout) == (0, "skipped (no active customer): 2\n")


def test_a_charge_without_an_amount_is_skipped(customer, run):
    make_charge(customer, amount=None)

    ran = run("charge_stripe")

    assert (ran.status, ran.stdout) == (0, "skipped (no amount): 1\n")


def test_a_payment_that_is_processing_is_skipped_and_stays_pending(customer, fake, run):
    charge = make_charge(customer)
    run_until_intent(charge, fake)
    fake.account.find("payment_intent", charge.stripe_payment_intent_id)["status"] = "processing"
    make_due()

    ran = run("charge_stripe")

    assert (ran.status, ran.stdout) == (0, f"skipped ({charges.WAITING}): 1\n")
    assert list(StripeCharge.objects.pending()) == [charge]


def run_until_intent(charge, fake):
    """Lose the confirmation, so that the row has an intent which is not confirmed."""
    fake.fail_next("POST /v1/payment_intents/*/confirm", Fault.REQUEST_LOST)
    with pytest.raises(Exception, match="Temporary Stripe API error"):
        charge.charge()
    charge.refresh_from_db()


# Failures


def test_a_failure_does_not_stop_the_run(customer, fake, run):
    failed, collected = make_charge(customer), make_charge(customer)
    fake.fail_next(CREATE, Fault.ERROR_500_BEFORE)

    ran = run("charge_stripe")

    assert ran.status == 1
    assert charged() == {collected.pk}
    assert "collected: 1 (10.00 USD)\n" in ran.stdout
    assert f"Exception happened\nCharge id: {failed.pk}\nTraceback " in ran.stdout
    assert "APIError" in ran.stdout  # the cause
    assert ran.stdout.endswith("failed: 1\n")


def test_a_failure_is_logged_with_its_exception(customer, fake, run, caplog):
    charge = make_charge(customer)
    fake.fail_next(CREATE, Fault.ERROR_500_BEFORE)

    run("charge_stripe")

    [logged] = [it for it in caplog.records if it.name == "aa-stripe"]
    assert logged.levelno == logging.ERROR
    assert logged.getMessage() == f"Exception happened. Charge id: {charge.pk}"
    assert logged.exc_info[0].__name__ == "StripeInternalError"


def test_the_next_run_collects_what_failed(customer, fake, run):
    charge = make_charge(customer)
    fake.fail_next("POST /v1/payment_intents/*/confirm", Fault.ANSWER_LOST)
    assert run("charge_stripe").status == 1
    make_due()

    ran = run("charge_stripe")

    assert (ran.status, ran.stdout) == (0, "collected: 1 (10.00 USD)\n")
    assert charged() == {charge.pk}
    assert len(paid(fake)) == 1


def test_a_receiver_that_raises_hides_neither_the_money_nor_the_error(customer, receive, run):
    first, second = make_charge(customer), make_charge(customer)
    receive(stripe_charge_succeeded, fail)

    ran = run("charge_stripe")

    assert charged() == {first.pk, second.pk}
    assert "collected: 2 (20.00 USD)\n" in ran.stdout
    assert f"RuntimeError: receiver of {first.pk}" in ran.stdout
    assert f"RuntimeError: receiver of {second.pk}" in ran.stdout
    assert ran.status == 1


@pytest.mark.parametrize("error", [StripeNoActiveCustomer, ValueError])
def test_an_error_of_a_receiver_is_never_a_reason_to_skip(customer, receive, run, error):
    make_charge(customer)
    receive(stripe_charge_succeeded, mock.Mock(side_effect=error("of another row")))

    ran = run("charge_stripe")

    assert ran.status == 1
    assert "collected: 1" in ran.stdout


@pytest.mark.parametrize("error", [StripeNoActiveCustomer, StripeMethodNotAllowed])
def test_a_receiver_of_a_decline_may_raise_too(fake, receive, run, error):
    make_charge(make_customer(card="tok_chargeCustomerFail"))
    receive(stripe_charge_card_exception, mock.Mock(side_effect=error("of another row")))

    ran = run("charge_stripe")

    assert ran.status == 1
    assert "declined: 1\n" in ran.stdout


def test_an_unknown_method_not_allowed_error_is_a_failure(customer, run, monkeypatch):
    make_charge(customer)
    raises = mock.Mock(side_effect=StripeMethodNotAllowed("Not on a Sunday."))
    monkeypatch.setattr(StripeCharge, "charge_if_pending", raises)

    ran = run("charge_stripe")

    assert ran.status == 1
    assert "Not on a Sunday." in ran.stdout


@pytest.mark.parametrize("key", ["sk_wrong", "pk_test_publishable", ""])
def test_a_refused_key_ends_the_run_early(customer, fake, run, settings, key):
    for _ in range(10):
        make_charge(customer)
    settings.STRIPE_API_KEY = key

    ran = run("charge_stripe")

    assert ran.status == 1
    assert "Stopped early: Stripe rejected the API key" in ran.stdout
    assert ran.stdout.endswith("failed: 3\n")
    assert len(fake.requests) <= 3
    assert StripeCharge.objects.pending().count() == 10


def test_a_refused_key_ends_the_run_early_despite_skipped_rows(customer, fake, run, settings):
    for _ in range(5):
        make_charge(customer)
        StripeCharge.objects.create(user=make_user(), amount=100)
    settings.STRIPE_API_KEY = "sk_wrong"

    ran = run("charge_stripe")

    assert ran.stdout.endswith("failed: 3\n")


def test_a_few_rows_that_the_key_has_no_permission_for_do_not_end_the_run(customer, fake, run):
    for _ in range(5):
        make_charge(customer)
    forbidden = fake_forbidden(fake, {1, 2, 4})

    ran = run("charge_stripe")

    assert forbidden
    assert "Stopped" not in ran.stdout
    assert len(charged()) == 2
    assert ran.stdout.endswith("failed: 3\n")


def fake_forbidden(fake, creations):
    """Make the creations with these numbers fail with 403, by replacing their key."""
    seen = []

    def hook(request):
        if request.method == "POST" and request.path == "/v1/payment_intents":
            seen.append(request)
            if len(seen) in creations:
                request.headers["authorization"] = "Bearer pk_test_publishable"

    fake.before_request.append(hook)
    return creations


# Work that a crash interrupted


def test_signals_that_are_due_after_a_crash_are_sent(customer, fake, receive, run):
    charge = make_charge(customer, is_charged=True, signal_due="succeeded")
    received = []
    receive(stripe_charge_succeeded, received.append)

    ran = run("charge_stripe")

    charge.refresh_from_db()
    assert received == [charge]
    assert charge.signal_due == ""
    assert ran.stdout == "signals of an earlier run sent: 1\n"
    assert fake.requests == []


def test_a_signal_whose_receiver_raises_stays_due(customer, receive, run):
    first = make_charge(customer, is_charged=True, signal_due="succeeded")
    second = make_charge(customer, is_charged=True, signal_due="succeeded")
    pending = make_charge(customer)
    receive(stripe_charge_succeeded, lambda it: fail(it) if it.pk == first.pk else None)

    ran = run("charge_stripe")

    assert ran.status == 1
    assert f"Exception happened\nCharge id: {first.pk}\n" in ran.stdout
    assert list(StripeCharge.objects.with_signal_due()) == [first]
    assert {second.pk, pending.pk} <= charged()


def test_refunds_whose_response_was_lost_are_settled(customer, fake, receive, run):
    charge = make_charge(customer)
    make_unknown_refund(fake, charge)
    received = []
    receive(stripe_charge_refunded, received.append)

    ran = run("charge_stripe")

    charge.refresh_from_db()
    assert (ran.status, ran.stdout) == (0, "refunds of an earlier run settled: 1\n")
    assert charge.amount_refunded == 400
    assert StripeRefund.objects.get().status == "succeeded"
    assert len(fake.account.all("refund")) == 1
    assert received == [charge]


def test_a_refund_that_stays_unknown_does_not_stop_the_run(customer, fake, run):
    charge = make_charge(customer)
    make_unknown_refund(fake, charge)
    pending = make_charge(customer)
    fake.fail_next("*", Fault.REQUEST_LOST)

    ran = run("charge_stripe")

    assert ran.status == 1
    assert f"Exception happened\nCharge id: {charge.pk}\n" in ran.stdout
    assert pending.pk in charged()


def test_signals_and_refunds_settled_by_another_process_are_skipped(
    customer, fake, receive, run, monkeypatch
):
    refunded = make_charge(customer)
    make_unknown_refund(fake, refunded)
    first = make_charge(customer, is_charged=True, signal_due="succeeded")
    second = make_charge(customer, is_charged=True, signal_due="succeeded")

    def send_second_signal(instance):
        if instance == first:
            second.send_due_signals()

    receive(stripe_charge_succeeded, send_second_signal)
    before_call(monkeypatch, "_settle_refunds", 1, refunded.refresh_from_stripe)

    ran = run("charge_stripe")

    assert (ran.status, ran.stdout) == (
        0,
        f"signals of an earlier run sent: 1\nskipped ({charges.SETTLED_MEANWHILE}): 2\n",
    )


# Rows that change while the command runs


def before_call(monkeypatch, name, number, act):
    """Call ``act`` before the ``number``-th row is read; its key is read already."""
    original, seen = getattr(charges, name), []

    def hooked(*arguments):
        seen.append(arguments)
        if len(seen) == number:
            act()
        return original(*arguments)

    monkeypatch.setattr(charges, name, hooked)


def test_a_row_that_is_deleted_is_skipped(customer, run, monkeypatch):
    first, second, third = (make_charge(customer) for _ in range(3))
    before_call(monkeypatch, "_collect", 2, second.delete)

    ran = run("charge_stripe")

    assert charged() == {first.pk, third.pk}
    assert (ran.status, ran.stdout) == (0, "collected: 2 (20.00 USD)\n")


@pytest.mark.parametrize("field", ["is_charged", "charge_attempt_failed", "is_manual_charge"])
def test_a_row_that_is_no_longer_pending_is_skipped(customer, fake, run, monkeypatch, field):
    first, second = (make_charge(customer) for _ in range(2))
    rows = StripeCharge.objects.filter(pk=second.pk)
    before_call(monkeypatch, "_collect", 2, lambda: rows.update(**{field: True}))

    ran = run("charge_stripe")

    assert (ran.status, ran.stdout) == (0, "collected: 1 (10.00 USD)\n")
    assert len(paid(fake)) == 1
    assert first.pk in charged()


@pytest.fixture
def just_before_charging(monkeypatch):
    """``just_before_charging(act)`` calls ``act(pk)`` when a row is listed and not yet claimed."""

    def just_before_charging(act):
        def take_from(rows, key, *related):
            act(key)
            return original(rows, key, *related)

        original = charges.take_from
        monkeypatch.setattr(charges, "take_from", take_from)

    return just_before_charging


def test_a_row_that_another_process_charges_first_is_skipped(customer, run, just_before_charging):
    make_charge(customer)
    just_before_charging(lambda pk: StripeCharge.objects.get(pk=pk).charge())

    ran = run("charge_stripe")

    assert (ran.status, ran.stdout) == (0, "")


def test_a_declined_row_that_another_process_has_charged_is_skipped(customer, run, monkeypatch):
    make_charge(customer)

    def decline_but_charged_by_another_process(self, claim):
        StripeCharge.objects.filter(pk=self.pk).update(is_charged=True)
        self.refresh_from_db()

    monkeypatch.setattr(StripeCharge, "charge_if_pending", decline_but_charged_by_another_process)

    ran = run("charge_stripe")

    assert (ran.status, ran.stdout) == (0, "")


def test_a_row_that_is_added_meanwhile_waits_for_the_next_run(customer, run, receive):
    make_charge(customer)
    receive(stripe_charge_succeeded, lambda instance: make_charge(customer))

    ran = run("charge_stripe")

    assert "collected: 1 " in ran.stdout
    assert StripeCharge.objects.pending().count() == 1


# Options


def test_a_limit_is_the_number_of_charges_that_are_tried(customer, run):
    charges = [make_charge(customer) for _ in range(3)]

    ran = run("charge_stripe", "--limit", "2")

    assert charged() == {charges[0].pk, charges[1].pk}
    assert ran.stdout == "collected: 2 (20.00 USD)\n"


def test_skipped_rows_do_not_count_towards_the_limit(customer, run):
    for _ in range(3):
        StripeCharge.objects.create(user=make_user(), amount=100)
    charge = make_charge(customer)

    run("charge_stripe", "--limit", "1")

    assert charged() == {charge.pk}


def test_due_signals_do_not_count_towards_the_limit(customer, run):
    make_charge(customer, is_charged=True, signal_due="succeeded")
    charge = make_charge(customer)

    run("charge_stripe", "--limit", "1")

    assert charge.pk in charged()
    assert not StripeCharge.objects.with_signal_due().exists()


def test_a_dry_run_reports_and_changes_nothing(customer, fake, run, django_assert_num_queries):
    make_charge(customer, amount=1999)
    make_charge(customer, amount=1, currency="USD")
    make_charge(customer, amount=500, currency="jpy")
    make_charge(customer, amount=None)
    make_charge(customer, is_charged=True, signal_due="succeeded")
    StripeCharge.objects.create(user=make_user(), amount=100)
    before = list(StripeCharge.objects.order_by("pk").values())

    with django_assert_num_queries(5) as captured:  # three counts, the last key, the rows
        ran = run("charge_stripe", "--dry-run")

    assert ran.stdout.splitlines() == [
        "signals of an earlier run would be sent: 1",
        "would be collected: 3 (500 JPY, 20.00 USD)",
        "skipped (no amount): 1",
        "skipped (no active customer): 1",
    ]
    assert ran.status == 0
    assert fake.requests == []
    assert all(query["sql"].startswith("SELECT") for query in captured.captured_queries)
    assert list(StripeCharge.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("fields", [{"is_active": False}, {"stripe_customer_id": ""}])
def test_a_dry_run_reports_charges_without_an_active_customer(customer, run, fields):
    make_charge(customer)
    StripeCustomer.objects.update(**fields)

    ran = run("charge_stripe", "--dry-run")

    assert ran.stdout == "skipped (no active customer): 1\n"


def test_a_dry_run_respects_the_limit(customer, run):
    StripeCharge.objects.create(user=make_user(), amount=100)
    for _ in range(3):
        make_charge(customer)

    ran = run("charge_stripe", "--dry-run", "--limit", "2")

    assert "would be collected: 2 (20.00 USD)" in ran.stdout


@pytest.mark.parametrize("rate", ["0", "-3", "nan", "inf", "fast"])
def test_an_invalid_rate_is_rejected(customer, fake, run, rate):
    make_charge(customer)

    with pytest.raises(CommandError, match="rate"):
        run("charge_stripe", f"--rate={rate}")

    assert fake.requests == []


@pytest.mark.parametrize("limit", ["0", "-1", "few"])
def test_an_invalid_limit_is_rejected(run, limit):
    with pytest.raises(CommandError, match="limit"):
        run("charge_stripe", f"--limit={limit}")


def test_an_invalid_setting_is_rejected(settings, run):
    settings.STRIPE_REQUESTS_PER_SECOND = 0

    with pytest.raises(CommandError, match="rate"):
        run("charge_stripe")


def test_the_rate_is_passed_to_the_job(customer, run, monkeypatch):
    make_charge(customer)
    rates = []
    monkeypatch.setattr(charges, "at_rate", lambda rate: rates.append(rate) or mock.MagicMock())

    run("charge_stripe", "--rate", "2.5")

    assert rates == [2.5]


# Requests and queries of one row


def test_a_charge_costs_two_requests_and_few_queries(customer, fake):
    make_charge(customer)

    with CaptureQueriesContext(connection) as captured:
        charge_pending()

    assert [request.path.split("/")[-1] for request in fake.requests] == [
        "payment_intents",
        "confirm",
    ]
    locks = 5 if connection.features.has_select_for_update else 0
    assert len(statements(captured)) <= 17 + locks


def test_a_run_adds_six_queries_to_those_of_a_charge(customer):
    charge = StripeCharge.objects.select_related("user").get(pk=make_charge(customer).pk)
    with CaptureQueriesContext(connection) as alone:
        charge.charge_if_pending()
    make_charge(customer)

    with CaptureQueriesContext(connection) as captured:
        charge_pending()

    # No signal, no refund, the newest row, the most attempts, the chunk, none unsettled.
    of_the_run = 6
    assert len(statements(captured)) == len(statements(alone)) + of_the_run
