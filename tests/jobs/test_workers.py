"""Several threads of one run work on its rows, each with its own database connections."""

from __future__ import annotations

import signal
import threading

import pytest
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction
from django.db.backends.signals import connection_created

from aa_stripe import gateway
from aa_stripe.jobs import Outcome, Watcher, charge_pending
from aa_stripe.jobs import crew as crew_module
from aa_stripe.jobs.crew import Alone, Crew, crew_of
from aa_stripe.jobs.run import Run
from aa_stripe.models import StripeCharge
from aa_stripe.models.rows import in_order, oldest_first
from aa_stripe.testing import Fault
from tests.jobs.test_processes import at_confirmation
from tests.support.builders import make_charge, make_customer
from tests.support.claims import hold
from tests.support.payments import CONFIRM, CREATE, paid
from tests.support.processes import TIMEOUT
from tests.support.requests import endpoint_of, requests_to
from tests.support.waiting import wait_until


@pytest.fixture
def customer(transactional_db, fake):
    return make_customer()


@pytest.fixture
def charges(customer):
    """Twelve pending charges of 10, 11, 12... dollars."""
    return [make_charge(customer, amount=1000 + 100 * number) for number in range(12)]


@pytest.fixture
def opened():
    """The database connections that threads have opened during the test."""
    opened = []

    def note(sender, connection, **kwargs):
        if threading.current_thread() is not threading.main_thread():
            opened.append(connection)

    connection_created.connect(note)
    yield opened
    connection_created.disconnect(note)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


class Gate:
    """Holds requests to an endpoint until ``number`` of them are sent at the same time."""

    def __init__(self, fake, endpoint, number):
        self.endpoint = endpoint
        self.barrier = threading.Barrier(number, timeout=TIMEOUT)
        fake.before_request.append(self.hold)

    def hold(self, request):
        if endpoint_of(request) == self.endpoint:
            self.barrier.wait()


def pending():
    return StripeCharge.objects.pending().count()


# The work


@pytest.mark.parametrize("workers", [1, 3, 20])
def test_each_charge_is_collected_once(charges, fake, workers):
    report = charge_pending(workers=workers)

    assert report.done == {"collected": 12}
    assert report.amounts == {("collected", "usd"): sum(it.amount for it in charges)}
    assert (report.failed, report.stopped) == ([], "")
    assert len(paid(fake)) == len(requests_to(fake, CONFIRM)) == 12
    assert pending() == 0


def test_as_many_charges_are_in_progress_as_there_are_workers(charges, fake):
    Gate(fake, CONFIRM, 4)

    assert charge_pending(workers=4).done == {"collected": 12}


def test_signals_and_refunds_of_earlier_runs_are_completed_by_threads(charges, fake):
    for charge in charges[:3]:
        charge.charge()
        fake.fail_next("POST /v1/refunds", Fault.ANSWER_LOST)
        with pytest.raises(Exception, match="Temporary"):
            charge.refund(100)
    StripeCharge.objects.filter(is_charged=True).update(signal_due="succeeded")
    refunds = charges[0].refunds.model.objects
    refunds.update(retry_at=None)

    report = charge_pending(workers=2)

    assert report.done["refunds of an earlier run settled"] == 3
    assert report.done["collected"] == 9
    assert set(refunds.values_list("status", flat=True)) == {"succeeded"}


def test_a_failing_row_does_not_stop_the_others(charges, fake, caplog):
    fake.fail_next(CREATE, Fault.ERROR_500_BEFORE, times=2)

    report = charge_pending(workers=3)

    assert report.done == {"collected": 10}
    assert len(report.failed) == len(caplog.records) == 2
    assert pending() == 2


def test_a_row_of_another_process_is_not_reported(charges):
    hold(charges[4])

    report = charge_pending(workers=3)

    assert report.done == {"collected": 11}
    assert not report.skipped
    assert not report.failed


def test_two_runs_with_workers_report_each_charge_once(charges, fake):
    reports = []
    Gate(fake, CREATE, 4)
    runs = [
        threading.Thread(target=lambda: reports.append(run_in_thread(workers=2))) for _ in range(2)
    ]

    for run in runs:
        run.start()
    for run in runs:
        run.join(TIMEOUT)

    assert sum(report.done["collected"] for report in reports) == 12
    assert [report.failed for report in reports] == [[], []]
    assert len(paid(fake)) == 12


def run_in_thread(**options):
    try:
        return charge_pending(**options)
    finally:
        connection.close()


def test_the_rate_limits_the_requests_of_all_threads(charges, fake):
    turns = []
    fake.requests.clear()

    with gateway.before_each_request(lambda: turns.append(threading.current_thread())):
        charge_pending(workers=3)

    assert len(turns) == len(fake.requests) == 24
    assert threading.current_thread() not in turns


# Who works


def kind_of_crew(workers):
    return type(crew_of(workers, print, "default"))


def test_there_are_four_workers_by_default_but_one_on_sqlite(transactional_db):
    crew = crew_of(None, print, "default")

    assert crew.size == (1 if connection.vendor == "sqlite" else 4)


def test_one_worker_is_the_calling_thread(transactional_db):
    assert kind_of_crew(1) is Alone
    assert kind_of_crew(2) is Crew


def test_inside_a_transaction_the_calling_thread_works_alone(transactional_db):
    with transaction.atomic():
        assert kind_of_crew(3) is Alone


def test_without_autocommit_the_calling_thread_works_alone(transactional_db):
    transaction.set_autocommit(False)
    try:
        assert kind_of_crew(3) is Alone
    finally:
        transaction.set_autocommit(True)


@pytest.mark.django_db
def test_inside_a_test_case_rows_are_collected_without_threads(fake, opened):
    make_charge(make_customer())

    assert charge_pending(workers=3).done == {"collected": 1}
    assert opened == []


def test_no_thread_starts_without_rows(customer, opened):
    charge_pending(workers=3)

    assert opened == []


def test_no_more_threads_start_than_there_are_rows(customer, opened):
    for _ in range(2):
        make_charge(customer)

    charge_pending(workers=20)

    assert 1 <= len(opened) <= 2


@pytest.mark.parametrize("workers", [0, -1, 1.5, "4", True])
def test_another_number_of_workers_is_rejected(transactional_db, workers):
    with pytest.raises(ValueError, match="workers must be a whole number of at least 1"):
        charge_pending(workers=workers)


def test_the_command_rejects_no_workers(db, run):
    with pytest.raises(Exception, match=r"--workers must be at least 1 \(got 0\)"):
        run("charge_stripe", "--workers", "0")


def test_the_command_has_the_option(charges, fake, run):
    Gate(fake, CONFIRM, 3)

    ran = run("charge_stripe", "--workers", "3")

    assert ran.stdout == "collected: 12 (186.00 USD)\n"
    assert ran.status == 0


# The connections


def test_the_connections_are_closed(charges, opened):
    charge_pending(workers=3)

    assert len(opened) == 3
    assert [it.connection for it in opened] == [None] * 3


def test_the_connections_are_closed_when_the_run_ends_with_an_error(charges, opened):
    class Broken(Watcher):
        def saw(self, label, outcome):
            raise RuntimeError("The watcher is broken.")

    with pytest.raises(RuntimeError, match="The watcher is broken"):
        charge_pending(workers=3, watcher=Broken())

    assert opened
    assert {it.connection for it in opened} == {None}


@pytest.mark.parametrize("order", [in_order, oldest_first])
def test_the_run_goes_on_when_the_database_has_ended_its_own_connection(
    charges, monkeypatch, order
):
    used, lost = [], []

    def act(key):
        if not used:
            used.append(key)
            raise OperationalError("terminating connection due to administrator command")
        return Outcome(done="seen")

    def is_usable():
        lost.append(connection.connection)
        return False

    run = Run(None, workers=2)
    monkeypatch.setattr(connection, "is_usable", is_usable)
    run.each("Charges", "Charge", StripeCharge.objects.all(), act, order=order)

    assert run.report.done == {"seen": 11}
    assert len(lost) == 1
    assert connection.connection is not lost[0]


def test_a_worker_that_cannot_connect_ends_the_run_and_fails_no_row(charges, fake, monkeypatch):
    class NoConnection(threading.local):
        def ensure_connection(self):
            raise OperationalError("too many clients already")

    def no_connection(handler, alias):
        is_owner = threading.current_thread() is threading.main_thread()
        return original(handler, alias) if is_owner else NoConnection()

    original = type(connections).__getitem__
    monkeypatch.setattr(type(connections), "__getitem__", no_connection)

    with pytest.raises(OperationalError, match="too many clients"):
        charge_pending(workers=3)

    assert requests_to(fake, CREATE) == []
    assert pending() == len(charges)


# The limit


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 12, 30])
@pytest.mark.parametrize("workers", [1, 3])
def test_the_limit_is_exact(charges, fake, limit, workers):
    report = charge_pending(limit=limit, workers=workers)

    assert report.done == {"collected": min(limit, 12)}
    assert len(requests_to(fake, CREATE)) == min(limit, 12)


def test_skipped_rows_do_not_count_towards_the_limit(charges):
    StripeCharge.objects.filter(pk__in=[it.pk for it in charges[:6]]).update(amount=None)
    hold(charges[6])

    report = charge_pending(limit=4, workers=3)

    assert report.done == {"collected": 4}
    assert report.skipped == {"no amount": 6}


def test_failing_rows_count_towards_the_limit(charges, fake):
    fake.fail_next(CREATE, Fault.ERROR_500_BEFORE, times=2)

    report = charge_pending(limit=4, workers=3)

    assert len(report.failed) == 2
    assert report.done == {"collected": 2}


# The end


class StopsAfter(Watcher):
    """Ends the run when it has seen ``number`` rows."""

    def __init__(self, number):
        self.number, self.seen = number, []

    def saw(self, label, outcome):
        assert threading.current_thread() is threading.main_thread()
        self.seen.append(label)
        if len(self.seen) == self.number:
            self.stop_reason = "seen enough"


def test_a_run_that_is_stopped_finishes_the_rows_in_progress(charges, fake):
    watcher = StopsAfter(4)

    report = charge_pending(workers=3, watcher=watcher)

    assert report.stopped == "seen enough"
    # The workers were given one more row each, but for the one whose row was the fourth.
    assert report.done == {"collected": 6}
    assert len(watcher.seen) == 6
    assert pending() == 6
    assert not StripeCharge.objects.exclude(claim="").exists()


def test_a_run_is_not_called_stopped_after_its_last_row(charges):
    report = charge_pending(workers=3, watcher=StopsAfter(12))

    assert (report.done, report.stopped) == ({"collected": 12}, "")


def test_ten_rows_in_a_row_without_a_response_end_the_run(customer, fake):
    for _ in range(30):
        make_charge(customer)
    fake.fail_next(CREATE, Fault.REQUEST_LOST, times=None)

    report = charge_pending(workers=3)

    assert report.stopped.startswith("Stripe could not be reached 1")
    assert 10 <= len(report.failed) <= 12
    assert len(requests_to(fake, CREATE)) == len(report.failed)


@pytest.mark.parametrize("fault", [Fault.RATE_LIMITED, Fault.REQUEST_LOST])
def test_a_short_outage_that_all_workers_meet_does_not_end_the_run(customer, fake, fault):
    for _ in range(40):
        make_charge(customer)
    fake.fail_next(CREATE, fault, times=12)

    report = charge_pending(workers=12, rate=10_000)

    assert report.stopped == ""
    assert report.done == {"collected": 28}


def test_an_error_of_the_iterator_ends_the_run_after_the_rows_in_progress(charges, caplog):
    def order(rows):
        for row in rows[:2]:
            yield (row.pk,)
        raise OperationalError("The database is away.")

    def act(key):
        raise ValueError(f"{key} cannot be collected.")

    run = Run(None, workers=3)
    with pytest.raises(OperationalError, match="The database is away"):
        run.each("Charges", "Charge", StripeCharge.objects.order_by("pk"), act, order=order)

    assert len(run.report.failed) == len(caplog.records) == 2


def test_an_interrupt_while_waiting_ends_the_threads(charges, fake):
    interrupted = threading.Event()

    class Interrupted(Watcher):
        def saw(self, label, outcome):
            if not interrupted.is_set():
                interrupted.set()
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        charge_pending(workers=3, watcher=Interrupted())

    assert 1 <= len(paid(fake)) <= 4
    assert len(paid(fake)) == 12 - pending()


@pytest.mark.parametrize("workers", [1, 3])
def test_an_exit_in_a_row_ends_the_run_and_what_was_done_is_reported(charges, workers):
    handled = []

    def act(key):
        if key == charges[3].pk:
            raise SystemExit(3)
        handled.append(key)
        return Outcome(done="seen")

    run = Run(None, workers=workers)
    with pytest.raises(SystemExit):
        run.each("Charges", "Charge", StripeCharge.objects.all(), act)

    assert run.report.done["seen"] == len(handled)


def test_an_exit_in_one_of_the_last_rows_leaves_no_other_row_out(charges):
    first, second = charges[:2]
    has_exited = threading.Event()

    def act(key):
        if key == first.pk:
            has_exited.set()
            raise SystemExit(3)
        assert has_exited.wait(TIMEOUT)
        return Outcome(done="seen")

    run = Run(None, workers=3)
    with pytest.raises(SystemExit):
        run.each("Charges", "Charge", StripeCharge.objects.filter(pk__lte=second.pk), act)

    assert run.report.done["seen"] == 1


def test_rows_are_not_listed_ahead_of_the_workers(charges):
    listed, handled, most_ahead = [], [], []

    def order(rows):
        for row in rows:
            listed.append(row.pk)
            most_ahead.append(len(listed) - len(handled))
            yield (row.pk,)

    def act(key):
        handled.append(key)
        return Outcome(done="seen")

    run = Run(None, workers=3)
    run.each("Charges", "Charge", StripeCharge.objects.all(), act, order=order)

    assert max(most_ahead) <= 3
    assert sorted(handled) == [it.pk for it in charges]


@pytest.mark.parametrize("moment", ["start", "join"])
def test_an_interrupt_elsewhere_does_not_keep_the_threads(monkeypatch, moment):
    """Interrupt the owner between the start of a thread and its entry, or while it waits."""
    started = []

    class Interrupted(threading.Thread):
        def start(self):
            super().start()
            started.append(self)
            if moment == "start":
                raise KeyboardInterrupt

        def join(self, timeout=None):
            if moment == "join" and self is started[0]:
                raise KeyboardInterrupt
            super().join(timeout)

    monkeypatch.setattr(crew_module.threading, "Thread", Interrupted)

    def give_two():
        with Crew(2, str, DEFAULT_DB_ALIAS) as crew:
            crew.give(1)
            crew.give(2)

    with pytest.raises(KeyboardInterrupt):
        give_two()

    wait_until(lambda: not any(it.is_alive() for it in started))


# Signals


@pytest.fixture
def start(start_module, served):
    environment = {"DJANGO_SETTINGS_MODULE": "tests.jobs.served", "SERVED_STRIPE": served.url}

    def start(*words):
        return start_module("django", *words, env=environment)

    return start


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_the_charges_in_progress(charges, fake, start, number):
    children = []
    gate = Gate(fake, CONFIRM, 3)
    at_confirmation(fake, 3, lambda: children[0].send_signal(number))

    def open_gate(request, response):
        gate.endpoint = None

    fake.after_request.append(open_gate)
    children.append(start("charge_stripe", "--workers", "3"))

    stdout, _ = children[0].communicate(timeout=TIMEOUT)

    assert f"Stopped early: received {number.name}.\n" in stdout
    assert children[0].returncode == 128 + number
    assert f"collected: {len(paid(fake))} " in stdout
    assert len(paid(fake)) == 12 - pending() < 12
    assert not StripeCharge.objects.exclude(claim="").exists()
