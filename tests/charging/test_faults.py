"""Each fault at each request: retries settle the row, and the customer has paid once.

A run is one attempt by ``charge_stripe`` or by a user. Each test runs with two pauses between
the runs: a day, after which Stripe has discarded its idempotency keys, and none.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

from aa_stripe.exceptions import StripeInternalError
from aa_stripe.models import StripeCharge
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.clock import let_pass
from tests.support.payments import (
    CANCEL,
    CONFIRM,
    CREATE,
    LIST,
    REFUND,
    REFUNDS,
    RETRIEVE,
    UPDATE,
    intent_of,
    intents,
    paid,
    refunds_of,
)
from tests.support.transactions import rolled_back

FAULTS = [fault for fault in Fault if fault is not Fault.SLOW]
DAY = timedelta(hours=25)

#: The pauses between two runs.
PAUSES = [timedelta(0), DAY]

pytestmark = pytest.mark.django_db


def run(charge):
    """Collect the row once; return whether it is settled."""
    try:
        charge.charge()
    except StripeInternalError:
        return False
    return True


def run_until_settled(charge, fake, pause):
    for _ in range(5):
        if run(StripeCharge.objects.get(pk=charge.pk)):
            break
        let_pass(fake, pause)
        # A response stored under a key is repeated until the key expires after a day.
        pause = pause or DAY / 2
    charge.refresh_from_db()


def assert_paid_once(charge, fake, amount=1000):
    row = StripeCharge.objects.get(pk=charge.pk)
    [intent] = paid(fake)
    assert intent["metadata"]["aa_stripe_charge_uuid"] == str(row.uuid)
    assert (row.is_charged, row.charge_attempt_failed) == (True, False)
    assert row.stripe_payment_intent_id == intent["id"]
    assert row.stripe_charge_id == intent["latest_charge"]
    assert row.amount == intent["amount_received"] == amount
    assert row.currency == intent["currency"]
    assert row.signal_due == ""


on_each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
with_each_pause = pytest.mark.parametrize("pause", PAUSES, ids=["at once", "a day later"])


@with_each_pause
@on_each_fault
@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_a_charge_is_paid_once(charge, fake, sent_signals, endpoint, fault, pause):
    fake.fail_next(endpoint, fault)

    run_until_settled(charge, fake, pause)

    assert_paid_once(charge, fake)
    assert sent_signals == ["succeeded"]


@with_each_pause
@on_each_fault
@pytest.mark.parametrize("first", [Fault.REQUEST_LOST, Fault.ANSWER_LOST])
def test_a_charge_is_paid_once_when_the_next_retrieval_fails_too(
    charge, fake, sent_signals, first, fault, pause
):
    fake.fail_next(CONFIRM, first)
    fake.fail_next(RETRIEVE, fault)

    run_until_settled(charge, fake, pause)

    assert_paid_once(charge, fake)
    assert sent_signals == ["succeeded"]


@with_each_pause
@on_each_fault
@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_a_decline_is_recorded_once(declined, fake, sent_signals, endpoint, fault, pause):
    fake.fail_next(endpoint, fault)

    run_until_settled(declined, fake, pause)

    assert paid(fake) == []
    assert (declined.is_charged, declined.charge_attempt_failed) == (False, True)
    assert declined.failure_code == "card_declined"
    assert len(fake.account.all("charge")) == 1
    assert sent_signals == ["card_exception"]


@with_each_pause
@on_each_fault
@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_a_row_that_failed_before_is_paid_once(
    declined, fake, sent_signals, endpoint, fault, pause
):
    declined.charge()
    declined.customer.add_new_source("tok_visa")
    sent_signals.clear()
    fake.fail_next(endpoint, fault)

    run_until_settled(declined, fake, pause)

    assert_paid_once(declined, fake)
    assert sent_signals == ["succeeded"]


def test_a_failed_row_is_pending_when_its_retry_gets_no_response(declined, fake):
    declined.charge()
    declined.customer.add_new_source("tok_visa")
    fake.fail_next(RETRIEVE, Fault.REQUEST_LOST)

    assert not run(declined)

    assert list(StripeCharge.objects.pending()) == [declined]


# A surrounding transaction that rolls back


def run_and_roll_back(charge):
    with rolled_back():
        run(charge)
    return StripeCharge.objects.get(pk=charge.pk)


@with_each_pause
def test_a_charge_that_was_rolled_back_is_adopted(charge, fake, pause):
    row = run_and_roll_back(charge)
    assert not row.is_charged
    let_pass(fake, pause)

    run_until_settled(charge, fake, pause)

    assert_paid_once(charge, fake)


@with_each_pause
@on_each_fault
@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_a_charge_is_paid_once_when_its_transaction_rolls_back(
    charge, fake, endpoint, fault, pause
):
    fake.fail_next(endpoint, fault)
    run_and_roll_back(charge)
    let_pass(fake, pause)

    run_until_settled(charge, fake, pause)

    assert_paid_once(charge, fake)


@with_each_pause
def test_a_decline_that_was_rolled_back_is_recorded_and_not_retried(declined, fake, pause):
    run_and_roll_back(declined)
    let_pass(fake, pause)

    run_until_settled(declined, fake, pause)

    assert declined.charge_attempt_failed
    assert len(fake.account.all("charge")) == 1


@on_each_fault
def test_a_charge_is_paid_once_when_the_search_for_a_lost_intent_fails(charge, fake, fault):
    run_and_roll_back(charge)
    let_pass(fake, DAY)
    fake.fail_next(LIST, fault)

    run_until_settled(charge, fake, DAY)

    assert_paid_once(charge, fake)


def test_a_lost_intent_is_found_on_any_page_of_any_customer(charge, fake):
    run_and_roll_back(charge)
    for _ in range(105):
        fake_intent(fake, charge.user.stripe_customers.get())
    make_customer(charge.user)
    let_pass(fake, DAY)

    run_until_settled(charge, fake, DAY)

    assert_paid_once(charge, fake)


def fake_intent(fake, customer):
    """Create an unpaid intent of the customer that belongs to no row."""
    fake.account.add(
        "payment_intent", customer=customer.stripe_customer_id, status="canceled", metadata={}
    )


# Edited between the attempts


@with_each_pause
@on_each_fault
@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
@pytest.mark.parametrize("is_rolled_back", [False, True], ids=["committed", "rolled back"])
def test_an_edited_amount_is_collected_once(charge, fake, endpoint, fault, pause, is_rolled_back):
    fake.fail_next(endpoint, fault)
    run_and_roll_back(charge) if is_rolled_back else run(charge)
    was_paid = bool(paid(fake))
    let_pass(fake, pause)
    StripeCharge.objects.filter(pk=charge.pk).update(amount=1500)

    run_until_settled(charge, fake, pause)

    assert_paid_once(charge, fake, amount=1000 if was_paid else 1500)


@with_each_pause
@on_each_fault
@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_a_replaced_customer_pays_once(charge, fake, endpoint, fault, pause):
    fake.fail_next(endpoint, fault)
    run(charge)
    was_paid = bool(paid(fake))
    let_pass(fake, pause)
    newer = make_customer(charge.user)

    run_until_settled(charge, fake, pause)

    assert_paid_once(charge, fake)
    assert (charge.customer == newer) is not was_paid
    assert paid(fake)[0]["customer"] == charge.customer.stripe_customer_id


@with_each_pause
@on_each_fault
@pytest.mark.parametrize("endpoint", [RETRIEVE, UPDATE, CONFIRM])
def test_an_edited_charge_is_paid_once_when_a_request_fails(charge, fake, endpoint, fault, pause):
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)
    run(charge)
    make_customer(charge.user)
    StripeCharge.objects.filter(pk=charge.pk).update(amount=1500)
    fake.fail_next(endpoint, fault)

    run_until_settled(charge, fake, pause)

    assert_paid_once(charge, fake, amount=1500)


@with_each_pause
@on_each_fault
@pytest.mark.parametrize("endpoint", [RETRIEVE, UPDATE, CANCEL, CREATE, CONFIRM])
@pytest.mark.parametrize("is_rolled_back", [False, True], ids=["committed", "rolled back"])
def test_a_charge_with_a_changed_currency_is_paid_once_when_a_request_fails(
    charge, fake, endpoint, fault, pause, is_rolled_back
):
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)
    run(charge)
    StripeCharge.objects.filter(pk=charge.pk).update(currency="eur")
    fake.fail_next(endpoint, fault)
    if is_rolled_back:
        run_and_roll_back(charge)
        let_pass(fake, pause)

    run_until_settled(charge, fake, pause)

    assert_paid_once(charge, fake)
    assert charge.currency == "eur"
    # A creation that Stripe responded to with an error is repeated with another key. If the first
    # one took effect nevertheless, its intent is never confirmed.
    assert [it for it in intents(fake) if it["latest_charge"]] == paid(fake)


@with_each_pause
@pytest.mark.parametrize("text", ["description", "statement_descriptor"])
def test_a_charge_whose_text_was_emptied_after_a_failed_try_is_collected(charge, fake, text, pause):
    StripeCharge.objects.filter(pk=charge.pk).update(**{text: "ORDER"})
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)
    run(charge)
    StripeCharge.objects.filter(pk=charge.pk).update(**{text: ""})

    run_until_settled(charge, fake, pause)

    assert_paid_once(charge, fake)
    intent = intent_of(fake, charge)
    assert (intent["description"], intent["statement_descriptor_suffix"]) == (None, None)
    assert all("" not in request.params.values() for request in fake.requests)


def test_a_payment_that_succeeds_just_before_it_is_canceled_is_adopted(charge, fake):
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)
    run(charge)
    StripeCharge.objects.filter(pk=charge.pk).update(currency="eur")

    def pay_meanwhile(request):
        if request.path.endswith("/cancel"):
            fake.before_request.clear()
            intent_of(fake, charge)["customer"] = charge.customer.stripe_customer_id
            pay_on_session(charge)

    fake.before_request.append(pay_meanwhile)

    run_until_settled(charge, fake, timedelta(0))

    assert_paid_once(charge, fake)
    assert charge.currency == "usd"


def pay_on_session(charge):
    stripe.PaymentIntent.confirm(
        charge.stripe_payment_intent_id, payment_method=charge.customer.default_source
    )


# Refunds


def refund(charge, amount=400):
    """Try to refund once; return whether it is settled."""
    try:
        StripeCharge.objects.get(pk=charge.pk).refund(amount)
    except StripeInternalError:
        return False
    return True


def refund_until_settled(charge, fake, pause, amount=400):
    for _ in range(5):
        if refund(charge, amount):
            break
        let_pass(fake, pause)
        pause = pause or DAY / 2
    charge.refresh_from_db()


def assert_refunded_once(charge, fake, amount=400):
    [made] = refunds_of(fake, charge)
    order = charge.refunds.get()
    assert made["amount"] == order.amount == amount
    assert (order.stripe_refund_id, order.status) == (made["id"], made["status"])
    row = StripeCharge.objects.get(pk=charge.pk)
    assert row.amount_refunded == amount
    assert row.stripe_refund_id == made["id"]
    assert row.signal_due == ""


@with_each_pause
@on_each_fault
@pytest.mark.parametrize("amount", [400, 1000, None])
def test_a_refund_is_made_once(charged, fake, sent_signals, fault, pause, amount):
    sent_signals.clear()
    fake.fail_next(REFUND, fault)

    refund_until_settled(charged, fake, pause, amount)

    assert_refunded_once(charged, fake, amount or 1000)
    assert sent_signals == ["refunded"]


@with_each_pause
@on_each_fault
def test_a_refund_is_made_once_when_listing_the_refunds_fails(charged, fake, fault, pause):
    fake.fail_next(REFUNDS, fault)

    refund_until_settled(charged, fake, pause)

    assert_refunded_once(charged, fake)


@with_each_pause
@on_each_fault
@pytest.mark.parametrize("first", [Fault.REQUEST_LOST, Fault.ANSWER_LOST])
def test_a_refund_is_made_once_when_finishing_it_fails_too(charged, fake, first, fault, pause):
    fake.fail_next(REFUND, first)
    refund(charged)
    let_pass(fake, pause)
    fake.fail_next(REFUND, fault)
    fake.fail_next(REFUNDS, fault)

    refund_until_settled(charged, fake, pause)

    assert_refunded_once(charged, fake)


@with_each_pause
def test_a_refund_that_was_rolled_back_reduces_what_is_left(charged, fake, pause):
    with rolled_back():
        charged.refund(400)
    let_pass(fake, pause)
    charged.refresh_from_db()

    charged.refund()

    assert [made["amount"] for made in refunds_of(fake, charged)] == [400, 600]
    assert StripeCharge.objects.get(pk=charged.pk).is_refunded


@with_each_pause
@on_each_fault
def test_a_pending_refund_is_made_once(fake, fault, pause):
    charge = make_charge(make_customer(card="pm_card_pendingRefund"))
    charge.charge()
    fake.fail_next(REFUND, fault)

    refund_until_settled(charge, fake, pause)

    assert_refunded_once(charge, fake)
    assert charge.refunds.get().status == "pending"
