"""One process works on a charge at a time; what a dead one leaves behind is settled."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
import stripe
from django.db import OperationalError, connection
from django.test import override_settings

from aa_stripe import gateway
from aa_stripe.exceptions import (
    StripeInProgress,
    StripeInternalError,
    StripeMethodNotAllowed,
    StripeNoActiveCustomer,
)
from aa_stripe.jobs import charge_pending, charges
from aa_stripe.models import StripeCharge
from aa_stripe.models.charge import collect
from aa_stripe.models.charge.attempt import Attempt
from aa_stripe.models.claims import Claim, take
from aa_stripe.models.now import DatabaseNow
from aa_stripe.testing import Fault
from aa_stripe.testing.http import faults
from aa_stripe.testing.http.response import Response
from tests.support.builders import make_charge, make_customer
from tests.support.claims import end_lease, hold, let_holder_die
from tests.support.clock import make_due
from tests.support.payments import (
    CONFIRM,
    CREATE,
    RETRIEVE,
    UPDATE,
    authenticate,
    before_it_is_written,
    intents,
    lose_response,
    paid,
    payer_of,
)
from tests.support.processes import Killed
from tests.support.requests import calls, keys_of, requests_to, when_done
from tests.support.rows import row_of
from tests.support.threads import InThread

pytestmark = pytest.mark.django_db


def kill(charge, fake, endpoint):
    """Charge in a process that is killed when Stripe has carried out such a request."""

    def die():
        raise Killed

    when_done(fake, endpoint, die)
    with pytest.raises(Killed):
        row_of(charge).charge()
    let_holder_die(charge)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(collect, "PATIENCE", 0)


# Who works on a row


def test_a_run_skips_a_charge_that_another_process_works_on(charge, fake):
    hold(charge)
    fake.requests.clear()

    report = charge_pending()

    assert (dict(report.done), dict(report.skipped), report.failed) == ({}, {}, [])
    assert fake.requests == []


def test_a_charge_that_is_claimed_after_it_was_listed_is_not_reported(charge, fake, monkeypatch):
    take_from = charges.take_from

    def take_late(*arguments):
        hold(charge)
        return take_from(*arguments)

    monkeypatch.setattr(charges, "take_from", take_late)

    report = charge_pending()

    assert (dict(report.done), dict(report.skipped), report.failed) == ({}, {}, [])
    assert paid(fake) == []


def test_an_explicit_charge_of_a_claimed_row_gives_up_after_a_while(charge, fake, impatient):
    hold(charge)
    fake.requests.clear()

    with pytest.raises(StripeInProgress, match="Another process is working on this payment"):
        charge.charge()

    assert fake.requests == []
    assert isinstance(StripeInProgress(), StripeInternalError)


def test_a_charge_is_free_again_after_it_was_collected_declined_or_refused(charge, declined):
    charge.charge()
    declined.charge()

    for row in (row_of(charge), row_of(declined)):
        assert (row.claim, row.claimed_until, row.is_unsettled) == ("", None, False)


def test_saving_an_object_that_was_read_before_keeps_the_claim(charge):
    stale = row_of(charge)
    hold(charge)
    stale.comment = "seen"

    stale.save()

    row = row_of(charge)
    assert (row.comment, row.claim) == ("seen", "of-another-process")


def test_the_claim_of_a_process_that_died_can_be_taken_after_its_lease(charge):
    let_holder_die(charge)

    assert take(charge) is not None

    row = row_of(charge)
    assert row.is_unsettled
    assert row.claim not in {"", "of-another-process"}


def test_a_claim_can_not_be_taken_before_its_lease_has_ended(charge):
    hold(charge)

    assert take(charge) is None

    assert row_of(charge).claim == "of-another-process"


@pytest.mark.parametrize("use_tz", [True, False])
def test_the_lease_begins_now_by_the_clock_of_the_database(charge, use_tz):
    with override_settings(USE_TZ=use_tz):
        take(charge)

        rows = StripeCharge.objects.annotate(now=DatabaseNow())
        until, now = rows.values_list("claimed_until", "now").get()

    assert 295 <= (until - now).total_seconds() <= 300


def test_the_clock_of_the_database_is_in_utc(charge):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")  # the connection is open
    now = StripeCharge.objects.annotate(now=DatabaseNow()).values_list("now", flat=True).get()

    assert abs(now.timestamp() - time.time()) < 60


# What a process that died leaves behind


@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_the_next_run_collects_what_a_killed_process_was_collecting(
    charge, fake, sent_signals, endpoint
):
    kill(charge, fake, endpoint)

    charge_pending()

    assert row_of(charge).is_charged
    assert len(paid(fake)) == 1
    assert sent_signals == ["succeeded"]


def test_a_decline_that_a_killed_process_did_not_record_is_not_tried_again(
    declined, fake, sent_signals
):
    kill(declined, fake, CONFIRM)

    report = charge_pending()

    assert dict(report.done) == {"declined": 1}
    assert len(fake.account.all("charge")) == 1
    assert sent_signals == ["card_exception"]


def test_the_decline_of_another_card_is_not_the_result_of_todays(declined, fake, sent_signals):
    kill(declined, fake, CONFIRM)
    payer_of(declined).add_new_source("tok_visa")

    assert row_of(declined).charge() is not None

    assert row_of(declined).is_charged
    assert sent_signals == ["succeeded"]


def no_amount(charge):
    StripeCharge.objects.filter(pk=charge.pk).update(amount=None)


def no_customer(charge):
    type(charge.customer).objects.update(is_active=False)


def manual(charge):
    StripeCharge.objects.filter(pk=charge.pk).update(is_manual_charge=True)


def failed(charge):
    StripeCharge.objects.filter(pk=charge.pk).update(charge_attempt_failed=True)


unwanted = pytest.mark.parametrize("edit", [no_amount, no_customer, manual, failed])


@unwanted
def test_a_payment_is_recorded_though_the_row_is_not_wanted_any_more(
    charge, fake, sent_signals, edit
):
    lose_response(fake, charge)
    edit(charge)
    make_due()

    report = charge_pending()

    row = row_of(charge)
    assert (row.is_charged, row.amount) == (True, 1000)
    assert dict(report.done) == {"collected": 1}
    assert sent_signals == ["succeeded"]


@unwanted
def test_a_row_that_is_not_wanted_is_looked_at_until_no_request_can_be_on_its_way(
    charge, fake, edit
):
    lose_response(fake, charge, Fault.REQUEST_LOST)
    edit(charge)
    make_due()

    charge_pending()
    looked_at = row_of(charge)
    StripeCharge.objects.update(sent_at=DatabaseNow() - timedelta(hours=2), retry_at=None)
    charge_pending()
    fake.requests.clear()
    charge_pending()

    assert looked_at.is_unsettled
    assert not row_of(charge).is_unsettled
    assert fake.requests == []
    assert paid(fake) == []


def test_a_late_payment_of_a_row_that_is_not_wanted_is_found(charge, fake, sent_signals):
    lose_response(fake, charge, Fault.REQUEST_LOST)
    manual(charge)
    make_due()
    charge_pending()
    stripe.PaymentIntent.confirm(
        intents(fake)[0]["id"], payment_method=payer_of(charge).default_source
    )
    make_due()

    charge_pending()

    assert row_of(charge).is_charged
    assert sent_signals == ["succeeded"]


def test_an_authentication_in_the_browser_is_found_without_its_webhook(
    customer, fake, sent_signals
):
    charge = make_charge(make_customer(customer.user, "pm_card_authenticationRequired"))
    charge.charge()
    authenticate(fake, charge)
    make_due()

    charge_pending()

    assert row_of(charge).is_charged
    assert sent_signals == ["card_exception", "requires_action", "succeeded"]


def test_a_failed_authentication_is_not_declined_again_by_each_run(customer, fake, sent_signals):
    charge = make_charge(make_customer(customer.user, "pm_card_authenticationRequired"))
    charge.charge()
    for _ in range(2):
        make_due()
        report = charge_pending()

    assert dict(report.skipped) == {"still not paid": 1}
    assert sent_signals == ["card_exception", "requires_action"]
    assert row_of(charge).is_unsettled


def test_a_payment_that_waits_for_the_bank_is_not_looked_at_by_each_run(fake):
    charge = make_charge(make_customer(card="pm_card_fakeProcessing"))
    charge.charge()
    fake.requests.clear()

    charge_pending()

    assert fake.requests == []
    assert row_of(charge).is_unsettled


def test_an_interrupted_charge_does_not_wait_for_its_lease(charge, fake):
    def interrupt():
        raise KeyboardInterrupt

    when_done(fake, CONFIRM, interrupt)
    with pytest.raises(KeyboardInterrupt):
        charge.charge()

    charge_pending()

    assert row_of(charge).is_charged
    assert len(paid(fake)) == 1


# A holder that is late


@pytest.mark.parametrize("endpoint", [CREATE, UPDATE])
def test_a_holder_whose_claim_is_taken_confirms_nothing(charge, fake, endpoint):
    if endpoint == UPDATE:
        lose_response(fake, charge, Fault.REQUEST_LOST)
        StripeCharge.objects.update(amount=700)

    def be_late():
        end_lease(charge)
        assert take(row_of(charge)) is not None

    when_done(fake, endpoint, be_late)
    fake.requests.clear()

    with pytest.raises(StripeInternalError):
        row_of(charge).charge()

    assert CONFIRM not in calls(fake)
    assert row_of(charge).claim != ""


def test_a_holder_sends_nothing_that_may_outlast_its_lease(charge, fake, later):
    def wait_long_for_the_turn():
        if CREATE in calls(fake):
            later(300 - 2 * 80 + 1)

    with (
        gateway.before_each_request(wait_long_for_the_turn),
        pytest.raises(StripeInternalError, match="the claim of the row has ended"),
    ):
        charge.charge()

    assert CONFIRM not in calls(fake)
    assert row_of(charge).is_unsettled


def test_a_holder_goes_on_while_its_lease_has_time_for_a_request(charge, fake, later):
    def wait_for_the_turn():
        if CREATE in calls(fake):
            later(300 - 2 * 80 - 5)

    with gateway.before_each_request(wait_for_the_turn):
        charge.charge()

    assert row_of(charge).is_charged


def test_the_sdk_repeats_no_request_after_the_lease(charge, fake, settings, later):
    settings.STRIPE_MAX_NETWORK_RETRIES = 2
    when_done(fake, CREATE, lambda: later(300))
    fake.fail_next(CREATE, Fault.ANSWER_LOST)

    with pytest.raises(StripeInternalError):
        charge.charge()

    assert len(requests_to(fake, CREATE)) == 1


@pytest.mark.parametrize("amount", [700, 2500])
def test_terms_that_change_before_the_confirmation_are_read_again(charge, fake, amount):
    when_done(fake, CREATE, lambda: StripeCharge.objects.update(amount=amount))

    charge.charge()

    [intent] = paid(fake)
    assert intent["amount_received"] == row_of(charge).amount == amount


@pytest.mark.parametrize("edit", [manual, failed])
def test_a_row_that_is_not_wanted_any_more_is_not_confirmed(charge, fake, edit):
    when_done(fake, CREATE, lambda: edit(charge))

    assert charge.charge_if_pending() is None

    assert paid(fake) == []
    assert CONFIRM not in calls(fake)


def test_a_row_without_an_amount_any_more_is_not_confirmed(charge, fake):
    when_done(fake, CREATE, lambda: no_amount(charge))

    with pytest.raises(StripeMethodNotAllowed, match="no amount"):
        charge.charge()

    assert CONFIRM not in calls(fake)
    assert row_of(charge).claim == ""


# The keys


def test_an_attempt_after_a_decline_has_a_new_key(declined, fake):
    declined.charge()
    declined.charge()

    first, second = keys_of(fake, CONFIRM)
    assert (first, second) == (f"{declined.uuid}-confirm", f"{declined.uuid}-1-confirm")


def test_an_attempt_after_a_lost_response_has_the_same_key(charge, fake):
    lose_response(fake, charge, Fault.REQUEST_LOST)

    row_of(charge).charge()

    assert len(set(keys_of(fake, CONFIRM))) == 1


@pytest.mark.parametrize("fault", [Fault.ERROR_500_BEFORE, Fault.ERROR_500_AFTER])
@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_the_next_run_goes_on_after_an_error_that_stripe_keeps_for_a_day(
    charge, fake, endpoint, fault
):
    fake.fail_next(endpoint, fault)
    charge_pending()
    make_due()

    charge_pending()

    assert row_of(charge).is_charged
    assert len(paid(fake)) == 1


@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_any_error_that_stripe_repeats_gets_a_new_key(charge, fake, endpoint, monkeypatch):
    monkeypatch.setattr(faults, "error_500", lambda: Response.of(503, {"error": {}}))
    fake.fail_next(endpoint, Fault.ERROR_500_BEFORE)
    for _ in range(3):  # the error, its repetition, and the next key
        charge_pending()
        make_due()

    assert row_of(charge).is_charged
    assert len(paid(fake)) == 1


def test_another_card_after_a_lost_response_is_charged_with_a_new_key(charge, fake):
    lose_response(fake, charge, Fault.REQUEST_LOST)
    payer_of(charge).add_new_source("pm_card_mastercard")

    row_of(charge).charge()

    assert row_of(charge).is_charged
    assert len(paid(fake)) == 1


# The customer


def test_a_customer_deleted_at_stripe_is_replaced_by_the_next_active_one(charge, fake):
    newest = make_customer(charge.user)
    stripe.Customer.delete(newest.stripe_customer_id)

    charge.charge()

    assert row_of(charge).customer == charge.customer != newest
    assert not row_of(newest).is_active
    assert len(paid(fake)) == 1


def test_a_charge_whose_only_customer_was_deleted_waits_for_another(charge, fake, sent_signals):
    stripe.Customer.delete(payer_of(charge).stripe_customer_id)

    with pytest.raises(StripeNoActiveCustomer):
        charge.charge()

    assert not row_of(charge).charge_attempt_failed
    assert sent_signals == []
    make_customer(charge.user)
    charge_pending()
    assert row_of(charge).is_charged


def test_a_card_that_was_removed_at_stripe_is_replaced_by_todays_default(charge, fake):
    customer = payer_of(charge)
    old = customer.default_source
    method = stripe.PaymentMethod.attach("pm_card_mastercard", customer=customer.stripe_customer_id)
    stripe.Customer.modify(
        customer.stripe_customer_id, invoice_settings={"default_payment_method": method.id}
    )
    stripe.PaymentMethod.detach(old)

    charge.charge()

    assert row_of(charge).is_charged
    assert row_of(customer).default_source == method.id


# Rows that fail each time


def test_rows_that_fail_each_time_do_not_use_up_the_limit(customer, fake):
    failing = [make_charge(customer) for _ in range(3)]
    good = make_charge(customer)
    fake.fail_next(CREATE, Fault.ERROR_500_BEFORE, times=3)
    charge_pending(limit=3)

    report = charge_pending(limit=3)

    assert dict(report.done) == {"collected": 1}
    assert row_of(good).is_charged
    assert {row_of(it).attempts for it in failing} == {1}


def test_rows_with_fewer_attempts_come_first(customer, fake):
    first, second = make_charge(customer), make_charge(customer)
    StripeCharge.objects.filter(pk=first.pk).update(attempts=1)

    charge_pending(limit=1)

    assert (row_of(first).is_charged, row_of(second).is_charged) == (False, True)


def test_a_row_waits_longer_after_each_attempt_without_an_outcome(charge, fake):
    waits = []
    for _ in range(3):
        fake.fail_next(CREATE, Fault.REQUEST_LOST)
        make_due()
        charge_pending()
        rows = StripeCharge.objects.annotate(now=DatabaseNow())
        retry_at, now = rows.values_list("retry_at", "now").get()
        waits.append(round((retry_at - now).total_seconds() / 60))

    assert waits == [1, 2, 4]


def test_an_explicit_charge_does_not_wait(charge, fake):
    lose_response(fake, charge)

    row_of(charge).charge()

    row = row_of(charge)
    assert (row.is_charged, row.attempts, row.retry_at) == (True, 0, None)


# Two calls at once


@pytest.fixture
def in_two_threads(transactional_db, fake, monkeypatch):
    """``in_two_threads(charge)``: two calls of ``charge()`` at once; returns both results.

    The first has sent its confirmation before the second begins, and goes on once the second waits.
    """
    looks, waits = [], threading.Event()

    def look(*arguments, **expected):
        claim = take(*arguments, **expected)
        looks.append(claim)
        if looks[-2:] == [None, None]:  # it has read the row that another process holds
            waits.set()
        return claim

    def in_two_threads(charge, meanwhile=lambda: None):
        is_sent, goes_on = threading.Event(), threading.Event()

        def wait():
            is_sent.set()
            goes_on.wait(10)

        when_done(fake, CONFIRM, wait)
        monkeypatch.setattr(collect, "take", look)
        first = InThread(row_of(charge).charge)
        assert is_sent.wait(10)
        second = InThread(row_of(charge).charge)
        assert waits.wait(10)
        meanwhile()
        goes_on.set()
        return first.join(), second.join()

    return in_two_threads


def declined_charge():
    return make_charge(make_customer(card="tok_chargeCustomerFail"))


def test_the_decline_of_the_holder_is_the_result_of_a_call_that_waited(
    in_two_threads, fake, sent_signals
):
    charge = declined_charge()

    assert in_two_threads(charge) == (None, None)

    assert len(fake.account.all("charge")) == 1
    assert sent_signals == ["card_exception"]
    assert row_of(charge).claim == ""


def test_a_call_that_waited_tries_another_card(in_two_threads, fake):
    charge = declined_charge()

    first, second = in_two_threads(charge, lambda: make_customer(charge.user))

    assert first is None
    assert second is not None
    assert row_of(charge).is_charged


def test_a_card_that_is_saved_during_a_decline_pays_once(in_two_threads, fake, sent_signals):
    charge = declined_charge()

    with pytest.raises(StripeMethodNotAllowed, match="Already charged"):
        in_two_threads(charge, lambda: payer_of(charge).add_new_source("tok_visa"))

    assert row_of(charge).is_charged
    assert len(paid(fake)) == 1
    assert sent_signals == ["succeeded"]


def test_a_call_that_waited_tries_todays_amount(in_two_threads, fake):
    charge = declined_charge()

    in_two_threads(charge, lambda: StripeCharge.objects.update(amount=500))

    first, second = fake.account.all("charge")
    assert (first["amount"], second["amount"]) == (1000, 500)


def test_a_good_card_is_tried_after_two_calls_at_once_were_declined(in_two_threads, fake):
    charge = declined_charge()
    charge.charge()
    in_two_threads(charge)
    payer_of(charge).add_new_source("tok_visa")

    assert row_of(charge).charge() is not None

    assert row_of(charge).is_charged


def test_a_call_that_waited_for_a_success_says_so(in_two_threads, fake):
    charge = make_charge(make_customer())

    with pytest.raises(StripeMethodNotAllowed, match="Already charged"):
        in_two_threads(charge)

    assert len(paid(fake)) == 1


def test_no_decline_is_reported_for_an_edited_row_after_a_failed_authentication(
    customer, fake, sent_signals
):
    charge = make_charge(make_customer(customer.user, "pm_card_authenticationRequired"))
    charge.charge()
    sent_signals.clear()
    StripeCharge.objects.update(amount=700)
    payer_of(charge).add_new_source("tok_visa")

    assert row_of(charge).charge() is not None

    assert sent_signals == ["succeeded"]


# Cron and an explicit call


def test_a_run_does_not_record_the_failure_of_a_charge_that_is_tried_again(
    declined, fake, monkeypatch
):
    declined.charge()
    payer_of(declined).add_new_source("tok_visa")
    when_done(fake, RETRIEVE, lambda: charge_pending())

    def die():
        raise Killed

    before_it_is_written(monkeypatch, die)
    with pytest.raises(Killed):
        row_of(declined).charge()
    end_lease(declined)

    charge_pending()

    assert row_of(declined).is_charged
    assert len(paid(fake)) == 1


# A response to a repeated request


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_of_a_repeated_request_proves_nothing(status):
    error = stripe.InvalidRequestError(
        "no", None, http_status=status, headers={gateway._REPEATED: "true"}
    )

    assert gateway.meaning_of(error) is gateway.Meaning.UNKNOWN


# The intent's id, which is committed with the renewed claim


def test_the_id_of_an_intent_is_committed_before_it_is_confirmed(charge, fake):
    seen = []
    fake.before_request.append(
        lambda request: seen.append((request.path[-7:], row_of(charge).stripe_payment_intent_id))
    )

    charge.charge()

    (intent,) = intents(fake)
    assert seen == [("intents", ""), ("confirm", intent["id"])]


def test_a_row_that_changes_before_the_confirmation_keeps_the_intent_and_is_paid_once(charge, fake):
    fake.requests.clear()
    when_done(fake, CREATE, lambda: StripeCharge.objects.filter(pk=charge.pk).update(amount=777))

    charge.charge()

    assert calls(fake) == [CREATE, RETRIEVE, UPDATE, CONFIRM]
    assert [it["amount_received"] for it in paid(fake)] == [777]
    assert row_of(charge).amount == 777


def test_a_claim_that_is_lost_before_the_confirmation_confirms_nothing(charge, fake):
    when_done(fake, CREATE, lambda: hold(charge))

    with pytest.raises(StripeInternalError):
        charge.charge()

    assert (paid(fake), row_of(charge).stripe_payment_intent_id) == ([], "")


def test_an_error_before_the_confirmation_keeps_the_id_of_the_intent(charge, fake, monkeypatch):
    monkeypatch.setattr(Attempt, "renew", lambda attempt: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        charge.charge()

    (intent,) = intents(fake)
    assert row_of(charge).stripe_payment_intent_id == intent["id"]


def test_an_interrupt_before_the_confirmation_is_raised_if_the_database_is_gone_too(
    charge, monkeypatch
):
    def be_interrupted(attempt):
        monkeypatch.setattr(Claim, "write", be_lost)
        raise KeyboardInterrupt

    def be_lost(*arguments, **expected):
        raise OperationalError

    monkeypatch.setattr(Attempt, "renew", be_interrupted)

    with pytest.raises(KeyboardInterrupt):
        charge.charge()
