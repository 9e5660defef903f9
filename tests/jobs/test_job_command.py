"""The common behaviour of the commands that run a job, in this process."""

from __future__ import annotations

import io
import math
import re
import signal
import threading
from contextlib import suppress
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from aa_stripe.jobs import Outcome, Report, Watcher, charge_pending
from aa_stripe.jobs.run import Run
from aa_stripe.management.job_command import JobCommand, length_of_time
from aa_stripe.models import StripeCharge
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.terminal import Terminal

pytestmark = pytest.mark.django_db


class SendsSignal(JobCommand):
    """A command that reports why it has to stop. Its ``rate`` is the signal that it raises."""

    def run_job(self, options, watcher):
        signal.raise_signal(options["rate"])
        return Report(stopped=watcher.stop_reason)


def test_a_job_command_needs_a_job():
    with pytest.raises(NotImplementedError):
        call_command(JobCommand())


@pytest.fixture
def charges(fake):
    """In this order: one collected, one declined, one without a customer, one that fails."""
    charges = [
        make_charge(make_customer()),
        make_charge(make_customer(card="tok_chargeCustomerFail")),
        StripeCharge.objects.create(user=make_user(), amount=100),
        make_charge(make_customer()),
    ]
    fail_third_creation(fake)
    return charges


def fail_third_creation(fake):
    seen = []

    def hook(request):
        if request.path == "/v1/payment_intents":
            seen.append(request)
            if len(seen) == 3:
                fake.fail_next("POST /v1/payment_intents", Fault.ERROR_500_BEFORE)

    fake.before_request.append(hook)


def test_verbosity_2_lists_the_rows(charges, run):
    collected, declined, skipped, failed = charges

    ran = run("charge_stripe", verbosity=2)

    assert ran.stdout.splitlines()[:7] == [
        f"Charge id: {collected.pk}: collected, 10.00 USD",
        f"Charge id: {declined.pk}: declined",
        f"Charge id: {skipped.pk}: no active customer",
        f"Charge id: {failed.pk}: failed: Temporary Stripe API error",
        "collected: 1 (10.00 USD)",
        "declined: 1",
        "skipped (no active customer): 1",
    ]


def test_verbosity_0_prints_failures_only(charges, run):
    ran = run("charge_stripe", verbosity=0)

    assert ran.status == 1
    assert ran.stdout.startswith("Exception happened\nCharge id: ")
    assert "collected" not in ran.stdout


def test_verbosity_0_prints_nothing_without_failures(fake, run):
    make_charge(make_customer())

    ran = run("charge_stripe", verbosity=0)

    assert (ran.status, ran.stdout, ran.stderr) == (0, "", "")
    assert StripeCharge.objects.get().is_charged


@pytest.mark.parametrize("command", ["charge_stripe", "process_webhooks", "refresh_customers"])
def test_without_a_terminal_a_run_without_failures_prints_nothing(fake, command, capsys):
    make_charge(make_customer())

    call_command(command)

    assert capsys.readouterr() == ("", "")


def test_a_caller_that_reads_the_output_gets_the_report(fake):
    make_charge(make_customer())
    stdout = io.StringIO()

    call_command("charge_stripe", stdout=stdout)

    assert stdout.getvalue() == "collected: 1 (10.00 USD)\n"


@pytest.mark.parametrize("options", [{"verbosity": 2}, {"dry_run": True}])
def test_without_a_terminal_the_report_can_be_requested(fake, options, capsys):
    make_charge(make_customer())

    call_command("charge_stripe", **options)

    assert "collected: 1" in capsys.readouterr().out


def test_without_a_terminal_a_run_with_failures_prints_the_report(charges, capsys):
    with pytest.raises(SystemExit):
        call_command("charge_stripe")

    stdout = capsys.readouterr().out
    assert stdout.startswith("collected: 1 (10.00 USD)\n")
    assert stdout.endswith("failed: 1\n")


def test_a_terminal_shows_a_bar_only_for_steps_that_have_rows(fake):
    make_charge(make_customer())
    terminal = Terminal()

    call_command("charge_stripe", stdout=io.StringIO(), stderr=terminal)

    assert "Charges: 100%" in terminal.getvalue()
    assert "Refunds" not in terminal.getvalue()


@pytest.mark.parametrize("verbosity", [0, 2])
def test_other_verbosities_show_no_bar(fake, verbosity):
    make_charge(make_customer())
    terminal = Terminal()

    call_command("charge_stripe", verbosity=verbosity, stdout=io.StringIO(), stderr=terminal)

    assert terminal.getvalue() == ""


class Counts(JobCommand):
    """A command that processes three things, which may all fail, and prints a conclusion."""

    stealth_options = ("total", "error")

    def run_job(self, options, watcher):
        run = Run(watcher)
        with run.counting("Things", lambda: options["total"]):
            for number in range(3):
                run.note(f"Thing {number}", Outcome(done="seen", error=options["error"]))
        return run.report

    def conclude(self, report, options):
        self.stdout.write(f"That was all: {report.done['seen']}.")


def count(total=None, error=None):
    """Return what ``Counts`` writes to its standard output and to the terminal."""
    stdout, terminal = io.StringIO(), Terminal()
    with suppress(SystemExit):
        call_command(Counts(), stdout=stdout, stderr=terminal, total=total, error=error)
    return stdout.getvalue(), terminal.getvalue()


def test_a_bar_without_a_total_shows_how_many_are_done():
    _, seen = count()

    assert "Things: 3it [" in seen
    assert "%" not in seen
    assert seen.endswith("\n")


def test_a_bar_with_a_total_of_0_is_not_shown():
    _, seen = count(total=0)

    assert seen == ""


def test_the_conclusion_is_printed_after_the_report():
    stdout, _ = count()

    assert stdout == "seen: 3\nThat was all: 3.\n"


def test_the_conclusion_is_printed_after_failures_too():
    stdout, _ = count(error=RuntimeError("No."))

    assert stdout.startswith("seen: 3\nException happened\nThing 0\n")
    assert stdout.endswith("failed: 3\nThat was all: 3.\n")


# Lengths of time


@pytest.mark.parametrize(
    ("number", "unit", "length"),
    [
        (None, timedelta(days=1), None),
        (0, timedelta(days=1), timedelta(0)),
        (1.5, timedelta(days=1), timedelta(hours=36)),
        (300, timedelta(seconds=1), timedelta(minutes=5)),
    ],
)
def test_a_length_of_time_is_a_number_of_its_unit(number, unit, length):
    assert length_of_time("--since", number, unit) == length


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e300, -1, -0.001, 1_000_000])
def test_an_invalid_length_of_time_is_rejected(number):
    got = re.escape(str(number))
    with pytest.raises(CommandError, match=rf"^--since must .* \(got {got}\)\.$"):
        length_of_time("--since", number, timedelta(days=1))


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_signal_handlers_are_restored_after_a_signal(number):
    before = signal.getsignal(number)

    with pytest.raises(SystemExit) as exit:
        call_command(SendsSignal(), rate=number, stdout=io.StringIO())

    assert exit.value.code == 128 + number
    assert signal.getsignal(number) is before


def test_the_signal_handlers_are_restored_after_a_complete_run(fake, run):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    run("charge_stripe")

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    stdout = io.StringIO()
    try:
        call_command(SendsSignal(), rate=signal.SIGINT, stdout=stdout)
    finally:
        signal.signal(signal.SIGINT, before)

    assert "Stopped" not in stdout.getvalue()


def test_the_command_runs_in_any_thread(fake, run):
    ran = []

    def work():
        ran.append(run("charge_stripe", "--dry-run"))
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert [it.status for it in ran] == [0]


# The jobs without a command


class Observer(Watcher):
    """A watcher that records its calls and stops the run after ``stop_after`` rows."""

    def __init__(self, stop_after):
        self.calls = []
        self.stop_after = stop_after

    @property
    def stop_reason(self):
        rows = [it for it in self.calls if isinstance(it, Outcome)]
        return "enough" if len(rows) == self.stop_after else ""

    def begin(self, title, count):
        self.calls.append((title, count()))

    def saw(self, label, outcome):
        self.calls.append(outcome)

    def end(self):
        self.calls.append("end")


def test_a_watcher_sees_every_step_and_can_stop_the_run(fake):
    customer = make_customer()
    for _ in range(3):
        make_charge(customer)
    observer = Observer(stop_after=2)

    report = charge_pending(watcher=observer)

    collected = Outcome(done="collected", amount=1000, currency="usd")
    assert observer.calls == [
        *[("Signals", 0), "end"],
        *[("Refunds", 0), "end"],
        *[("Charges", 3), collected, collected, "end"],
    ]
    assert report.stopped == "enough"
    assert report.done == {"collected": 2}
    assert report.amounts == {("collected", "usd"): 2000}


def test_a_job_rejects_an_invalid_rate():
    with pytest.raises(ValueError, match="above 0"):
        charge_pending(rate=0)
