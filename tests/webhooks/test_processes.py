"""Real processes on the test database: killed while they work, or two at once."""

from __future__ import annotations

import subprocess
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from aa_stripe.exceptions import StripeWebhookInProgress
from aa_stripe.jobs import process_webhooks, receive
from aa_stripe.models import StripeWebhook
from tests.support.processes import KILLED, TIMEOUT
from tests.support.rows import row_of
from tests.webhooks.effects import TYPE, effects_of, end_claims, make_due, make_event, write_effect

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def made():
    return make_event()


@pytest.fixture
def stored(made):
    """The row of the event, which was tried once."""
    webhook = StripeWebhook(id=made["id"], raw_data=made, attempts=1)
    webhook.store()
    return webhook


@pytest.fixture
def start(start_module):
    """A function that starts ``tests.webhooks.child``; ``run`` then lets it work."""

    def start(what, id, how="wait"):
        return start_module("tests.webhooks.child", what, id, how, stdin=subprocess.PIPE)

    return start


def run(*children):
    """Start all processes at the same moment; return the output of each."""
    for child in children:
        assert child.stdout.readline() == "ready\n", child.stdout.read()
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    return [child.communicate(timeout=TIMEOUT)[0].strip() for child in children]


@pytest.mark.parametrize("what", ["create", "receive"])
def test_a_new_event_that_kills_its_process_is_stored_and_retried_later(made, start, what):
    child = start(what, made["id"], "die")

    run(child)

    row = StripeWebhook.objects.get(pk=made["id"])
    assert child.returncode == KILLED
    assert (row.is_parsed, row.attempts, row.parse_error) == (False, 1, "")
    assert timedelta() < row.retry_at - timezone.now() <= timedelta(minutes=1)
    assert list(StripeWebhook.objects.all().due()) == []
    assert effects_of(row) == []


@pytest.mark.parametrize("what", ["parse", "retry"])
def test_an_attempt_that_kills_its_process_is_counted_and_retried_later(stored, start, what):
    child = start(what, stored.pk, "die")

    run(child)

    row = row_of(stored)
    assert child.returncode == KILLED
    assert (row.is_parsed, row.attempts) == (False, 2)
    assert timedelta(minutes=1) < row.retry_at - timezone.now() <= timedelta(minutes=2)
    assert effects_of(row) == []


def test_an_event_that_killed_a_process_is_applied_once_when_it_is_due(made, start, on):
    run(start("receive", made["id"], "die"))
    on(TYPE)(write_effect)
    webhook = StripeWebhook.objects.get(pk=made["id"])
    process_webhooks()
    StripeWebhook.objects.update(retry_at=None)
    process_webhooks()
    assert effects_of(webhook) == []  # the claim has not ended
    make_due(webhook)

    process_webhooks()
    process_webhooks()

    row = row_of(webhook)
    assert (row.is_parsed, row.attempts, row.retry_at) == (True, 2, None)
    assert effects_of(webhook) == ["handler"]


def test_an_event_that_killed_a_process_is_applied_when_it_is_redelivered(made, start, on):
    run(start("receive", made["id"], "die"))
    on(TYPE)(write_effect)
    with pytest.raises(StripeWebhookInProgress):
        receive(made)
    end_claims()

    received = receive(made)

    row = row_of(received.webhook)
    assert not received.is_new
    assert row.is_parsed
    assert effects_of(row) == ["handler"]


def test_two_processes_that_receive_one_event_apply_it_once(made, start):
    children = [start("receive", made["id"]) for _ in range(2)]

    output = run(*children)

    [row] = StripeWebhook.objects.all()
    refused = sum(child.returncode for child in children)
    # SQLite has one writer at a time: there the second process waits for the first one's handler,
    # unless it comes before that.
    assert refused in ((0, 1) if connection.vendor == "sqlite" else (1,)), output
    assert "".join(output).count("StripeWebhookInProgress: ") == refused
    assert (row.is_parsed, row.parse_error, row.retry_at) == (True, "", None)
    assert effects_of(row) == ["handler"]


def test_if_two_processes_retry_an_event_one_applies_it(stored, start):
    children = [start("retry", stored.pk) for _ in range(2)]

    output = run(*children)

    row = row_of(stored)
    assert [child.returncode for child in children] == [0, 0], output
    assert sorted(output) == ["False", "True"]
    assert (row.is_parsed, row.attempts) == (True, 2)
    assert effects_of(row) == ["handler"]


def test_if_two_processes_parse_an_event_one_raises_already_parsed(stored, start):
    children = [start("parse", stored.pk) for _ in range(2)]

    output = run(*children)

    row = row_of(stored)
    assert sorted(child.returncode for child in children) == [0, 1], output
    assert "".join(output).count("StripeWebhookAlreadyParsed: ") == 1
    assert (row.is_parsed, row.parse_error) == (True, "")
    assert effects_of(row) == ["handler"]
