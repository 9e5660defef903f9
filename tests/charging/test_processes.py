"""Real processes on the database of this run: killed in the middle, or two at once."""

from __future__ import annotations

from functools import partial

import pytest

from aa_stripe.exceptions import StripeInternalError
from aa_stripe.models import StripeCharge
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.claims import end_all_leases
from tests.support.payments import (
    CANCEL,
    CONFIRM,
    CREATE,
    REFUND,
    REFUNDS,
    RETRIEVE,
    UPDATE,
    paid,
    refunds_of,
)
from tests.support.processes import KILLED, TIMEOUT, run_killed
from tests.support.rows import row_of


@pytest.fixture
def charge(transactional_db, fake):
    return make_charge(make_customer())


@pytest.fixture
def start(start_module, served):
    """A function that starts a process, which charges or refunds the row."""

    def start(what, charge, *more):
        return start_module("tests.charging.child", served.url, what, str(charge.pk), *more)

    return start


at_each_moment = pytest.mark.parametrize("moment", ["before", "after"])


@at_each_moment
@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_a_charge_whose_process_was_killed_is_paid_once(
    charge, fake, start, sent_signals, endpoint, moment
):
    run_killed(fake, partial(start, "charge", charge), endpoint, moment)
    assert not row_of(charge).is_charged
    end_all_leases()

    row_of(charge).charge()

    assert len(paid(fake)) == 1
    assert StripeCharge.objects.get(pk=charge.pk).is_charged
    assert sent_signals == ["succeeded"]


@at_each_moment
@pytest.mark.parametrize("endpoint", [RETRIEVE, UPDATE, CANCEL, CREATE, CONFIRM])
def test_a_charge_killed_while_its_currency_is_changed_is_paid_once(
    charge, fake, start, sent_signals, endpoint, moment
):
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        charge.charge()
    StripeCharge.objects.update(currency="eur")
    run_killed(fake, partial(start, "charge", charge), endpoint, moment)
    end_all_leases()

    StripeCharge.objects.get(pk=charge.pk).charge()

    [intent] = paid(fake)
    row = StripeCharge.objects.get(pk=charge.pk)
    assert (row.is_charged, row.currency) == (True, "eur")
    assert row.stripe_payment_intent_id == intent["id"]
    assert sent_signals == ["succeeded"]


@at_each_moment
@pytest.mark.parametrize("endpoint", [REFUNDS, REFUND])
def test_a_refund_whose_process_was_killed_is_made_once(
    charge, fake, start, sent_signals, endpoint, moment
):
    charge.charge()
    sent_signals.clear()
    run_killed(fake, partial(start, "refund", charge), endpoint, moment)
    end_all_leases()

    StripeCharge.objects.get(pk=charge.pk).refund(400)

    [made] = refunds_of(fake, charge)
    row = StripeCharge.objects.get(pk=charge.pk)
    assert made["amount"] == row.amount_refunded == 400
    assert sent_signals == ["refunded"]


def test_a_signal_whose_process_was_killed_is_sent_by_the_next_run(
    charge, fake, start, sent_signals
):
    child = start("charge", charge, "die")
    assert child.wait(TIMEOUT) == KILLED
    [row] = StripeCharge.objects.with_signal_due()
    assert row.is_charged

    row.send_due_signals()

    assert sent_signals == ["succeeded"]
    assert not StripeCharge.objects.with_signal_due().exists()


@pytest.mark.parametrize("slow", [CREATE, CONFIRM])
def test_two_processes_that_charge_one_row_make_one_payment_and_send_one_signal(
    charge, fake, start, slow
):
    fake.fail_next(slow, Fault.SLOW, times=2, seconds=0.7)
    children = [start("charge", charge) for _ in range(2)]

    outputs = [child.communicate(timeout=TIMEOUT)[0] for child in children]

    assert [child.returncode for child in children] == [0, 0], outputs
    assert len(paid(fake)) == 1
    assert StripeCharge.objects.get(pk=charge.pk).is_charged
    assert "".join(outputs).count("signal: succeeded") == 1


def test_two_processes_never_refund_more_than_the_charge(charge, fake, start):
    charge.charge()
    fake.fail_next(REFUND, Fault.SLOW, times=2, seconds=0.7)
    children = [start("refund", charge) for _ in range(2)]

    outputs = [child.communicate(timeout=TIMEOUT)[0] for child in children]
    StripeCharge.objects.get(pk=charge.pk).refresh_from_stripe()

    assert [child.returncode for child in children] == [0, 0], outputs
    refunded = sum(made["amount"] for made in refunds_of(fake, charge))
    row = StripeCharge.objects.get(pk=charge.pk)
    assert row.amount_refunded == refunded <= row.amount
    assert not row.refunds.filter(status="unknown").exists()
