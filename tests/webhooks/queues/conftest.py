"""Workers: processes on this test's database, whose Stripe is the fake of this test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from aa_stripe.testing import FakeStripe
from tests.webhooks.effects import TYPE, take_effect
from tests.webhooks.queues import TYPE_THAT_HANGS

TIMEOUT = 60  # seconds


@pytest.fixture
def fake():
    with FakeStripe() as fake, fake.serve() as url:
        fake.url = url
        yield fake


@pytest.fixture
def hanging(tmp_path):
    """The file in which a handler that hangs says so."""
    return tmp_path / "hanging"


@pytest.fixture
def environment(child_environment, fake, hanging):
    return child_environment | {
        "DJANGO_SETTINGS_MODULE": "tests.webhooks.queues.settings",
        "SERVED_STRIPE": fake.url,
        "QUEUES_HANGING": str(hanging),
    }


@pytest.fixture
def start(environment):
    """Start a Python module as a process, with its children in a group of its own."""
    processes = []

    def start(*words, **more):
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            env=environment | more,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        kill(process)


def kill(process):
    """End the process and its children at once."""
    with suppress(ProcessLookupError):  # all are gone already
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(TIMEOUT)


@pytest.fixture
def wait_until():
    """Look until something has become true, for longer than it ever takes."""

    def wait_until(is_true):
        deadline = time.monotonic() + TIMEOUT
        while not is_true():
            assert time.monotonic() < deadline, "It did not happen."
            time.sleep(0.05)

    return wait_until


@pytest.fixture
def handled_here(on):
    """The handlers of this process, for when it applies an event itself."""

    @on(TYPE, TYPE_THAT_HANGS)
    def note(webhook):
        take_effect(webhook, by="here")
