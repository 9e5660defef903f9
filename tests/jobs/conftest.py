"""A fake Stripe, and the commands as cron runs them."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command

from tests.support.builders import make_customer


@pytest.fixture(autouse=True)
def unhurried(settings):
    """No test but those of the pace waits for its turn."""
    settings.STRIPE_REQUESTS_PER_SECOND = 1_000_000


@pytest.fixture
def customer(db, fake):
    """A customer with a good card; the requests that made it are forgotten."""
    customer = make_customer()
    fake.requests.clear()
    return customer


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


@pytest.fixture
def applied(on):
    """The ids of the events that a handler was called with, in that order."""
    called = []

    @on("topup.*")
    def note(webhook):
        called.append(webhook.pk)

    return called


@pytest.fixture
def failing(on):
    """Ids of events at which a handler fails, after it has written something."""
    refused = set()

    @on("topup.*")
    def fail(webhook):
        Group.objects.create(name=f"about {webhook.pk}")
        if webhook.pk in refused:
            raise RuntimeError(f"{webhook.pk} cannot be followed.")

    return refused
