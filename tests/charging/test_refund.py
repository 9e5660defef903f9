"""Refunds."""

from __future__ import annotations

import pytest
import stripe

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError, StripeMethodNotAllowed
from aa_stripe.jobs import charge_pending
from aa_stripe.models import StripeCharge, StripeRefund
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.clock import make_due
from tests.support.payments import CONFIRM, REFUND, intent_of, refunds_of
from tests.support.requests import before, refuse_next


def test_the_remaining_amount_is_refunded_by_default(charged, fake):
    made = charged.refund()

    row = StripeCharge.objects.get(pk=charged.pk)
    assert made.amount == 1000
    assert (row.amount_refunded, row.is_refunded) == (1000, True)
    assert row.stripe_refund_id == made.id


def test_a_part_is_refunded_and_then_the_rest(charged, fake):
    charged.refund(300)
    assert (charged.amount_refunded, charged.is_refunded) == (300, False)

    charged.refund()

    assert (charged.amount_refunded, charged.is_refunded) == (1000, True)
    assert [refund["amount"] for refund in refunds_of(fake, charged)] == [300, 700]


def test_the_same_part_may_be_refunded_twice(charged, fake):
    charged.refund(300)

    charged.refund(300)

    assert charged.amount_refunded == 600
    assert len(refunds_of(fake, charged)) == 2


def test_a_refund_has_a_row(charged):
    made = charged.refund(300)

    row = charged.refunds.get()
    assert (row.amount, row.status, row.stripe_refund_id) == (300, "succeeded", made.id)
    assert row.stripe_response["metadata"] == {"aa_stripe_refund_uuid": str(row.uuid)}


def test_each_refund_sends_one_signal(charged, sent_signals):
    charged.refund(300)
    charged.refund(300)
    charged.refund()

    assert sent_signals == ["refunded", "refunded", "refunded"]


def test_a_charge_is_refunded_though_its_customer_was_deleted_at_stripe(charged, fake):
    stripe.Customer.delete(charged.customer.stripe_customer_id)

    charged.refund(300)
    charged.refresh_from_stripe()

    assert charged.amount_refunded == 300
    assert len(refunds_of(fake, charged)) == 1


def test_an_uncollected_charge_cannot_be_refunded(charge):
    with pytest.raises(StripeMethodNotAllowed, match=r"^Cannot refund not charged transaction\.$"):
        charge.refund()


def test_a_refunded_charge_cannot_be_refunded_again(charged):
    charged.refund()

    with pytest.raises(StripeMethodNotAllowed, match=r"^Already refunded\.$"):
        charged.refund()


def test_more_than_the_remaining_amount_cannot_be_refunded(charged):
    charged.refund(600)

    with pytest.raises(StripeMethodNotAllowed, match=r"^Refunds exceed charge$"):
        charged.refund(401)


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_that_is_not_positive_is_rejected(charged, fake, amount):
    with pytest.raises(StripeMethodNotAllowed, match="positive"):
        charged.refund(amount)

    assert refunds_of(fake, charged) == []
    assert not charged.refunds.exists()


def test_a_refund_made_in_the_dashboard_counts(charged, fake, sent_signals):
    fake.dashboard_refund(charged.stripe_charge_id, 400)

    charged.refund()

    assert charged.amount_refunded == 1000
    assert charged.refunds.get().amount == 600
    assert sent_signals == ["refunded"]


def test_refund_detects_a_full_refund_in_the_dashboard(charged, fake, sent_signals):
    by_hand = fake.dashboard_refund(charged.stripe_charge_id)

    assert charged.refund().id == by_hand["id"]

    row = StripeCharge.objects.get(pk=charged.pk)
    assert (row.amount_refunded, row.is_refunded) == (1000, True)
    assert sent_signals == ["refunded"]


def test_a_payment_adopted_after_a_refund_in_the_dashboard_sends_both_signals(
    charge, fake, sent_signals
):
    fake.fail_next(CONFIRM, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charge.charge()
    intent = intent_of(fake, charge)
    fake.dashboard_refund(intent["latest_charge"], 100)

    charge.charge()

    assert (charge.is_charged, charge.amount_refunded) == (True, 100)
    assert sent_signals == ["succeeded", "refunded"]


def test_a_refund_that_stripe_refuses_is_raised_and_recorded_as_refused(
    charged, fake, sent_signals
):
    before(fake, REFUND, lambda: fake.dashboard_refund(charged.stripe_charge_id))

    with pytest.raises(stripe.InvalidRequestError):
        charged.refund(300, retry_on_error=False)

    order = charged.refunds.get()
    assert order.status == StripeRefund.STATUS_REFUSED
    assert order.stripe_response["error"]["code"] == "charge_already_refunded"
    assert StripeCharge.objects.get(pk=charged.pk).stripe_refund_id == ""


def test_a_refund_that_stripe_refuses_for_another_reason_is_raised(charged, fake):
    refuse_next(fake, REFUND)

    with pytest.raises(stripe.InvalidRequestError):
        charged.refund(300)

    assert refunds_of(fake, charged) == []
    assert charged.refunds.get().status == StripeRefund.STATUS_REFUSED


def test_a_pending_refund_counts_as_refunded(db, fake):
    charge = make_charge(make_customer(card="pm_card_pendingRefund"))
    charge.charge()

    charge.refund(400)

    assert charge.refunds.get().status == "pending"
    assert charge.amount_refunded == 400
    with pytest.raises(StripeMethodNotAllowed, match=r"^Refunds exceed charge$"):
        charge.refund(700)


def test_a_pending_refund_that_failed_can_be_made_again(db, fake):
    charge = make_charge(make_customer(card="pm_card_pendingRefund"))
    charge.charge()
    made = charge.refund()
    fake.settle_refund(made.id, "failed")

    charge.refund()

    assert charge.amount_refunded == 1000
    assert [it["status"] for it in refunds_of(fake, charge)] == ["failed", "pending"]


def test_refresh_from_stripe_subtracts_a_failed_refund(db, fake):
    charge = make_charge(make_customer(card="pm_card_pendingRefund"))
    charge.charge()
    made = charge.refund()
    fake.settle_refund(made.id, "failed")

    charge.refresh_from_stripe()

    row = StripeCharge.objects.get(pk=charge.pk)
    assert (row.amount_refunded, row.is_refunded) == (0, False)


def test_a_refund_whose_response_was_lost_is_finished_by_the_next_call(charged, fake, sent_signals):
    fake.fail_next(REFUND, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charged.refund(300)
    assert sent_signals == []

    made = charged.refund(300)

    assert charged.refunds.get().stripe_refund_id == made.id
    assert charged.amount_refunded == 300
    assert sent_signals == ["refunded"]


def test_a_lost_refund_is_finished_before_another_amount_is_refunded(charged, fake):
    fake.fail_next(REFUND, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        charged.refund(300)

    charged.refund(200)

    assert charged.amount_refunded == 500
    assert [it.amount for it in charged.refunds.all()] == [300, 200]


def test_a_lost_full_refund_is_returned_by_the_next_call(charged, fake):
    fake.fail_next(REFUND, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charged.refund()

    assert charged.refund().amount == 1000

    assert len(refunds_of(fake, charged)) == 1


def test_a_charge_of_the_charges_api_is_refunded_by_its_id(charged, fake):
    StripeCharge.objects.update(stripe_payment_intent_id="")

    charged.refund()

    assert charged.is_refunded


def test_a_null_amount_refunded_counts_as_nothing(charged):
    StripeCharge.objects.update(amount_refunded=None)

    charged.refund(100)

    assert charged.amount_refunded == 100


def test_a_stale_object_does_not_revert_a_refund(charged):
    stale = StripeCharge.objects.get(pk=charged.pk)
    charged.refund()
    stale.comment = "edited"

    stale.save()

    row = StripeCharge.objects.get(pk=charged.pk)
    assert row.is_refunded
    assert row.amount_refunded == 1000


def test_an_error_about_our_account_does_not_let_a_lost_refund_be_made_twice(
    charged, fake, monkeypatch
):
    fake.fail_next(REFUND, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        charged.refund(300)

    create_refund = gateway.create_refund

    def refuse_once(params, *, idempotency_key):
        monkeypatch.setattr(gateway, "create_refund", create_refund)
        raise stripe.InvalidRequestError("No.", None, code="account_invalid", http_status=400)

    monkeypatch.setattr(gateway, "create_refund", refuse_once)
    with pytest.raises(stripe.InvalidRequestError):
        charged.refund(300)
    make_due()
    report = charge_pending()

    assert report.failed == []
    assert [made["amount"] for made in refunds_of(fake, charged)] == [300]
