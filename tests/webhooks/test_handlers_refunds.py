"""Events about the refunds of a charge, before and after the event of its payment."""

from __future__ import annotations

import itertools
import random

import pytest
import stripe

from aa_stripe.exceptions import StripeInternalError
from aa_stripe.models import StripeCharge, StripeRefund
from aa_stripe.models.charge.refunds import UUID_KEY
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.payments import (
    REFUND,
    REFUNDS,
    RETRIEVE,
    authenticate,
    intent_of,
    lose_response,
    refunds_of,
)
from tests.support.requests import calls, endpoint_of
from tests.support.rows import row_of, values_of
from tests.webhooks.account import (
    NEW,
    NOT_APPLIED,
    OUTAGES,
    REDELIVERED,
    altered,
    deliver,
    each_order,
    error_of,
    errors,
    events_of,
    newest,
)
from tests.webhooks.payments import (
    OF_PAYMENT,
    OF_REFUND,
    SUCCEEDED,
    assert_matches_stripe,
    lose_id,
)

pytestmark = pytest.mark.django_db


# Refunds that were made


def test_a_refund_made_in_the_dashboard_is_counted(charged, fake, sent):
    fake.dashboard_refund(charged.stripe_charge_id, 300)

    deliver(fake, newest(fake, "charge.refunded"))

    row = row_of(charged)
    assert calls(fake) == [REFUNDS]
    assert (row.amount_refunded, row.is_refunded) == (300, False)
    assert sent == [("refunded", charged.pk)]


def test_all_events_of_one_refund_send_one_signal(charged, fake, sent):
    fake.dashboard_refund(charged.stripe_charge_id, 300)
    events = events_of(fake, *OF_REFUND)

    deliver(fake, *events)

    assert len(events) > 1
    assert calls(fake) == [REFUNDS] * len(events)
    assert_matches_stripe(fake, charged)
    assert sent == [("refunded", charged.pk)]


@pytest.mark.parametrize("type", [it for it in OF_REFUND if it != "charge.refunded"])
def test_each_kind_of_event_about_a_refund_is_enough(charged, fake, sent, type):
    fake.dashboard_refund(charged.stripe_charge_id, 300)
    event = {**newest(fake, "refund.created"), "type": type}

    deliver(fake, event)

    assert calls(fake) == [REFUNDS]
    assert row_of(charged).amount_refunded == 300
    assert sent == [("refunded", charged.pk)]


def test_a_charge_whose_whole_amount_is_returned_is_refunded(charged, fake, sent):
    fake.dashboard_refund(charged.stripe_charge_id, 300)
    fake.dashboard_refund(charged.stripe_charge_id)

    deliver(fake, newest(fake, "charge.refunded"))

    row = row_of(charged)
    assert (row.amount_refunded, row.is_refunded) == (1000, True)
    assert sent == [("refunded", charged.pk)]


def test_each_increase_sends_one_signal(charged, fake, sent):
    for _ in range(2):
        fake.dashboard_refund(charged.stripe_charge_id, 300)
        deliver(fake, *events_of(fake, *OF_REFUND))

    assert row_of(charged).amount_refunded == 600
    assert sent == [("refunded", charged.pk)] * 2


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_failed_or_canceled_refund_is_no_longer_counted(charged, fake, sent, status):
    made = charged.refund(1000)
    sent.clear()
    if status == "canceled":
        fake.settle_refund(made.id, "requires_action")
    fake.settle_refund(made.id, status)

    deliver(fake, *events_of(fake, *OF_REFUND))

    row = row_of(charged)
    assert (row.amount_refunded, row.is_refunded) == (0, False)
    assert row.refunds.get().status == status
    assert REFUND not in calls(fake)
    assert sent == []


def test_a_failed_refund_can_be_made_again(charged, fake, sent):
    made = charged.refund(1000)
    fake.settle_refund(made.id, "failed")
    deliver(fake, *events_of(fake, *OF_REFUND))
    sent.clear()

    again = row_of(charged).refund()

    assert again.id != made.id
    assert_matches_stripe(fake, charged)
    assert sent == [("refunded", charged.pk)]


def test_a_pending_refund_counts_and_stays_pending(fake, sent):
    charge = make_charge(make_customer(card="tok_pendingRefund"))
    charge.charge()
    fake.dashboard_refund(charge.stripe_charge_id, 300)

    deliver(fake, *events_of(fake, *OF_REFUND))

    assert row_of(charge).amount_refunded == 300
    assert sent == [("succeeded", charge.pk), ("refunded", charge.pk)]


def test_the_row_of_a_pending_refund_is_updated_when_it_succeeds(fake, sent):
    charge = make_charge(make_customer(card="tok_pendingRefund"))
    charge.charge()
    made = charge.refund(300)
    assert charge.refunds.get().status == "pending"
    sent.clear()
    fake.settle_refund(made.id, "succeeded")

    deliver(fake, *events_of(fake, *OF_REFUND))

    assert charge.refunds.get().status == "succeeded"
    assert row_of(charge).amount_refunded == 300
    assert sent == []


def test_a_refund_whose_response_was_lost_is_recorded_without_a_second_request(charged, fake, sent):
    fake.fail_next(REFUND, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charged.refund(300)
    assert charged.refunds.get().status == StripeRefund.STATUS_UNKNOWN

    deliver(fake, newest(fake, "refund.created"))

    [made] = refunds_of(fake, charged)
    order = charged.refunds.get()
    assert calls(fake) == [REFUNDS]
    assert (order.status, order.stripe_refund_id) == ("succeeded", made["id"])
    assert order.stripe_response["id"] == made["id"]
    assert row_of(charged).amount_refunded == 300
    assert sent == [("refunded", charged.pk)]


def test_a_refund_whose_request_was_lost_stays_unknown_and_is_not_requested_again(
    charged, fake, sent
):
    fake.fail_next(REFUND, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        charged.refund(300)
    fake.dashboard_refund(charged.stripe_charge_id, 200)

    deliver(fake, *events_of(fake, *OF_REFUND))

    assert REFUND not in calls(fake)
    assert charged.refunds.get().status == StripeRefund.STATUS_UNKNOWN
    assert row_of(charged).amount_refunded == 200


def test_a_lost_refund_that_the_webhook_recorded_is_not_made_twice(charged, fake):
    fake.fail_next(REFUND, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charged.refund(300)
    deliver(fake, *events_of(fake, *OF_REFUND))

    row_of(charged).refresh_from_stripe()

    assert len(refunds_of(fake, charged)) == 1
    assert row_of(charged).amount_refunded == 300


def test_the_row_of_a_refund_is_restored_after_a_rollback(charged, fake):
    made = charged.refund(300)
    lost_uuid = charged.refunds.get().uuid
    StripeRefund.objects.all().delete()

    deliver(fake, *events_of(fake, *OF_REFUND))

    order = charged.refunds.get()
    assert (order.uuid, order.stripe_refund_id, order.amount) == (lost_uuid, made.id, 300)


@pytest.mark.parametrize("text", ["garbage", "x" * 500, "12345678"])
def test_a_refund_with_garbage_in_its_metadata_is_counted(charged, fake, sent, text):
    stripe.Refund.create(charge=charged.stripe_charge_id, amount=300, metadata={UUID_KEY: text})

    statuses = deliver(fake, newest(fake, "charge.refunded"))

    assert statuses == [NEW]
    assert error_of(newest(fake, "charge.refunded")) == ""
    assert row_of(charged).amount_refunded == 300
    assert not StripeRefund.objects.exists()
    assert sent == [("refunded", charged.pk)]


def test_a_refund_with_the_uuid_of_another_charges_refund_is_counted(charged, fake, sent):
    another = make_charge(charged.customer)
    another.charge()
    another.refund(100)
    sent.clear()
    other_refund = another.refunds.get()
    stripe.Refund.create(
        charge=charged.stripe_charge_id, amount=300, metadata={UUID_KEY: str(other_refund.uuid)}
    )

    statuses = deliver(fake, newest(fake, "charge.refunded"))

    assert statuses == [NEW]
    assert row_of(charged).amount_refunded == 300
    assert StripeRefund.objects.get() == other_refund
    assert sent == [("refunded", charged.pk)]


def test_the_event_of_a_refund_may_arrive_before_that_of_its_payment(charge, fake, sent):
    lose_response(fake, charge)
    fake.dashboard_refund(intent_of(fake, charge)["latest_charge"], 300)

    deliver(fake, newest(fake, "refund.created"))

    assert calls(fake) == [RETRIEVE, REFUNDS]
    assert_matches_stripe(fake, charge)
    assert row_of(charge).amount_refunded == 300
    assert sent == [("succeeded", charge.pk), ("refunded", charge.pk)]


def test_a_refund_of_a_row_without_its_intent_id_is_recorded_with_the_payment(charge, fake, sent):
    lose_response(fake, charge)
    fake.dashboard_refund(intent_of(fake, charge)["latest_charge"], 300)
    lose_id(charge)

    deliver(fake, newest(fake, "refund.created"), newest(fake, SUCCEEDED))

    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk), ("refunded", charge.pk)]


def test_a_charge_of_version_0_14_is_found_by_its_charge_id(charged, fake, sent):
    StripeCharge.objects.filter(pk=charged.pk).update(stripe_payment_intent_id="")
    fake.dashboard_refund(charged.stripe_charge_id, 300)

    deliver(fake, *events_of(fake, *OF_REFUND))

    row = row_of(charged)
    assert (row.amount_refunded, row.stripe_payment_intent_id) == (300, "")
    assert sent == [("refunded", charged.pk)]


def test_a_refund_without_an_intent_is_found_by_its_charge_id(charged, fake, sent):
    StripeCharge.objects.filter(pk=charged.pk).update(stripe_payment_intent_id="")
    pending = make_charge(charged.customer)
    before = values_of(pending)
    fake.dashboard_refund(charged.stripe_charge_id, 300)
    event = altered(newest(fake, "refund.created"), payment_intent=None)

    deliver(fake, event)

    assert calls(fake) == [REFUNDS]
    assert row_of(charged).amount_refunded == 300
    assert values_of(pending) == before
    assert sent == [("refunded", charged.pk)]


@pytest.mark.parametrize("ids", [{"charge": None}, {"charge": None, "payment_intent": None}])
def test_a_refund_of_an_unknown_charge_makes_no_request(charged, fake, ids):
    make_charge(charged.customer)  # a row without ids must not match
    fake.dashboard_refund(charged.stripe_charge_id, 300)
    event = altered(newest(fake, "refund.created"), **{"payment_intent": "pi_unknown", **ids})

    statuses = deliver(fake, event)

    assert statuses == [NEW]
    assert calls(fake) == []
    assert row_of(charged).amount_refunded == 0


def test_a_row_without_a_refunded_amount_gets_one(charged, fake, sent):
    StripeCharge.objects.filter(pk=charged.pk).update(amount_refunded=None)
    fake.dashboard_refund(charged.stripe_charge_id, 300)

    deliver(fake, newest(fake, "charge.refunded"))

    assert row_of(charged).amount_refunded == 300
    assert sent == [("refunded", charged.pk)]


def test_the_webhook_may_arrive_before_the_response_to_our_refund(charged, fake, sent):
    def deliver_early(request, response):
        if endpoint_of(request) == REFUND:
            fake.after_request.clear()
            events = events_of(fake, "refund.created", "charge.refunded")
            assert deliver(fake, *events) == [NEW, NEW]

    fake.after_request.append(deliver_early)

    made = charged.refund(300)

    assert_matches_stripe(fake, charged)
    assert charged.refunds.get().stripe_refund_id == made.id
    assert sent == [("refunded", charged.pk)]


# The order of the events


def make_partly_refunded(fake):
    """Make a payment whose response is lost, and refund a part of it in the Dashboard."""
    charge = make_charge()
    lose_response(fake, charge)
    fake.dashboard_refund(intent_of(fake, charge)["latest_charge"], 300)
    return charge


@pytest.mark.parametrize(
    "order", list(itertools.permutations([SUCCEEDED, "refund.created", "charge.refunded"]))
)
def test_the_events_of_a_payment_and_its_refund_may_arrive_in_any_order(fake, sent, order):
    charge = make_partly_refunded(fake)

    statuses = deliver(fake, *(newest(fake, type) for type in order))

    assert statuses == [NEW] * 3
    assert_matches_stripe(fake, charge)
    assert errors(fake) == {}
    assert [it for it in sent if it[0] == "succeeded"] == [("succeeded", charge.pk)]
    assert [it for it in sent if it[0] == "refunded"] == [("refunded", charge.pk)]


def test_the_events_of_several_refunds_may_arrive_in_any_order(fake, sent):
    chance = random.Random(20261124)
    customer = make_customer(card="tok_authenticationRequired")

    for number in range(20):
        charge = make_charge(customer)
        begun = len(fake.events)
        charge.charge()
        authenticate(fake, charge)
        collected = intent_of(fake, charge)["latest_charge"]
        failing = fake.dashboard_refund(collected, 400)
        fake.dashboard_refund(collected, 200)
        fake.settle_refund(failing["id"], "failed")
        happened = [it for it in fake.events[begun:] if it["type"] in OF_PAYMENT + OF_REFUND]
        [*_, order] = each_order(happened, chance, number=number + 1)
        sent.clear()

        statuses = deliver(fake, *order)

        assert statuses == [NEW] * len(happened)
        assert_matches_stripe(fake, charge)
        assert row_of(charge).amount_refunded == 200
        assert sent == [("succeeded", charge.pk), ("refunded", charge.pk)]

    assert errors(fake) == {}


def test_each_event_may_be_delivered_as_soon_as_it_happens(fake, sent):
    charge = make_charge(make_customer(card="tok_authenticationRequired"))
    seen = set()

    def deliver_new():
        new = [it for it in fake.events if it["id"] not in seen]
        seen.update(it["id"] for it in new)
        assert set(deliver(fake, *new)) <= {NEW}

    deliver_new()
    charge.charge()
    deliver_new()
    authenticate(fake, charge)
    deliver_new()
    assert_matches_stripe(fake, charge)
    failing = fake.dashboard_refund(row_of(charge).stripe_charge_id, 400)
    deliver_new()
    fake.settle_refund(failing["id"], "failed")
    deliver_new()
    fake.dashboard_refund(row_of(charge).stripe_charge_id)
    deliver_new()

    assert_matches_stripe(fake, charge)
    assert errors(fake) == {}
    assert [name for name, _ in sent] == [
        "card_exception",
        "requires_action",
        "succeeded",
        "refunded",
        "refunded",
    ]


# Outages of Stripe


@pytest.mark.parametrize("fault", OUTAGES, ids=lambda fault: fault.name)
def test_a_refund_is_not_recorded_during_an_outage(charged, fake, sent, fault):
    fake.dashboard_refund(charged.stripe_charge_id, 300)
    event = newest(fake, "charge.refunded")
    before = values_of(charged)
    fake.fail_next(REFUNDS, fault)

    statuses = deliver(fake, event)

    assert statuses == [NOT_APPLIED]
    assert values_of(charged) == before
    assert deliver(fake, event) == [REDELIVERED]
    assert_matches_stripe(fake, charged)
    assert sent == [("refunded", charged.pk)]


def test_a_payment_is_rolled_back_if_its_refunds_cannot_be_listed(charge, fake, sent):
    lose_response(fake, charge)
    fake.dashboard_refund(intent_of(fake, charge)["latest_charge"], 300)
    event = newest(fake, "charge.refunded")
    fake.fail_next(REFUNDS, Fault.ERROR_500_BEFORE)

    statuses = deliver(fake, event)

    assert statuses == [NOT_APPLIED]
    assert not row_of(charge).is_charged
    assert sent == []
    deliver(fake, event)
    assert_matches_stripe(fake, charge)


# The method take_over_refunds()


def test_take_over_refunds_only_marks_the_signal_as_due(charged, fake, sent):
    fake.dashboard_refund(charged.stripe_charge_id, 300)

    charged.take_over_refunds()

    assert (charged.amount_refunded, charged.signal_due) == (300, "refunded")
    assert sent == []


def test_take_over_refunds_records_each_unknown_refund(charged, fake):
    charged.refund(100)
    charged.refund(200)
    StripeRefund.objects.update(status=StripeRefund.STATUS_UNKNOWN, stripe_refund_id="")

    charged.take_over_refunds()

    made = {it["id"] for it in refunds_of(fake, charged)}
    assert {it.stripe_refund_id for it in charged.refunds.all()} == made
    assert {it.status for it in charged.refunds.all()} == {"succeeded"}
