"""Refunds of a charge that was partly or completely refunded in the Dashboard."""

from __future__ import annotations

from functools import partial

import pytest
import stripe

from aa_stripe.exceptions import StripeInternalError, StripeMethodNotAllowed
from aa_stripe.models import StripeCharge, StripeRefund
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.claims import hold
from tests.support.payments import REFUND, amounts_refunded
from tests.support.requests import before, requests_to, when_done
from tests.support.rows import row_of
from tests.support.threads import InThread

pytestmark = pytest.mark.django_db


@pytest.fixture
def by_hand(charged, fake):
    """Refund an amount in the Dashboard (``None``: all); the row does not know of it."""
    return partial(fake.dashboard_refund, charged.stripe_charge_id)


def let_nothing_be_known(charge, fake):
    """The webhook has not arrived yet."""


def let_the_row_know(charge, fake):
    """The webhook has arrived."""
    row_of(charge).refresh_from_stripe()


@pytest.fixture(params=[let_nothing_be_known, let_the_row_know])
def maybe_known(request, charged, fake):
    """Call it after a refund in the Dashboard: the row knows of it in one of two variants."""
    return partial(request.param, charged, fake)


# A part was refunded in the Dashboard


@pytest.mark.parametrize("amount", [1000, 901])
def test_an_amount_that_the_dashboard_has_made_too_large_becomes_what_is_left(
    charged, fake, by_hand, maybe_known, amount
):
    by_hand(100)
    maybe_known()

    assert charged.refund(amount).amount == 900

    row = row_of(charged)
    assert amounts_refunded(fake, charged) == [100, 900]
    assert (row.amount_refunded, row.is_refunded) == (1000, True)
    assert row.refunds.get().amount == 900


def test_an_amount_that_still_fits_is_refunded(charged, fake, by_hand, maybe_known):
    by_hand(100)
    maybe_known()

    assert charged.refund(900).amount == 900
    assert amounts_refunded(fake, charged) == [100, 900]


def test_with_retry_on_error_false_such_an_amount_is_an_error(charged, fake, by_hand, maybe_known):
    by_hand(100)
    maybe_known()

    with pytest.raises(StripeMethodNotAllowed, match=r"^Refunds exceed charge$"):
        charged.refund(1000, retry_on_error=False)

    assert amounts_refunded(fake, charged) == [100]
    assert not charged.refunds.exists()


def test_more_than_the_charge_is_an_error_nevertheless(charged, fake, by_hand, maybe_known):
    by_hand(100)
    maybe_known()

    with pytest.raises(StripeMethodNotAllowed, match=r"^Refunds exceed charge$"):
        charged.refund(1001)

    assert amounts_refunded(fake, charged) == [100]


def test_our_own_refunds_are_no_reason_to_refund_less(charged, fake, by_hand, maybe_known):
    charged.refund(500)
    by_hand(100)
    maybe_known()

    with pytest.raises(StripeMethodNotAllowed, match=r"^Refunds exceed charge$"):
        charged.refund(501)

    assert charged.refund(500).amount == 400
    assert amounts_refunded(fake, charged) == [500, 100, 400]


def test_the_same_call_again_is_an_error_when_nothing_is_left(charged, fake, by_hand, maybe_known):
    by_hand(100)
    maybe_known()
    charged.refund(1000)

    with pytest.raises(StripeMethodNotAllowed, match=r"^Already refunded\.$"):
        row_of(charged).refund(1000)

    assert amounts_refunded(fake, charged) == [100, 900]


def test_a_refund_in_the_dashboard_and_ours_send_one_signal(charged, by_hand, sent_signals):
    by_hand(100)

    charged.refund(1000)

    assert sent_signals == ["refunded"]


@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.ANSWER_LOST])
def test_a_repeated_call_returns_the_refund_of_what_was_left(
    charged, fake, by_hand, maybe_known, fault, sent_signals
):
    by_hand(100)
    maybe_known()
    fake.fail_next(REFUND, fault)
    with pytest.raises(StripeInternalError):
        charged.refund(1000)
    sent_signals.clear()

    made = row_of(charged).refund(1000)

    assert made.amount == 900
    assert amounts_refunded(fake, charged) == [100, 900]
    assert charged.refunds.get().stripe_refund_id == made.id
    assert sent_signals == ["refunded"]


def test_a_repeated_call_raises_while_the_refund_of_what_was_left_is_held_up(
    charged, fake, by_hand, maybe_known
):
    by_hand(100)
    maybe_known()
    fake.fail_next(REFUND, Fault.ERROR_500_BEFORE)
    with pytest.raises(StripeInternalError):
        charged.refund(1000)

    with pytest.raises(StripeInternalError):
        row_of(charged).refund(1000)

    assert amounts_refunded(fake, charged) == [100]
    assert len(requests_to(fake, REFUND)) == 1


def test_an_order_in_progress_counts_as_refunded(charged, fake, by_hand, maybe_known):
    hold(charged.refunds.create(amount=300))
    by_hand(100)
    maybe_known()

    assert charged.refund(650).amount == 600
    assert amounts_refunded(fake, charged) == [100, 600]


def test_two_at_once_refund_what_is_left_once(transactional_db, fake):
    charge = make_charge(make_customer())
    charge.charge()
    fake.dashboard_refund(charge.stripe_charge_id, 100)

    threads = [InThread(lambda: row_of(charge).refund(1000)) for _ in range(2)]
    errors = [error for thread in threads if (error := error_of(thread))]

    assert amounts_refunded(fake, charge) == [100, 900]
    assert row_of(charge).amount_refunded == 1000
    assert len(errors) == 1
    # The first is made by then, or still being requested.
    assert str(errors[0]) in {"Already refunded.", "Refunds exceed charge"}


def error_of(thread):
    try:
        thread.join()
    except StripeMethodNotAllowed as error:
        return error
    return None


# Between our reading of the list and our request


def test_an_amount_that_stripe_refuses_as_too_large_becomes_what_is_left(
    charged, fake, by_hand, sent_signals
):
    before(fake, REFUND, lambda: by_hand(100))

    assert charged.refund(1000).amount == 900

    assert amounts_refunded(fake, charged) == [100, 900]
    assert [it.status for it in charged.refunds.order_by("pk")] == ["refused", "succeeded"]
    assert row_of(charged).amount_refunded == 1000
    assert sent_signals == ["refunded"]


@pytest.mark.parametrize("amount", [None, 1000])
def test_a_full_refund_in_the_dashboard_at_the_same_moment_is_returned(
    charged, fake, by_hand, amount, sent_signals
):
    made = []
    before(fake, REFUND, lambda: made.append(by_hand()))

    assert charged.refund(amount).id == made[0]["id"]

    row = row_of(charged)
    assert amounts_refunded(fake, charged) == [1000]
    assert (row.amount_refunded, row.is_refunded) == (1000, True)
    assert sent_signals == ["refunded"]


def test_with_retry_on_error_false_the_error_of_stripe_is_raised(charged, fake, by_hand):
    before(fake, REFUND, lambda: by_hand(100))

    with pytest.raises(stripe.InvalidRequestError):
        charged.refund(1000, retry_on_error=False)

    assert amounts_refunded(fake, charged) == [100]
    assert row_of(charged).amount_refunded == 100


def test_a_lost_response_after_such_a_refusal_is_found(charged, fake, by_hand):
    before(fake, REFUND, lambda: by_hand(100))
    when_done(fake, REFUND, lambda: fake.fail_next(REFUND, Fault.ANSWER_LOST))
    with pytest.raises(StripeInternalError):
        charged.refund(1000)

    assert row_of(charged).refund(1000).amount == 900
    assert amounts_refunded(fake, charged) == [100, 900]


# All was refunded in the Dashboard


@pytest.mark.parametrize("amount", [None, 300, 1000])
def test_a_full_refund_in_the_dashboard_is_returned_once(
    charged, fake, by_hand, amount, sent_signals
):
    made = by_hand()

    assert charged.refund(amount).id == made["id"]
    with pytest.raises(StripeMethodNotAllowed, match=r"^Already refunded\.$"):
        StripeCharge.objects.get().refund(amount)

    assert amounts_refunded(fake, charged) == [1000]
    assert not StripeRefund.objects.exists()
    assert sent_signals == ["refunded"]


def test_the_rest_that_was_refunded_in_the_dashboard_is_returned(charged, fake, by_hand):
    charged.refund(400)
    made = by_hand()

    assert charged.refund().id == made["id"]
    assert (charged.amount_refunded, charged.is_refunded) == (1000, True)


def test_a_full_refund_that_the_row_knows_is_already_refunded(charged, fake, by_hand):
    by_hand()
    let_the_row_know(charged, fake)

    with pytest.raises(StripeMethodNotAllowed, match=r"^Already refunded\.$"):
        charged.refund()


# Charges of 0.14


def test_refunds_of_0_14_are_not_taken_for_refunds_in_the_dashboard(charged, fake, by_hand):
    made = by_hand(600)  # 0.14's refunds have no metadata either
    StripeCharge.objects.update(
        stripe_payment_intent_id="", stripe_refund_id=made["id"], amount_refunded=600
    )

    with pytest.raises(StripeMethodNotAllowed, match=r"^Refunds exceed charge$"):
        charged.refund(600)

    by_hand(100)
    assert row_of(charged).refund(400).amount == 300
