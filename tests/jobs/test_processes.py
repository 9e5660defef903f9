"""The commands in separate processes: exit status, progress, and signals to stop."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from contextlib import suppress

import psycopg
import pytest
from django.db import connection

from aa_stripe.models import StripeCharge, StripeCustomer
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.claims import end_all_leases
from tests.support.processes import TIMEOUT

CONFIRMATION = "/confirm"


@pytest.fixture
def customer(transactional_db, fake):
    return make_customer()


@pytest.fixture
def start(start_module, served):
    """``start("charge_stripe")`` starts a command; its output is piped by default."""
    environment = {"DJANGO_SETTINGS_MODULE": "tests.jobs.served", "SERVED_STRIPE": served.url}

    def start(*words, stderr=subprocess.PIPE):
        return start_module("django", *words, stderr=stderr, env=environment)

    return start


def test_without_a_terminal_nothing_is_printed(customer, start):
    make_charge(customer)

    child = start("charge_stripe")

    assert child.communicate(timeout=TIMEOUT) == ("", "")
    assert child.returncode == 0
    assert StripeCharge.objects.get().is_charged


def test_a_failure_makes_the_exit_status_1(customer, fake, start):
    charge = make_charge(customer)
    fake.fail_next("POST /v1/payment_intents", Fault.ERROR_500_BEFORE)

    child = start("charge_stripe", "--verbosity", "0")

    stdout, stderr = child.communicate(timeout=TIMEOUT)
    assert child.returncode == 1
    assert stdout.startswith(f"Exception happened\nCharge id: {charge.pk}\nTraceback ")
    assert f"Exception happened. Charge id: {charge.pk}" in stderr  # the log


def seen_on_terminal(start, *words):
    """Return what the command writes to a terminal as its standard error."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    child = start(*words, stderr=theirs)
    os.close(theirs)
    seen = []

    def read():
        with suppress(OSError):  # the terminal is gone with its last process
            while chunk := os.read(ours, 4096):
                seen.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    child.communicate(timeout=TIMEOUT)
    reader.join(TIMEOUT)
    os.close(ours)
    assert child.returncode == 0
    return b"".join(seen).decode()


def test_a_terminal_shows_progress(customer, start):
    make_charge(customer)

    seen = seen_on_terminal(start, "charge_stripe")

    assert "Charges: 100%" in seen
    assert "1/1" in seen


def at_confirmation(fake, number, act):
    """Run ``act`` when the ``number``-th payment is confirmed, before the response is sent."""
    seen = []

    def hook(request, response):
        if request.path.endswith(CONFIRMATION):
            seen.append(request)
            if len(seen) == number:
                act()

    fake.after_request.append(hook)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_run_after_the_current_row_with_a_report(customer, fake, start, number):
    charges = [make_charge(customer) for _ in range(3)]
    children = []
    at_confirmation(fake, 2, lambda: children[0].send_signal(number))
    children.append(start("charge_stripe", "--workers", "1"))

    stdout, stderr = children[0].communicate(timeout=TIMEOUT)

    assert stdout == f"collected: 2 (20.00 USD)\nStopped early: received {number.name}.\n"
    assert children[0].returncode == 128 + number
    assert list(StripeCharge.objects.pending()) == [charges[2]]
    assert stderr == ""


def test_a_second_signal_stops_at_once(customer, fake, start):
    make_charge(customer)
    children = []

    def send_twice():
        children[0].send_signal(signal.SIGTERM)
        threading.Event().wait(0.3)  # two of the same, sent together, count as one
        children[0].send_signal(signal.SIGTERM)
        children[0].wait(TIMEOUT)

    at_confirmation(fake, 1, send_twice)
    children.append(start("charge_stripe"))

    children[0].communicate(timeout=TIMEOUT)

    assert children[0].returncode == -signal.SIGTERM
    assert list(StripeCharge.objects.pending()) != []
    end_all_leases()
    assert start("charge_stripe").wait(TIMEOUT) == 0
    assert list(StripeCharge.objects.pending()) == []
    assert [it["status"] for it in fake.account.all("payment_intent")] == ["succeeded"]


def test_the_current_customer_is_stored_when_a_signal_stops_the_run(customer, fake, start):
    make_customer()
    StripeCustomer.objects.update(sources=[])
    children = []

    def stop(request, response):
        if request.path.endswith("/payment_methods"):
            children[0].send_signal(signal.SIGTERM)

    fake.after_request.append(stop)
    children.append(start("refresh_customers", "--workers", "1"))

    stdout, _ = children[0].communicate(timeout=TIMEOUT)

    assert stdout == "updated: 1\nStopped early: received SIGTERM.\n"
    assert [len(it.sources) for it in StripeCustomer.objects.all()] == [0, 1]


def test_two_runs_at_once_collect_everything_once(customer, fake, start):
    for _ in range(10):
        make_charge(customer)

    children = [start("charge_stripe") for _ in range(2)]
    for child in children:
        child.communicate(timeout=TIMEOUT)

    assert not StripeCharge.objects.pending().exists()
    paid = [it for it in fake.account.all("payment_intent") if it["status"] == "succeeded"]
    assert len(paid) == 10


@pytest.mark.skipif(connection.vendor != "postgresql", reason="uses pg_terminate_backend")
def test_a_broken_database_connection_fails_one_row_only(customer, fake, start):
    charges = [make_charge(customer) for _ in range(3)]
    own = connection.connection.info.backend_pid
    at_confirmation(fake, 2, lambda: terminate_connections_except(own))

    child = start("charge_stripe", "--workers", "1")

    stdout, _ = child.communicate(timeout=TIMEOUT)
    assert child.returncode == 1
    assert f"Exception happened\nCharge id: {charges[1].pk}\n" in stdout
    assert "OperationalError" in stdout
    assert stdout.endswith("failed: 1\n")
    assert list(StripeCharge.objects.pending()) == [charges[1]]


def terminate_connections_except(own):
    with psycopg.connect(**connection_parameters()) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
            [own],
        )


def connection_parameters():
    wanted = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password"}
    named = {name: connection.settings_dict[key] for key, name in wanted.items()}
    return {**named, "dbname": connection.settings_dict["NAME"]}
