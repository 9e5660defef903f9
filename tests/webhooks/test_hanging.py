"""A handler that hangs in another process: nothing waits for it, and its event is applied once."""

from __future__ import annotations

import subprocess

import pytest
from django.db import connection

from aa_stripe.exceptions import StripeWebhookInProgress
from aa_stripe.jobs import apply_webhook, process_webhooks, receive
from aa_stripe.models import StripeWebhook
from tests.support.processes import TIMEOUT
from tests.webhooks.deliveries import deliver
from tests.webhooks.effects import (
    TYPE,
    effects_of,
    end_claims,
    make_due,
    make_event,
    stored_event,
    write_effect,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor == "sqlite", reason="SQLite is locked while a handler may write."
    ),
]


@pytest.fixture
def made():
    return make_event()


@pytest.fixture
def hanging(made, start_module):
    """A process whose handler hangs after it has written; a line of input wakes it."""
    child = start_module(
        "tests.webhooks.child", "receive", made["id"], "hang", stdin=subprocess.PIPE
    )
    assert child.stdout.readline() == "ready\n", child.stdout.read()
    wake(child)
    assert child.stdout.readline() == "hanging\n", child.stdout.read()
    return child


@pytest.fixture
def handled(on):
    on(TYPE)(write_effect)


def row(made):
    return StripeWebhook.objects.get(pk=made["id"])


def wake(child):
    child.stdin.write("go\n")
    child.stdin.flush()


def test_a_redelivery_is_refused_at_once(client, made, hanging, handled):
    response = deliver(client, made)

    assert (response.status_code, response.json()) == (
        409,
        {"detail": "Another process is applying this event; please send it again later."},
    )
    with pytest.raises(StripeWebhookInProgress):
        receive(made)


def test_a_worker_of_a_queue_passes_the_event_over(made, hanging, handled):
    assert apply_webhook(made["id"]) is False

    assert effects_of(row(made)) == []


def test_the_other_events_are_applied(made, hanging, handled):
    others = [stored_event() for _ in range(3)]
    StripeWebhook.objects.update(retry_at=None)

    report = process_webhooks()

    assert report.done == {"applied": 3}
    assert [effects_of(it) for it in others] == [["handler"]] * 3
    assert not row(made).is_parsed


def test_other_events_are_received(client, made, hanging, handled):
    assert deliver(client, make_event()).status_code == 201


def test_the_event_is_applied_by_another_process_when_the_claim_has_ended(made, hanging, handled):
    make_due(row(made))

    process_webhooks()
    wake(hanging)
    output, _ = hanging.communicate(timeout=TIMEOUT)

    assert row(made).is_parsed
    assert effects_of(row(made)) == ["handler"]
    assert hanging.returncode == 0
    assert output.strip() == "True"  # the event is applied, by the other process


def test_a_process_that_wakes_while_another_one_applies_the_event_reports_it(made, hanging, on):
    outputs = []

    @on(TYPE)
    def wake_the_other(webhook):
        wake(hanging)
        outputs.append(hanging.communicate(timeout=TIMEOUT)[0])
        write_effect(webhook)

    end_claims()

    receive(made)

    assert "StripeWebhookTooSlow: " in outputs[0]
    assert effects_of(row(made)) == ["handler"]


def test_a_process_that_wakes_in_time_applies_the_event(made, hanging):
    wake(hanging)

    output, _ = hanging.communicate(timeout=TIMEOUT)

    assert output.strip() == "True"
    assert effects_of(row(made)) == ["handler"]
