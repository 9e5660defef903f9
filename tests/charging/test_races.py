"""Another process does the same between a request and its response: one result, one signal."""

from __future__ import annotations

import pytest

from tests.support.payments import CONFIRM, CREATE, REFUND, before_it_is_written, paid, refunds_of
from tests.support.requests import endpoint_of, when_done
from tests.support.rows import row_of


@pytest.fixture(autouse=True)
def one_connection(settings):
    """The other process of a test shares our connection, and so its open transaction."""
    settings.STRIPE_TRANSACTIONS = "allow"


@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_a_charge_that_another_worker_adopts_sends_one_signal(charge, fake, sent_signals, endpoint):
    when_done(fake, endpoint, lambda: row_of(charge).charge())

    if endpoint == CREATE:  # the other worker finishes before we confirm
        with pytest.raises(Exception, match="Already charged"):
            charge.charge()
    else:
        charge.charge()

    assert len(paid(fake)) == 1
    assert row_of(charge).is_charged
    assert sent_signals == ["succeeded"]


def test_a_decline_that_another_worker_records_sends_one_signal(
    declined, fake, sent_signals, monkeypatch
):
    before_it_is_written(monkeypatch, lambda: row_of(declined).charge())

    assert declined.charge() is None

    assert declined.charge_attempt_failed
    assert len(fake.account.all("charge")) == 1
    assert sent_signals == ["card_exception"]


def test_a_decline_does_not_overwrite_a_success_in_between(
    declined, fake, sent_signals, monkeypatch
):
    def pay_with_another_card():
        declined.customer.add_new_source("tok_visa")
        row = row_of(declined)
        row.charge()  # records the decline
        row.charge()

    before_it_is_written(monkeypatch, pay_with_another_card)

    declined.charge()

    row = row_of(declined)
    assert (row.is_charged, row.charge_attempt_failed) == (True, False)
    assert sent_signals == ["card_exception", "succeeded"]


def test_a_refund_that_another_worker_counts_sends_one_signal(charge, fake, sent_signals):
    charge.charge()
    sent_signals.clear()
    when_done(fake, REFUND, lambda: row_of(charge).refresh_from_stripe())

    charge.refund(300)

    row = row_of(charge)
    assert row.amount_refunded == 300
    assert sent_signals == ["refunded"]


def test_a_refund_that_another_worker_makes_first_is_made_once(charge, fake, sent_signals):
    charge.charge()
    sent_signals.clear()

    def refund_first(request):
        if endpoint_of(request) == REFUND:
            fake.before_request.clear()
            row_of(charge).refund(300)

    fake.before_request.append(refund_first)

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
