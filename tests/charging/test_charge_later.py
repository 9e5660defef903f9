"""``charge_later()``: the row is due, and a worker or cron collects it after the commit.

The queues have their tests in ``tests/webhooks/queues``.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from aa_stripe.exceptions import (
    StripeInTransaction,
    StripeMethodNotAllowed,
)
from aa_stripe.jobs import charge_one, charge_pending
from aa_stripe.jobs.pace import Pace
from aa_stripe.models import StripeCharge
from aa_stripe.models.claims import DatabaseNow
from aa_stripe.money import StripeMoneyError
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.claims import hold, let_holder_die
from tests.support.payments import CONFIRM, CREATE, lose_response, paid, payer_of
from tests.support.replica import lagging_replica
from tests.support.requests import before, when_done
from tests.support.rows import row_of, values_of
from tests.support.statements import statements

pytestmark = pytest.mark.django_db(transaction=True)

#: The calls of ``processor``: the key, and whether the charge was committed.
processor_calls = []


def processor(charge_id):
    is_committed = not transaction.get_connection().in_atomic_block
    processor_calls.append((charge_id, is_committed))


def failing_processor(charge_id):
    raise ConnectionError("The broker is away.")


@pytest.fixture(autouse=True)
def no_processor_calls():
    yield
    processor_calls.clear()


@pytest.fixture
def queue(settings):
    settings.STRIPE_CHARGE_PROCESSOR = processor


@pytest.fixture
def turns(monkeypatch):
    """The ``Pace`` of each request, which does not wait."""
    paces = []
    monkeypatch.setattr(Pace, "wait", lambda self: paces.append(self))
    return paces


def postpone(charge):
    """Make the row wait, as after an attempt without an outcome."""
    later = DatabaseNow() + timedelta(hours=6)
    StripeCharge.objects.filter(pk=charge.pk).update(retry_at=later, attempts=9)


# The row


def test_a_charge_is_collected_by_cron_without_a_queue(charge, fake):
    postpone(charge)
    fake.requests.clear()

    charge.charge_later()

    assert fake.requests == []
    assert not row_of(charge).is_charged
    assert dict(charge_pending().done) == {"collected": 1}


def test_a_charge_whose_message_is_lost_is_collected_by_cron(charge, fake, settings):
    settings.STRIPE_CHARGE_PROCESSOR = lambda charge_id: None
    postpone(charge)

    charge.charge_later()

    assert dict(charge_pending().done) == {"collected": 1}


def test_the_number_of_attempts_is_kept(charge):
    postpone(charge)

    charge.charge_later()

    row = row_of(charge)
    assert (row.retry_at, row.attempts) == (None, 9)


def test_a_failed_charge_is_tried_again(declined, fake, sent_signals):
    declined.charge()
    payer_of(declined).add_new_source("tok_visa")

    declined.charge_later()

    assert not declined.charge_attempt_failed
    assert dict(charge_pending().done) == {"collected": 1}
    assert sent_signals == ["card_exception", "succeeded"]


def test_a_failed_charge_that_an_old_object_shows_as_pending_is_tried_again(declined, fake):
    stale = row_of(declined)
    declined.charge()

    stale.charge_later()

    assert not row_of(declined).charge_attempt_failed


def test_a_charge_that_may_still_be_paid_in_the_browser_is_tried_again_off_session(customer, fake):
    charge = make_charge(make_customer(customer.user, "pm_card_authenticationRequired"))
    charge.charge()
    payer_of(charge).add_new_source("tok_visa")

    row_of(charge).charge_later()

    assert dict(charge_pending().done) == {"collected": 1}
    assert len(paid(fake)) == 1


def test_a_manual_charge_is_collected_and_is_not_manual_any_more(charge, fake):
    StripeCharge.objects.update(is_manual_charge=True)

    row_of(charge).charge_later()

    assert not row_of(charge).is_manual_charge
    assert dict(charge_pending().done) == {"collected": 1}


def test_a_charge_that_is_collected_is_refused(charged, queue):
    before = values_of(charged)

    with pytest.raises(StripeMethodNotAllowed, match=r"Already charged\."):
        charged.charge_later()

    assert values_of(charged) == before
    assert processor_calls == []


def test_a_charge_that_was_collected_since_it_was_read_is_refused(charge, queue):
    stale = row_of(charge)
    charge.charge()
    before = values_of(charge)
    stale.amount = 700

    with pytest.raises(StripeMethodNotAllowed, match=r"Already charged\."):
        stale.charge_later()

    assert values_of(charge) == before
    assert stale.is_charged
    assert processor_calls == []


def test_a_charge_that_was_deleted_is_an_error(charge, queue):
    stale = row_of(charge)
    charge.delete()

    with pytest.raises(StripeCharge.DoesNotExist):
        stale.charge_later()

    assert processor_calls == []


def test_a_new_object_is_saved(customer, queue):
    charge = StripeCharge(
        user=customer.user, amount=1000, is_manual_charge=True, charge_attempt_failed=True
    )

    charge.charge_later()

    assert processor_calls == [(charge.pk, True)]
    assert list(StripeCharge.objects.pending()) == [charge]


def test_unsaved_changes_are_saved(charge, fake):
    charge.amount, charge.description = 700, "seven"

    charge.charge_later()
    charge_pending()

    [intent] = paid(fake)
    assert (intent["amount_received"], intent["description"]) == (700, "seven")


def test_an_amount_that_is_not_whole_is_refused(charge, queue):
    charge.amount = 99.99

    with transaction.atomic(), pytest.raises(StripeMoneyError):
        charge.charge_later()

    assert row_of(charge).amount == 1000
    assert processor_calls == []


def test_an_old_object_changes_nothing_else(charge):
    stale = row_of(charge)
    charge.comment = "edited meanwhile"
    charge.save()

    stale.charge_later()

    assert row_of(charge).comment == "edited meanwhile"


def test_the_object_has_nothing_left_to_save(charge):
    charge.comment = "seen"

    charge.charge_later()

    assert charge.changed_fields() == set()
    assert (charge.comment, charge.updated) == (row_of(charge).comment, row_of(charge).updated)


def test_it_takes_one_statement(charge, customer, queue):
    charge.amount = 700
    with CaptureQueriesContext(connection) as saved:
        charge.charge_later()
    with CaptureQueriesContext(connection) as new:
        StripeCharge(user=customer.user, amount=1000).charge_later()

    assert [sql.split()[0] for sql in statements(saved)] == ["UPDATE"]
    assert [sql.split()[0] for sql in statements(new)] == ["INSERT"]


def test_nothing_is_read_from_a_replica(charge, settings):
    settings.STRIPE_CHARGE_PROCESSOR = charge_one
    stale = row_of(charge)

    with lagging_replica():
        charge.charge_later()
        with pytest.raises(StripeMethodNotAllowed):
            stale.charge_later()

    assert row_of(charge).is_charged


# A row that another process is collecting


def test_the_claim_of_another_process_is_kept(charge, queue):
    hold(charge)

    charge.charge_later()

    row = row_of(charge)
    assert row.claim == "of-another-process"
    assert charge_one(row.pk).done == {}


@pytest.mark.parametrize("endpoint", [CREATE, CONFIRM])
def test_a_charge_that_is_just_being_collected_is_paid_once(charge, fake, sent_signals, endpoint):
    when_done(fake, endpoint, row_of(charge).charge_later)

    assert charge.charge() is not None

    charge_pending()
    assert len(paid(fake)) == 1
    assert sent_signals == ["succeeded"]


def test_a_failed_charge_that_is_just_being_collected_is_paid_once(declined, fake, sent_signals):
    declined.charge()
    payer_of(declined).add_new_source("tok_visa")
    when_done(fake, "GET /v1/payment_intents/*", row_of(declined).charge_later)
    before(fake, CONFIRM, row_of(declined).charge_later)

    row_of(declined).charge()

    charge_pending()
    assert len(paid(fake)) == 1
    assert sent_signals == ["card_exception", "succeeded"]


def test_a_decline_that_another_process_is_about_to_record_is_the_result(
    declined, fake, sent_signals
):
    when_done(fake, CONFIRM, row_of(declined).charge_later)

    declined.charge()

    assert row_of(declined).charge_attempt_failed
    assert charge_pending().done == {}
    assert sent_signals == ["card_exception"]


def test_the_amount_that_is_saved_while_another_process_collects_is_the_one_that_is_paid(
    charge, fake
):
    other = row_of(charge)
    other.amount = 700
    when_done(fake, CREATE, other.charge_later)

    charge.charge()

    [intent] = paid(fake)
    assert intent["amount_received"] == row_of(charge).amount == 700


def test_a_charge_whose_process_died_is_settled_first(charge, fake):
    lose_response(fake, charge)
    let_holder_die(charge)

    row_of(charge).charge_later()

    assert dict(charge_pending().done) == {"collected": 1}
    assert len(paid(fake)) == 1


# The message


@pytest.mark.parametrize("named", [processor, f"{__name__}.processor"], ids=["function", "path"])
def test_a_function_is_called_with_the_key_of_a_committed_charge(charge, settings, named):
    settings.STRIPE_CHARGE_PROCESSOR = named

    with transaction.atomic():
        charge.charge_later()
        assert processor_calls == []

    assert processor_calls == [(charge.pk, True)]


def test_no_function_is_called_after_a_rollback(declined, queue):
    declined.charge()

    with transaction.atomic():
        row_of(declined).charge_later()
        transaction.set_rollback(True)

    assert processor_calls == []
    assert row_of(declined).charge_attempt_failed


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (failing_processor, "The broker is away."),
        (f"{__name__}.failing_processor", "The broker is away."),
        (f"{__name__}.no_such_function", "does not define"),
        ("no path", "doesn't look like a module path"),
        (None, "NoneType"),
    ],
)
def test_a_charge_that_cannot_be_enqueued_is_collected_by_cron(
    charge, settings, caplog, named, reason
):
    settings.STRIPE_CHARGE_PROCESSOR = named

    charge.charge_later()

    assert f"Charge {charge.pk} is due, but could not be enqueued." in caplog.text
    assert reason in caplog.text
    assert dict(charge_pending().done) == {"collected": 1}


# The worker


def test_a_worker_collects_one_charge(charge, customer, fake):
    other = make_charge(customer)

    report = charge_one(charge.pk)

    assert dict(report.done) == {"collected": 1}
    assert report.amounts == {("collected", "usd"): 1000}
    assert (row_of(charge).is_charged, row_of(other).is_charged) == (True, False)


def test_a_worker_costs_a_known_number_of_statements(charge):
    with CaptureQueriesContext(connection) as captured:
        charge_one(charge.pk)
    with CaptureQueriesContext(connection) as repeated:
        charge_one(charge.pk)

    # The claim, the row, the customer, the renewed claim with the intent, the
    # success. A row that cannot be claimed: one without a claim, and one of a dead holder.
    assert (len(captured), len(repeated)) == (5, 2)


def test_a_message_that_is_delivered_twice_is_paid_once(charge, fake, sent_signals):
    reports = [charge_one(charge.pk) for _ in range(2)]

    assert [dict(report.done) for report in reports] == [{"collected": 1}, {}]
    assert len(paid(fake)) == 1
    assert sent_signals == ["succeeded"]


def test_a_decline_is_recorded_and_not_an_error(declined, caplog):
    report = charge_one(declined.pk)

    assert dict(report.done) == {"declined": 1}
    assert row_of(declined).charge_attempt_failed
    assert report.failed == []
    assert caplog.text == ""


def charged_meanwhile(charge):
    charge.charge()


def failed_meanwhile(charge):
    StripeCharge.objects.update(charge_attempt_failed=True)


def deleted_meanwhile(charge):
    StripeCharge.objects.filter(pk=charge.pk).delete()


@pytest.mark.parametrize(
    "act", [charged_meanwhile, failed_meanwhile, deleted_meanwhile, hold, postpone]
)
def test_a_message_that_is_out_of_date_does_nothing(charge, fake, caplog, act):
    key = charge.pk
    act(charge)
    fake.requests.clear()

    report = charge_one(key)

    assert (dict(report.done), dict(report.skipped), report.failed) == ({}, {}, [])
    assert fake.requests == []
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("fields", "reason"), [({"amount": None}, "no amount"), ({}, "no active customer")]
)
def test_a_charge_that_cannot_be_collected_yet_stays_due(charge, fields, reason):
    StripeCharge.objects.update(**fields)
    if not fields:
        charge.user.stripe_customers.update(is_active=False)

    report = charge_one(charge.pk)

    assert dict(report.skipped) == {reason: 1}
    assert list(StripeCharge.objects.pending()) == [charge]


def test_an_error_is_logged_and_the_row_waits(charge, fake, caplog):
    fake.fail_next(CREATE, Fault.ERROR_500_BEFORE)

    report = charge_one(charge.pk)

    [failure] = report.failed
    assert failure.label == f"Charge id: {charge.pk}"
    assert f"Exception happened. Charge id: {charge.pk}" in caplog.text
    assert "StripeInternalError" in caplog.text
    assert row_of(charge).retry_at is not None
    assert charge_one(charge.pk).failed == []


def test_a_worker_does_not_pay_inside_a_transaction(charge):
    with transaction.atomic(), pytest.raises(StripeInTransaction):
        charge_one(charge.pk)


def test_one_process_keeps_to_one_rate_in_all_its_tasks(customer, fake, settings, turns):
    settings.STRIPE_REQUESTS_PER_SECOND = 7
    for charge in [make_charge(customer) for _ in range(3)]:
        charge_one(charge.pk)

    assert len(paid(fake)) == 3
    assert len(turns) == 6  # two requests a charge
    assert len({id(pace) for pace in turns}) == 1


def test_a_changed_rate_counts_from_the_next_task_on(customer, settings, turns):
    for rate in (7, 8):
        settings.STRIPE_REQUESTS_PER_SECOND = rate
        charge_one(make_charge(customer).pk)

    assert len({id(pace) for pace in turns}) == 2


# Expressions


def test_an_expression_is_applied_once(charge):
    charge.amount = F("amount") + 100
    charge.charge_later()

    charge.charge_later()

    assert charge.amount == row_of(charge).amount == 1100


def test_an_amount_may_be_that_of_another_column(charge):
    charge.amount = F("amount_refunded")

    charge.charge_later()

    assert row_of(charge).amount == 0
