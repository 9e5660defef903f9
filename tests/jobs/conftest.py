"""The commands as cron runs them, and handlers for the tests of events."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command

from tests.support.builders import make_customer


@pytest.fixture(autouse=True)
def without_rate_limit(settings):
    """A rate so high that no request waits, except in the tests of the pace."""
    settings.STRIPE_REQUESTS_PER_SECOND = 1_000_000


@pytest.fixture
def customer(db, fake):
    """A customer with a valid card; the requests that created it are not in ``fake.requests``."""
    customer = make_customer()
    fake.requests.clear()
    return customer


@dataclass
class Ran:
    """The result of a command: its exit status and its output."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def run():
    """``run("charge_stripe", "--limit", "3")`` runs it in this process, without a terminal."""

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
    """The ids of the events that a handler was called with, in the order of the calls."""
    called = []

    @on("topup.*")
    def note(webhook):
        called.append(webhook.pk)

    return called


@pytest.fixture
def failing(on):
    """Ids of the events for which a handler fails, after it has written to the database."""
    ids = set()

    @on("topup.*")
    def fail(webhook):
        Group.objects.create(name=f"about {webhook.pk}")
        if webhook.pk in ids:
            raise RuntimeError(f"{webhook.pk} cannot be handled.")

    return ids
