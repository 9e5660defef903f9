"""What becomes of a charge's row when Stripe tells of its refunds, before or after its payment."""

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
from tests.support.payments import REFUND, REFUNDS, RETRIEVE, authenticate, intent_of, refunds_of
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
    lose_response,
)

pytestmark = pytest.mark.django_db


# Money that was given back


def test_a_refund_made_in_the_dashboard_is_counted(charged, fake, sent):
    fake.dashboard_refund(charged.stripe_charge_id, 300)

    deliver(fake, newest(fake, "charge.refunded"))

    row = row_of(charged)
    assert calls(fake) == [REFUNDS]
    assert (row.amount_refunded, row.is_refunded) == (300, False)
    assert sent == [("refunded", charged.pk)]


def test_all_the_events_of_one_refund_are_one_signal(charged, fake, sent):
    fake.dashboard_refund(charged.stripe_charge_id, 300)
    told = events_of(fake, *OF_REFUND)

    deliver(fake, *told)

    assert len(told) > 1
    assert calls(fake) == [REFUNDS] * len(told)
    assert_matches_stripe(fake, charged)
    assert sent == [("refunded", charged.pk)]


@pytest.mark.parametrize("type", [it for it in OF_REFUND if it != "charge.refunded"])
def test_each_kind_of_event_about_a_refund_is_enough(charged, fake, sent, type):
    fake.dashboard_refund(charged.stripe_charge_id, 300)
    told = {**newest(fake, "refund.created"), "type": type}

    deliver(fake, told)

    assert calls(fake) == [REFUNDS]
    assert row_of(charged).amount_refunded == 300
    assert sent == [("refunded", charged.pk)]


def test_a_charge_of_which_all_is_given_back_is_refunded(charged, fake, sent):
    fake.dashboard_refund(charged.stripe_charge_id, 300)
    fake.dashboard_refund(charged.stripe_charge_id)

    deliver(fake, newest(fake, "charge.refunded"))

    row = row_of(charged)
    assert (row.amount_refunded, row.is_refunded) == (1000, True)
    assert sent == [("refunded", charged.pk)]


def test_each_increase_is_one_signal(charged, fake, sent):
    for _ in range(2):
        fake.dashboard_refund(charged.stripe_charge_id, 300)
        deliver(fake, *events_of(fake, *OF_REFUND))

    assert row_of(charged).amount_refunded == 600
    assert sent == [("refunded", charged.pk)] * 2


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_comes_to_nothing_is_not_counted_any_more(charged, fake, sent, status):
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


def test_a_refund_that_comes_to_nothing_can_be_made_again(charged, fake, sent):
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


def test_our_pending_refund_succeeds_in_its_row_as_well(fake, sent):
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


def test_a_refund_whose_answer_was_lost_is_recorded_without_asking_for_another(charged, fake, sent):
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


def test_a_refund_that_never_arrived_stays_unknown_and_is_not_asked_for(charged, fake, sent):
    fake.fail_next(REFUND, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        charged.refund(300)
    fake.dashboard_refund(charged.stripe_charge_id, 200)

    deliver(fake, *events_of(fake, *OF_REFUND))

    assert REFUND not in calls(fake)
    assert charged.refunds.get().status == StripeRefund.STATUS_UNKNOWN
    assert row_of(charged).amount_refunded == 200


def test_after_the_webhook_a_lost_refund_is_not_made_twice(charged, fake):
    fake.fail_next(REFUND, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charged.refund(300)
    deliver(fake, *events_of(fake, *OF_REFUND))

    row_of(charged).refresh_from_stripe()

    assert len(refunds_of(fake, charged)) == 1
    assert row_of(charged).amount_refunded == 300


def test_a_refund_whose_row_was_rolled_back_gets_it_back(charged, fake):
    made = charged.refund(300)
    lost = charged.refunds.get().uuid
    StripeRefund.objects.all().delete()

    deliver(fake, *events_of(fake, *OF_REFUND))

    order = charged.refunds.get()
    assert (order.uuid, order.stripe_refund_id, order.amount) == (lost, made.id, 300)


@pytest.mark.parametrize("text", ["garbage", "x" * 500, "12345678"])
def test_a_refund_with_garbage_in_its_metadata_is_counted(charged, fake, sent, text):
    stripe.Refund.create(charge=charged.stripe_charge_id, amount=300, metadata={UUID_KEY: text})

    statuses = deliver(fake, newest(fake, "charge.refunded"))

    assert statuses == [NEW]
    assert error_of(newest(fake, "charge.refunded")) == ""
    assert row_of(charged).amount_refunded == 300
    assert not StripeRefund.objects.exists()
    assert sent == [("refunded", charged.pk)]


def test_a_refund_that_names_the_row_of_another_charges_refund_is_counted(charged, fake, sent):
    another = make_charge(charged.customer)
    another.charge()
    another.refund(100)
    sent.clear()
    taken = another.refunds.get()
    stripe.Refund.create(
        charge=charged.stripe_charge_id, amount=300, metadata={UUID_KEY: str(taken.uuid)}
    )

    statuses = deliver(fake, newest(fake, "charge.refunded"))

    assert statuses == [NEW]
    assert row_of(charged).amount_refunded == 300
    assert StripeRefund.objects.get() == taken
    assert sent == [("refunded", charged.pk)]


def test_a_refund_may_be_told_of_before_the_payment(charge, fake, sent):
    lose_response(fake, charge)
    fake.dashboard_refund(intent_of(fake, charge)["latest_charge"], 300)

    deliver(fake, newest(fake, "refund.created"))

    assert calls(fake) == [RETRIEVE, REFUNDS]
    assert_matches_stripe(fake, charge)
    assert row_of(charge).amount_refunded == 300
    assert sent == [("succeeded", charge.pk), ("refunded", charge.pk)]


def test_a_refund_of_a_row_that_has_lost_its_intent_is_told_with_the_payment(charge, fake, sent):
    lose_response(fake, charge)
    fake.dashboard_refund(intent_of(fake, charge)["latest_charge"], 300)
    lose_id(charge)

    deliver(fake, newest(fake, "refund.created"), newest(fake, SUCCEEDED))

    assert_matches_stripe(fake, charge)
    assert sent == [("succeeded", charge.pk), ("refunded", charge.pk)]


def test_a_charge_of_0_14_is_found_by_the_charge_alone(charged, fake, sent):
    StripeCharge.objects.filter(pk=charged.pk).update(stripe_payment_intent_id="")
    fake.dashboard_refund(charged.stripe_charge_id, 300)

    deliver(fake, *events_of(fake, *OF_REFUND))

    row = row_of(charged)
    assert (row.amount_refunded, row.stripe_payment_intent_id) == (300, "")
    assert sent == [("refunded", charged.pk)]


def test_a_refund_of_a_legacy_charge_has_no_intent_at_all(charged, fake, sent):
    StripeCharge.objects.filter(pk=charged.pk).update(stripe_payment_intent_id="")
    never = make_charge(charged.customer)
    before = values_of(never)
    fake.dashboard_refund(charged.stripe_charge_id, 300)
    told = altered(newest(fake, "refund.created"), payment_intent=None)

    deliver(fake, told)

    assert calls(fake) == [REFUNDS]
    assert row_of(charged).amount_refunded == 300
    assert values_of(never) == before
    assert sent == [("refunded", charged.pk)]


@pytest.mark.parametrize("names", [{"charge": None}, {"charge": None, "payment_intent": None}])
def test_a_refund_that_names_no_charge_of_ours_asks_nothing(charged, fake, names):
    make_charge(charged.customer)  # which has the id of no charge, and of no intent
    fake.dashboard_refund(charged.stripe_charge_id, 300)
    told = altered(newest(fake, "refund.created"), **{"payment_intent": "pi_unknown", **names})

    statuses = deliver(fake, told)

    assert statuses == [NEW]
    assert calls(fake) == []
    assert row_of(charged).amount_refunded == 0


def test_a_row_without_a_sum_of_refunds_gets_one(charged, fake, sent):
    StripeCharge.objects.filter(pk=charged.pk).update(amount_refunded=None)
    fake.dashboard_refund(charged.stripe_charge_id, 300)

    deliver(fake, newest(fake, "charge.refunded"))

    assert row_of(charged).amount_refunded == 300
    assert sent == [("refunded", charged.pk)]


def test_the_webhook_may_arrive_before_the_answer_to_our_refund(charged, fake, sent):
    def overtake(request, answer):
        if endpoint_of(request) == REFUND:
            fake.after_request.clear()
            told = events_of(fake, "refund.created", "charge.refunded")
            assert deliver(fake, *told) == [NEW, NEW]

    fake.after_request.append(overtake)

    made = charged.refund(300)

    assert_matches_stripe(fake, charged)
    assert charged.refunds.get().stripe_refund_id == made.id
    assert sent == [("refunded", charged.pk)]


# In every order


def make_partly_refunded(fake):
    """A payment of which nobody knows, and of which a part was given back."""
    charge = make_charge()
    lose_response(fake, charge)
    fake.dashboard_refund(intent_of(fake, charge)["latest_charge"], 300)
    return charge


@pytest.mark.parametrize(
    "order", list(itertools.permutations([SUCCEEDED, "refund.created", "charge.refunded"]))
)
def test_a_payment_and_its_refund_may_be_told_of_in_any_order(fake, sent, order):
    charge = make_partly_refunded(fake)

    statuses = deliver(fake, *(newest(fake, type) for type in order))

    assert statuses == [NEW] * 3
    assert_matches_stripe(fake, charge)
    assert errors(fake) == {}
    assert [it for it in sent if it[0] == "succeeded"] == [("succeeded", charge.pk)]
    assert [it for it in sent if it[0] == "refunded"] == [("refunded", charge.pk)]


def test_a_long_story_may_be_told_in_any_order(fake, sent):
    chance = random.Random(20261124)
    customer = make_customer(card="tok_authenticationRequired")

    for number in range(20):
        charge = make_charge(customer)
        told = len(fake.events)
        charge.charge()
        authenticate(fake, charge)
        collected = intent_of(fake, charge)["latest_charge"]
        failing = fake.dashboard_refund(collected, 400)
        fake.dashboard_refund(collected, 200)
        fake.settle_refund(failing["id"], "failed")
        happened = [it for it in fake.events[told:] if it["type"] in OF_PAYMENT + OF_REFUND]
        [*_, order] = each_order(happened, chance, number=number + 1)
        sent.clear()

        statuses = deliver(fake, *order)

        assert statuses == [NEW] * len(happened)
        assert_matches_stripe(fake, charge)
        assert row_of(charge).amount_refunded == 200
        assert sent == [("succeeded", charge.pk), ("refunded", charge.pk)]

    assert errors(fake) == {}


def test_each_event_may_be_told_of_as_soon_as_it_happens(fake, sent):
    charge = make_charge(make_customer(card="tok_authenticationRequired"))
    seen = set()

    def tell():
        new = [it for it in fake.events if it["id"] not in seen]
        seen.update(it["id"] for it in new)
        assert set(deliver(fake, *new)) <= {NEW}

    tell()
    charge.charge()
    tell()
    authenticate(fake, charge)
    tell()
    assert_matches_stripe(fake, charge)
    failing = fake.dashboard_refund(row_of(charge).stripe_charge_id, 400)
    tell()
    fake.settle_refund(failing["id"], "failed")
    tell()
    fake.dashboard_refund(row_of(charge).stripe_charge_id)
    tell()

    assert_matches_stripe(fake, charge)
    assert errors(fake) == {}
    assert [name for name, _ in sent] == [
        "card_exception",
        "requires_action",
        "succeeded",
        "refunded",
        "refunded",
    ]


# Stripe, when it is asked


@pytest.mark.parametrize("fault", OUTAGES, ids=lambda fault: fault.name)
def test_while_the_refunds_cannot_be_listed_nothing_is_concluded(charged, fake, sent, fault):
    fake.dashboard_refund(charged.stripe_charge_id, 300)
    told = newest(fake, "charge.refunded")
    before = values_of(charged)
    fake.fail_next(REFUNDS, fault)

    statuses = deliver(fake, told)

    assert statuses == [NOT_APPLIED]
    assert values_of(charged) == before
    assert deliver(fake, told) == [REDELIVERED]
    assert_matches_stripe(fake, charged)
    assert sent == [("refunded", charged.pk)]


def test_a_payment_found_with_a_refund_that_cannot_be_listed_is_undone(charge, fake, sent):
    lose_response(fake, charge)
    fake.dashboard_refund(intent_of(fake, charge)["latest_charge"], 300)
    told = newest(fake, "charge.refunded")
    fake.fail_next(REFUNDS, Fault.ERROR_500_BEFORE)

    statuses = deliver(fake, told)

    assert statuses == [NOT_APPLIED]
    assert not row_of(charge).is_charged
    assert sent == []
    deliver(fake, told)
    assert_matches_stripe(fake, charge)


# The method by itself


def test_taking_over_refunds_leaves_the_signals_to_the_caller(charged, fake, sent):
    fake.dashboard_refund(charged.stripe_charge_id, 300)

    charged.take_over_refunds()

    assert (charged.amount_refunded, charged.signal_due) == (300, "refunded")
    assert sent == []


def test_taking_over_refunds_records_each_that_was_unknown(charged, fake):
    charged.refund(100)
    charged.refund(200)
    StripeRefund.objects.update(status=StripeRefund.STATUS_UNKNOWN, stripe_refund_id="")

    charged.take_over_refunds()

    made = {it["id"] for it in refunds_of(fake, charged)}
    assert {it.stripe_refund_id for it in charged.refunds.all()} == made
    assert {it.status for it in charged.refunds.all()} == {"succeeded"}
