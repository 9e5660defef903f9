"""A fake Stripe, and the commands as cron runs them."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from django.core.management import call_command

from aa_stripe.testing import FakeStripe


@pytest.fixture
def fake():
    with FakeStripe() as fake:
        yield fake


@pytest.fixture(autouse=True)
def unhurried(settings):
    """No test but those of the pace waits for its turn."""
    settings.STRIPE_REQUESTS_PER_SECOND = 1_000_000


@dataclass
class Ran:
    """What a command left behind: its exit status, and what it wrote."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def run():
    """``run("charge_stripe", "--limit", "3")`` in this process, without a terminal."""

    def run(*words, **options):
        stdout, stderr, status = io.StringIO(), io.StringIO(), 0
        try:
            call_command(*words, stdout=stdout, stderr=stderr, **options)
        except SystemExit as exit:
            status = exit.code
        return Ran(status, stdout.getvalue(), stderr.getvalue())

    return run
