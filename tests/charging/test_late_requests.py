"""What an earlier request may still do at Stripe, up to an hour after it was sent."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

from aa_stripe.exceptions import StripeInternalError
from aa_stripe.jobs import charge_pending
from aa_stripe.models import StripeCharge
from aa_stripe.models.claims import DatabaseNow, is_late
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.clock import let_pass, make_due
from tests.support.payments import CONFIRM, RETRIEVE, UPDATE, intents, lose_response, paid, payer_of
from tests.support.requests import arrive_late, before, keys_of, refuse_next, requests_to, when_done
from tests.support.rows import row_of

HOURS = timedelta(hours=2)

pytestmark = pytest.mark.django_db


def lose_confirmation(charge, fake):
    """Return the lost confirmation of the charge, which may still arrive."""
    lose_response(fake, charge, Fault.REQUEST_LOST)
    make_due()
    return requests_to(fake, CONFIRM)[-1]


def refuse_repeated(charge, fake):
    """Make Stripe refuse the second confirmation, while the first is on its way; return the first.

    The next confirmation has another key.
    """
    late = lose_confirmation(charge, fake)
    refuse_next(fake, CONFIRM)
    with pytest.raises(StripeInternalError):
        row_of(charge).charge()
    make_due()
    return late


def fail_while_one_is_on_its_way(charge, fake):
    """Decline a new card, while the confirmation with the good one is on its way; return that."""
    late = refuse_repeated(charge, fake)
    payer_of(charge).add_new_source("tok_chargeCustomerFail")
    assert row_of(charge).charge() is None
    return late


# A refusal of a confirmation


def test_a_refusal_of_a_repeated_confirmation_concludes_nothing(charge, fake, sent_signals):
    lose_confirmation(charge, fake)
    refuse_next(fake, CONFIRM)

    report = charge_pending()

    row = row_of(charge)
    assert len(report.failed) == 1
    assert (row.charge_attempt_failed, row.is_unsettled) == (False, True)
    assert sent_signals == []


def test_a_payment_that_arrives_after_the_refusal_of_its_repetition_is_found(
    charge, fake, sent_signals
):
    late = refuse_repeated(charge, fake)
    arrive_late(fake, late)

    charge_pending()

    assert row_of(charge).is_charged
    assert len(paid(fake)) == 1
    assert sent_signals == ["succeeded"]


def test_a_confirmation_that_arrives_after_it_was_repeated_pays_once(charge, fake):
    late = refuse_repeated(charge, fake)
    before(fake, CONFIRM, lambda: arrive_late(fake, late))

    row_of(charge).charge()

    assert row_of(charge).is_charged
    assert len(paid(fake)) == 1


def test_a_refusal_is_final_when_no_earlier_request_can_arrive(charge, fake, sent_signals):
    lose_confirmation(charge, fake)
    let_pass(fake, HOURS)
    refuse_next(fake, CONFIRM)

    assert row_of(charge).charge() is None

    row = row_of(charge)
    assert (row.charge_attempt_failed, row.is_unsettled) == (True, False)
    assert sent_signals == ["card_exception"]


def test_a_refusal_that_stripe_replays_is_final(db, fake, sent_signals):
    charge = make_charge(make_customer(card=None))
    lose_response(fake, charge, Fault.ANSWER_LOST)

    assert row_of(charge).charge() is None

    assert requests_to(fake, CONFIRM)[-1].replayed
    assert row_of(charge).failure_code == "payment_intent_unexpected_state"
    assert sent_signals == ["card_exception"]


# The keys


@pytest.mark.parametrize("fault", [Fault.ERROR_500_BEFORE, Fault.REQUEST_LOST])
def test_an_error_of_a_read_does_not_change_the_key(charge, fake, fault):
    lose_confirmation(charge, fake)
    fake.fail_next(RETRIEVE, fault)
    charge_pending()

    row_of(charge).charge()

    assert keys_of(fake, CONFIRM) == [f"{charge.uuid}-confirm"] * 2


def test_a_confirmation_after_a_refusal_has_another_key(charge, fake):
    refuse_repeated(charge, fake)

    row_of(charge).charge()

    assert keys_of(fake, CONFIRM)[-1] == f"{charge.uuid}-1-confirm"


def test_a_rejected_api_key_does_not_change_the_key(charge, fake, settings):
    lose_confirmation(charge, fake)
    when_done(fake, RETRIEVE, lambda: setattr(settings, "STRIPE_API_KEY", "invalid"))
    charge_pending()
    settings.STRIPE_API_KEY = "sk_test_fake"

    row_of(charge).charge()

    assert keys_of(fake, CONFIRM) == [f"{charge.uuid}-confirm"] * 3


# A failure while a request is on its way


def test_a_row_is_unsettled_before_its_confirmation_is_sent(charge, fake):
    seen = []
    before(fake, CONFIRM, lambda: seen.append(row_of(charge)))

    charge.charge()

    [row] = seen
    assert row.is_unsettled
    assert row.sent_at is not None


def test_a_failed_row_stays_unsettled_while_an_earlier_confirmation_may_arrive(
    charge, fake, sent_signals
):
    fail_while_one_is_on_its_way(charge, fake)

    row = row_of(charge)
    assert (row.failure_code, row.is_unsettled) == ("card_declined", True)
    assert sent_signals == ["card_exception"]


def test_a_payment_that_arrives_after_a_failure_is_found(charge, fake, sent_signals):
    late = fail_while_one_is_on_its_way(charge, fake)
    arrive_late(fake, late)
    make_due()

    charge_pending()

    row = row_of(charge)
    assert (row.is_charged, row.charge_attempt_failed) == (True, False)
    assert sent_signals == ["card_exception", "succeeded"]


def test_a_failed_row_is_compared_with_stripe_until_an_hour_has_passed(charge, fake, sent_signals):
    fail_while_one_is_on_its_way(charge, fake)
    make_due()
    charge_pending()
    is_unsettled_at_first = row_of(charge).is_unsettled
    let_pass(fake, HOURS)

    charge_pending()

    row = row_of(charge)
    assert is_unsettled_at_first
    assert (row.is_unsettled, row.failure_code) == (False, "card_declined")
    assert sent_signals == ["card_exception"]


# A late update


@pytest.fixture
def late_update(declined, fake):
    """An update of the declined payment to 90 dollars, on its way while the row becomes 5."""
    declined.charge()
    StripeCharge.objects.update(amount=9000)
    fake.fail_next(UPDATE, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        row_of(declined).charge()
    payer_of(declined).add_new_source("tok_visa")
    StripeCharge.objects.update(amount=500)
    return requests_to(fake, UPDATE)[-1]


def test_an_intent_is_replaced_while_an_update_of_it_may_arrive(declined, late_update, fake):
    row_of(declined).charge()

    assert [(it["status"], it["amount"]) for it in intents(fake)] == [
        ("canceled", 1000),
        ("succeeded", 500),
    ]
    assert row_of(declined).amount == 500


def test_a_late_update_does_not_change_what_is_collected(declined, late_update, fake):
    def arrive():
        with pytest.raises(stripe.InvalidRequestError, match="canceled"):
            arrive_late(fake, late_update)

    before(fake, CONFIRM, arrive)

    row_of(declined).charge()

    assert [it["amount_received"] for it in paid(fake)] == [500]


def test_an_intent_is_updated_once_no_earlier_update_can_arrive(declined, late_update, fake):
    let_pass(fake, HOURS)

    row_of(declined).charge()

    assert [(it["status"], it["amount"]) for it in intents(fake)] == [("succeeded", 500)]


def test_a_lost_update_makes_the_row_one_that_a_late_request_may_reach(declined, fake):
    declined.charge()
    StripeCharge.objects.update(amount=700, sent_at=DatabaseNow() - timedelta(hours=2))
    fake.fail_next(UPDATE, Fault.REQUEST_LOST)

    with pytest.raises(StripeInternalError):
        row_of(declined).charge()

    assert row_of(declined).is_unsettled
    assert not StripeCharge.objects.filter(is_late()).exists()
