"""Changes at the worst moment: by an editor, the Dashboard, a receiver, a rollback."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import timedelta

import pytest
import stripe
from django.db import OperationalError, connection, connections

from aa_stripe import gateway, signals
from aa_stripe.exceptions import StripeInternalError, StripeMethodNotAllowed
from aa_stripe.jobs import charge_pending
from aa_stripe.models import StripeCharge, StripeCustomer
from aa_stripe.models.charge import refunds
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.clock import make_due
from tests.support.payments import (
    CONFIRM,
    CREATE,
    REFUND,
    REFUNDS,
    amounts_refunded,
    intent_of,
    intents,
    lose_response,
    paid,
    refunds_of,
)
from tests.support.requests import before, endpoint_of, when_done
from tests.support.rows import row_of
from tests.support.transactions import rolled_back

RETRIEVE_CUSTOMER = "GET /v1/customers/*"

pytestmark = pytest.mark.django_db


class WentWrong(Exception):
    pass


@contextlib.contextmanager
def raising(signal):
    """Connect a receiver of the signal that raises."""

    def receiver(sender, instance, **kwargs):
        raise WentWrong

    signal.connect(receiver)
    yield
    signal.disconnect(receiver)


# An edit between two requests


def test_an_amount_is_never_collected_in_a_currency_other_than_its_own(charge, fake):
    edit = {"amount": 150_000, "currency": "jpy"}
    when_done(fake, CREATE, lambda: StripeCharge.objects.update(**edit))

    charge.charge()

    [intent] = paid(fake)
    row = row_of(charge)
    assert (intent["amount"], intent["currency"]) == (row.amount, row.currency)
    assert row.is_charged


@pytest.mark.django_db(transaction=True)
def test_an_edit_that_waits_for_the_row_is_not_mixed_with_the_old_values(fake):
    charge = make_charge(make_customer())
    editors = []

    def edit():
        StripeCharge.objects.filter(pk=charge.pk).update(amount=150_000, currency="jpy")
        connections.close_all()

    def start_editing(request, response):
        if endpoint_of(request) == CREATE and not editors:
            editors.append(threading.Thread(target=edit))
            editors[0].start()
            time.sleep(0.3)

    fake.after_request.append(start_editing)

    charge.charge()

    editors[0].join()
    assert [(it["amount"], it["currency"]) for it in paid(fake)] != [(150_000, "usd")]


def test_an_unsaved_amount_is_not_written_to_a_row_that_is_already_charged(charge):
    stale = row_of(charge)
    charge.charge()
    stale.amount = 2000

    with pytest.raises(StripeMethodNotAllowed, match="Already charged"):
        stale.charge()

    assert row_of(charge).amount == 1000


def test_a_row_that_became_a_manual_charge_meanwhile_is_skipped(charge, fake):
    found_by_the_command = StripeCharge.objects.pending().get()
    StripeCharge.objects.update(is_manual_charge=True)

    assert found_by_the_command.charge_if_pending() is None

    assert paid(fake) == []


def test_a_new_customer_pays_what_the_old_one_did_not_authenticate(db, fake):
    charge = make_charge(make_customer(card="pm_card_authenticationRequired"))
    charge.charge()
    stripe.PaymentIntent.confirm(
        charge.stripe_payment_intent_id, payment_method=charge.customer.default_source
    )
    assert intent_of(fake, charge)["status"] == "requires_action"
    newer = make_customer(charge.user)

    charge.charge()

    assert charge.is_charged
    assert charge.customer == newer


# Rolled back


def test_a_payment_in_a_changed_currency_is_adopted_after_a_rollback(charge, fake):
    with rolled_back():
        fake.fail_next(CONFIRM, Fault.REQUEST_LOST)
        with pytest.raises(StripeInternalError):
            charge.charge()
        charge.currency = "eur"
        charge.charge()
    row = row_of(charge)

    row.charge_if_pending()

    assert len(paid(fake)) == 1
    assert (row.is_charged, row.currency) == (True, "eur")


def test_a_refund_that_was_rolled_back_and_repeated_is_made_once(charged, fake):
    with rolled_back():
        charged.refund(300)

    row_of(charged).refund(300)

    assert amounts_refunded(fake, charged) == [300]
    assert row_of(charged).refunds.get().status == "succeeded"


def test_a_receiver_refunds_once_though_another_one_raises(charge, fake, settings):
    settings.STRIPE_TRANSACTIONS = "allow"

    def give_a_discount(sender, instance, **kwargs):
        if not instance.refunds.exists():
            instance.refund(100)

    signals.stripe_charge_succeeded.connect(give_a_discount)
    with raising(signals.stripe_charge_succeeded), pytest.raises(WentWrong):
        charge.charge()

    row_of(charge).send_due_signals()

    signals.stripe_charge_succeeded.disconnect(give_a_discount)
    assert amounts_refunded(fake, charge) == [100]


# Two at once


def test_a_refund_made_after_the_refunds_were_listed_is_counted(charged, fake, before_the_commit):
    before_the_commit(lambda: row_of(charged).refund(600))

    charged.refund(400)

    row = row_of(charged)
    assert amounts_refunded(fake, charged) == [600, 400]
    assert (row.amount_refunded, row.is_refunded) == (1000, True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time.")
def test_two_threads_that_refund_are_both_counted(fake):
    charge = make_charge(make_customer())
    charge.charge()
    fake.before_request.append(lambda request: time.sleep(0.05))
    start, errors = threading.Barrier(2), []

    def work(amount):
        row = row_of(charge)
        start.wait()
        try:
            row.refund(amount)
        except Exception as error:  # noqa: BLE001 (the test reports it)
            errors.append(error)
        connections.close_all()

    threads = [threading.Thread(target=work, args=(amount,)) for amount in (300, 700)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    row = row_of(charge)
    assert errors == []
    assert (row.amount_refunded, row.is_refunded) == (1000, True)


def test_a_payment_that_another_worker_just_made_is_not_marked_as_failed(charge, fake):
    with rolled_back():
        fake.fail_next(CONFIRM, Fault.REQUEST_LOST)
        with pytest.raises(StripeInternalError):
            charge.charge(idempotency_key="a")
    row = row_of(charge)
    card = row.user.stripe_customers.get().default_source
    before(
        fake,
        CONFIRM,
        lambda: stripe.PaymentIntent.confirm(intents(fake)[0]["id"], payment_method=card),
    )

    with contextlib.suppress(StripeInternalError):
        row.charge(idempotency_key="b")

    assert len(paid(fake)) == 1
    assert not row_of(charge).charge_attempt_failed


# Receivers that raise


def test_a_receiver_that_raises_does_not_make_the_caller_refund_again(charged, fake, caplog):
    with raising(signals.stripe_charge_refunded):
        charged.refund(300)

    assert amounts_refunded(fake, charged) == [300]
    assert row_of(charged).signal_due == "refunded"
    assert "receiver" in caplog.text


def test_requires_action_is_sent_though_a_receiver_of_another_signal_raises(db, fake, sent_signals):
    charge = make_charge(make_customer(card="pm_card_authenticationRequired"))

    with raising(signals.stripe_charge_card_exception), pytest.raises(WentWrong):
        charge.charge()

    assert "requires_action" in sent_signals


def test_the_same_object_sends_the_signal_whose_receiver_raised(charge, sent_signals):
    with raising(signals.stripe_charge_succeeded), pytest.raises(WentWrong):
        charge.charge()
    sent_signals.clear()

    charge.send_due_signals()

    assert sent_signals == ["succeeded"]


# Failures at the worst moment


def test_a_refund_that_the_api_key_may_not_make_is_refused_and_not_retried(
    charged, fake, monkeypatch
):
    def forbid(params, *, idempotency_key):
        raise stripe.PermissionError("This key may not.", http_status=403)

    with monkeypatch.context() as patch:
        patch.setattr(gateway, "create_refund", forbid)
        with pytest.raises(stripe.PermissionError):
            charged.refund(400)
    fake.dashboard_refund(charged.stripe_charge_id, 400)

    charge_pending()

    assert amounts_refunded(fake, charged) == [400]
    assert charged.refunds.get().status == "refused"


def test_a_database_error_after_the_refund_does_not_repeat_it(charged, fake, monkeypatch):
    write, calls = refunds.write_if, []

    def fail_once(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise OperationalError("database is locked")
        return write(*arguments)

    monkeypatch.setattr(refunds, "write_if", fail_once)
    with pytest.raises(OperationalError):
        charged.refund(300)

    row_of(charged).refund(300)

    assert amounts_refunded(fake, charged) == [300]


def test_a_lost_refund_that_has_failed_since_is_not_returned(db, fake):
    charge = make_charge(make_customer(card="pm_card_pendingRefund"))
    charge.charge()
    fake.fail_next(REFUND, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charge.refund(400)
    fake.settle_refund(refunds_of(fake, charge)[0]["id"], "failed")

    assert charge.refund(400).status == "pending"


def test_an_adopted_payment_and_its_refund_in_the_dashboard_both_send_signals(
    charge, fake, sent_signals
):
    fake.fail_next(CONFIRM, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charge.charge()
    fake.dashboard_refund(paid(fake)[0]["latest_charge"], 300)
    fake.fail_next(REFUNDS, Fault.REQUEST_LOST)
    make_due()

    charge_pending()

    assert row_of(charge).amount_refunded == 300
    assert sent_signals == ["succeeded", "refunded"]


def test_a_former_customer_unknown_at_stripe_does_not_fail_an_old_row(charge):
    StripeCustomer.objects.create(
        user=charge.user, stripe_customer_id="cus_of_another_account", is_active=False
    )
    StripeCharge.objects.update(created=charge.created - timedelta(hours=25))

    row_of(charge).charge()

    assert row_of(charge).is_charged


def test_refreshing_a_customer_does_not_make_it_active_again(customer, fake):
    when_done(fake, RETRIEVE_CUSTOMER, lambda: StripeCustomer.objects.update(is_active=False))

    customer.refresh_from_stripe()

    assert not StripeCustomer.objects.get(pk=customer.pk).is_active


def test_the_url_for_authentication_is_not_stored():
    address = "https://hooks.stripe.com/redirect/authenticate/src_1?client_secret=src_secret"
    response = {"next_action": {"use_stripe_sdk": {"stripe_js": address}}, "id": "pi_1"}

    assert gateway.without_secrets(response) == {"id": "pi_1"}


def test_a_currency_changed_after_a_lost_creation_is_collected(charge, fake):
    charge.currency = "eur"
    charge.save()
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charge.charge()
    StripeCharge.objects.update(currency="usd", amount=700)

    row_of(charge).charge()

    [intent] = paid(fake)
    assert (intent["currency"], intent["amount_received"]) == ("usd", 700)
    assert [it["status"] for it in intents(fake)] == ["canceled", "succeeded"]


@pytest.mark.parametrize("text", ["description", "statement_descriptor"])
def test_a_text_emptied_after_a_lost_creation_is_collected(charge, fake, text):
    StripeCharge.objects.update(**{text: "ORDER"})
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        row_of(charge).charge()
    StripeCharge.objects.update(**{text: ""})

    row_of(charge).charge()

    [intent] = paid(fake)
    assert (intent["description"], intent["statement_descriptor_suffix"]) == (None, None)
    assert all("" not in request.params.values() for request in fake.requests)


@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.ERROR_500_BEFORE])
@pytest.mark.parametrize(
    ("before", "after"), [("old@example.com", "new@example.com"), ("old@example.com", "")]
)
def test_a_receipt_email_changed_after_an_unknown_outcome_is_used(
    charge, fake, endpoint, fault, before, after
):
    StripeCharge.objects.update(receipt_email=before)
    fake.fail_next(endpoint, fault)
    with pytest.raises(StripeInternalError):
        row_of(charge).charge()
    StripeCharge.objects.update(receipt_email=after)

    row_of(charge).charge()

    assert [it["receipt_email"] or "" for it in paid(fake)] == [after]


def test_a_receipt_email_emptied_after_a_decline_is_not_used(fake):
    declined = make_customer(card="tok_chargeCustomerFail")
    charge = make_charge(declined, receipt_email="old@example.com")
    charge.charge()
    make_customer(charge.user)
    StripeCharge.objects.update(receipt_email="")

    row_of(charge).charge()

    assert [it["receipt_email"] for it in paid(fake)] == [None]


def test_a_currency_changed_after_a_lost_replacement_is_collected(charge, fake):
    lose_response(fake, charge, Fault.REQUEST_LOST)
    StripeCharge.objects.update(currency="eur")
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        row_of(charge).charge()
    StripeCharge.objects.update(currency="usd", amount=700)

    row_of(charge).charge()

    [intent] = paid(fake)
    assert (intent["currency"], intent["amount_received"]) == ("usd", 700)


def test_a_currency_changed_after_the_row_has_lost_a_replacement_is_collected(charge, fake):
    lose_response(fake, charge, Fault.REQUEST_LOST)
    as_rolled_back = {"stripe_payment_intent_id": "", "key_number": 0, "is_unsettled": False}
    StripeCharge.objects.update(currency="eur")
    row = row_of(charge)
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        row.charge()
    StripeCharge.objects.update(currency="usd", **as_rolled_back)

    row_of(charge).charge()

    [intent] = paid(fake)
    assert (intent["currency"], intent["amount_received"]) == ("usd", charge.amount)


def test_an_intent_whose_text_stripe_stores_differently_is_replaced_once(charge, fake):
    def strip(request):
        if endpoint_of(request) == CREATE:
            request.params["description"] = "Order 7"

    fake.before_request.append(strip)
    StripeCharge.objects.update(description="Order 7 ")
    lose_response(fake, row_of(charge), Fault.REQUEST_LOST)
    StripeCharge.objects.update(amount=700)

    row_of(charge).charge()

    assert [intent["amount_received"] for intent in paid(fake)] == [700]
    assert len(intents(fake)) == 2
