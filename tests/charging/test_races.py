"""Another process does the same between a request and its response: one result, one signal."""

from __future__ import annotations

import pytest

from aa_stripe.exceptions import StripeInProgress, StripeInternalError
from aa_stripe.jobs import charge_pending
from aa_stripe.models.charge import collect
from tests.support.claims import end_lease
from tests.support.clock import make_due
from tests.support.payments import CONFIRM, CREATE, REFUND, before_it_is_written, paid, refunds_of
from tests.support.requests import endpoint_of, when_done
from tests.support.rows import row_of


@pytest.fixture(autouse=True)
def one_connection(settings):
    """The other process of a test shares our connection, and so its open transaction."""
    settings.STRIPE_TRANSACTIONS = "allow"


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(collect, "PATIENCE", 0)


@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_a_charge_that_another_worker_tries_too_is_paid_once(
    charge, fake, sent_signals, impatient, endpoint
):
    refused = []

    def try_too():
        with pytest.raises(StripeInProgress) as raised:
            row_of(charge).charge()
        refused.append(raised.value)

    when_done(fake, endpoint, try_too)

    charge.charge()

    assert len(refused) == 1
    assert len(paid(fake)) == 1
    assert row_of(charge).is_charged
    assert sent_signals == ["succeeded"]


def test_a_decline_that_another_worker_records_after_the_lease_sends_one_signal(
    declined, fake, sent_signals, monkeypatch
):
    def record_it_too():
        end_lease(declined)
        assert row_of(declined).charge() is None

    before_it_is_written(monkeypatch, record_it_too)

    with pytest.raises(StripeInternalError):
        declined.charge()

    assert declined.charge_attempt_failed
    assert len(fake.account.all("charge")) == 1
    assert sent_signals == ["card_exception"]


def test_a_decline_does_not_overwrite_a_success_after_the_lease(
    declined, fake, sent_signals, monkeypatch
):
    def pay_with_another_card():
        end_lease(declined)
        declined.customer.add_new_source("tok_visa")
        row_of(declined).charge()

    before_it_is_written(monkeypatch, pay_with_another_card)

    assert declined.charge() is None

    row = row_of(declined)
    assert (row.is_charged, row.charge_attempt_failed) == (True, False)
    assert sent_signals == ["succeeded"]


def test_a_decline_does_not_overwrite_a_payment_that_waits_for_the_bank(
    declined, fake, sent_signals, monkeypatch
):
    def wait_for_the_bank():
        end_lease(declined)
        declined.customer.add_new_source("pm_card_fakeProcessing")
        row_of(declined).charge()

    before_it_is_written(monkeypatch, wait_for_the_bank)

    with pytest.raises(StripeInternalError):
        declined.charge()

    row = row_of(declined)
    assert not row.charge_attempt_failed
    fake.settle(row.stripe_payment_intent_id)
    make_due()
    charge_pending()
    assert row_of(declined).is_charged
    assert sent_signals == ["succeeded"]


def test_a_refund_that_another_worker_counts_sends_one_signal(charge, fake, sent_signals):
    charge.charge()
    sent_signals.clear()
    when_done(fake, REFUND, lambda: row_of(charge).refresh_from_stripe())

    charge.refund(300)

    row = row_of(charge)
    assert row.amount_refunded == 300
    assert sent_signals == ["refunded"]


def test_a_refund_that_another_worker_finishes_is_made_once(charge, fake, sent_signals):
    charge.charge()
    sent_signals.clear()

    def finish_first(request):
        if endpoint_of(request) == REFUND:
            fake.before_request.clear()
            end_lease(charge.refunds.get())
            row_of(charge).refund(300)

    fake.before_request.append(finish_first)

    charge.refund(300)

    [made] = refunds_of(fake, charge)
    row = row_of(charge)
    assert made["amount"] == row.amount_refunded == 300
    assert row.refunds.get().stripe_refund_id == made["id"]
    assert sent_signals == ["refunded"]


def test_two_refunds_at_once_are_both_counted(charge, fake, sent_signals):
    charge.charge()
    sent_signals.clear()
    when_done(fake, REFUND, lambda: row_of(charge).refund(200))

    charge.refund(300)

    row = row_of(charge)
    assert [made["amount"] for made in refunds_of(fake, charge)] == [300, 200]
    assert row.amount_refunded == 500
    assert sorted(row.refunds.values_list("status", flat=True)) == ["succeeded", "succeeded"]
