"""Events and charges for real Celery workers, with a real broker and this test's database."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from aa_stripe.contrib import celery as tasks
from aa_stripe.jobs import charge_pending, process_webhooks
from aa_stripe.models import StripeWebhook
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.payments import paid
from tests.support.processes import TIMEOUT, kill_group
from tests.support.rows import row_of
from tests.support.threads import InThread
from tests.support.waiting import wait_until
from tests.webhooks.deliveries import deliver
from tests.webhooks.effects import effects_of, end_claims, make_due, make_event, stored_event
from tests.webhooks.queues import TYPE_THAT_HANGS
from tests.webhooks.queues.broker import QUEUE, Site


def applied(webhook_id):
    return StripeWebhook.objects.get(pk=webhook_id).is_parsed


# Start-up


def test_the_tasks_are_registered_with_the_sites_celery_in_all_threads(environment, site):
    """Start a site and look up the tasks in two threads.

    A worker discards messages of unknown tasks. Without an application, ``current_app`` creates a
    default one, and all threads but the first would use it.
    """
    program = (
        "import django, threading\n"
        "django.setup()\n"
        "from celery import current_app\n"
        "from tests.webhooks.queues.worker import app\n"
        "look = lambda: print('aa_stripe.apply_webhook' in current_app.tasks, current_app == app)\n"
        "look()\n"
        "thread = threading.Thread(target=look)\n"
        "thread.start()\n"
        "thread.join()\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment
        | {"QUEUES_PROCESSOR": "celery", "QUEUES_CELERY": json.dumps(site.settings)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert ran.stdout == "True True\nTrue True\n", ran.stderr


@pytest.mark.parametrize(
    ("events", "charges", "is_imported"),
    [("inline", "celery", True), ("celery", "cron", True), ("inline", "cron", False)],
)
def test_the_tasks_are_imported_if_one_of_the_settings_needs_them(
    environment, events, charges, is_imported
):
    program = (
        "import django, sys\n"
        "django.setup()\n"
        "print('aa_stripe.contrib.celery' in sys.modules, 'celery' in sys.modules)\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"QUEUES_PROCESSOR": events, "QUEUES_CHARGE_PROCESSOR": charges},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert ran.stdout == f"{is_imported} {is_imported}\n", ran.stderr


# Events


def test_a_worker_applies_each_delivered_event_once(
    client, celery_queue, start_celery, transactional_db
):
    events = [make_event() for _ in range(5)]
    start_celery()

    statuses = [deliver(client, event).status_code for event in events for _ in range(2)]
    deliver(client, last := make_event())

    wait_until(lambda: applied(last["id"]))  # one worker applies them in order
    assert statuses == [201, 200] * 5
    for webhook in StripeWebhook.objects.all():
        assert effects_of(webhook) == ["worker"]
        assert (webhook.attempts, webhook.retry_at) == (1, None)


def test_an_event_that_is_enqueued_twice_is_applied_once(
    celery_queue, start_celery, transactional_db
):
    first, last = stored_event(), stored_event()
    for webhook in (first, first, last):
        tasks.enqueue(webhook.pk)

    start_celery()

    wait_until(lambda: applied(last.pk))  # also in order
    assert effects_of(first) == effects_of(last) == ["worker"]


def test_an_event_that_kills_its_process_is_applied_by_process_webhooks(
    client, celery_queue, start_celery, hanging, handled_here
):
    """Kill the process, as happens when a handler uses too much memory; the worker replaces it."""
    event = make_event(TYPE_THAT_HANGS)
    worker = start_celery()
    deliver(client, event)
    wait_until(hanging.exists)

    os.kill(int(hanging.read_text()), signal.SIGKILL)

    later = make_event()
    deliver(client, later)
    wait_until(lambda: applied(later["id"]))
    assert worker.poll() is None
    webhook = StripeWebhook.objects.get(pk=event["id"])
    assert not webhook.is_parsed
    assert effects_of(webhook) == []
    make_due(webhook)
    assert process_webhooks().done == {"applied": 1}
    assert effects_of(webhook) == ["here"]


def test_a_handler_that_hangs_is_interrupted(
    client, celery_queue, start_celery, hanging, handled_here, settings
):
    settings.STRIPE_WEBHOOK_HANDLER_TIMEOUT = 1
    event, later = make_event(TYPE_THAT_HANGS), make_event()
    start_celery()

    deliver(client, event)
    deliver(client, later)

    wait_until(lambda: applied(later["id"]))
    webhook = StripeWebhook.objects.get(pk=event["id"])
    assert hanging.exists()
    assert (webhook.is_parsed, webhook.attempts, webhook.claimed_until) == (False, 1, None)
    assert "SoftTimeLimitExceeded" in webhook.parse_error
    assert effects_of(webhook) == []
    make_due(webhook)
    assert process_webhooks().done == {"applied": 1}


@pytest.mark.parametrize("name", ["task_time_limit", "task_soft_time_limit"])
def test_a_time_limit_of_the_project_is_used_instead(client, celery_queue, transactional_db, name):
    celery_queue.conf.update({name: 1000})

    deliver(client, make_event())

    assert set(time_limits_of_message(celery_queue)) == {1000, None}


def test_the_time_limits_are_in_the_message(client, celery_queue, transactional_db, settings):
    settings.STRIPE_WEBHOOK_HANDLER_TIMEOUT = 45

    deliver(client, make_event())

    assert time_limits_of_message(celery_queue) == [75, 45]


def time_limits_of_message(queue):
    """Return the hard and the soft time limit in the only message of the queue, in seconds."""
    with queue.connection_for_read() as connection:
        message = connection.default_channel.basic_get(QUEUE, no_ack=True)
    return message.headers["timelimit"]


def test_the_message_of_a_killed_worker_is_redelivered_to_another_one(
    client, site, celery, start_celery, hanging
):
    # A worker looks for such messages when it starts, and every 100 seconds afterwards. So the
    # timeout is shorter than the start of a worker.
    site.visibility_timeout = 0.1
    celery(site)
    event = make_event(TYPE_THAT_HANGS)
    killed = start_celery()
    deliver(client, event)
    wait_until(hanging.exists)

    kill_group(killed)
    end_claims()
    start_celery()

    wait_until(lambda: applied(event["id"]))
    webhook = StripeWebhook.objects.get(pk=event["id"])
    assert effects_of(webhook) == ["worker"]
    assert webhook.attempts == 2


def test_an_event_whose_message_is_lost_is_applied_by_process_webhooks(
    client, celery_queue, handled_here, transactional_db
):
    event = make_event()
    deliver(client, event)
    with celery_queue.connection_for_write() as connection:
        assert connection.default_channel.queue_purge(QUEUE) == 1

    assert process_webhooks().done == {}  # the queue still has time

    webhook = make_due(StripeWebhook.objects.get(pk=event["id"]))
    assert process_webhooks().done == {"applied": 1}
    assert effects_of(webhook) == ["here"]


@pytest.fixture(params=["closed", "silent"])
def broken_broker(request):
    """The address of a broker that accepts no connection, or that never responds."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param == "silent":
            server.listen()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_an_event_that_no_broker_accepts_is_stored_and_applied_by_process_webhooks(
    client, celery, broken_broker, handled_here, caplog, transactional_db
):
    celery(Site(broken_broker))
    event = make_event()

    # In a thread, as on a server, and so that a hanging broker cannot stop the tests.
    response = InThread(lambda: deliver(client, event)).join()

    assert response.status_code == 201
    assert f"Event {event['id']} is stored, but could not be enqueued." in caplog.text
    webhook = make_due(StripeWebhook.objects.get(pk=event["id"]))
    assert process_webhooks().done == {"applied": 1}
    assert effects_of(webhook) == ["here"]


# Charges


@pytest.fixture
def charges_queue(celery_queue, settings, transactional_db):
    """The queue of charges; events do not need it."""
    settings.STRIPE_CHARGE_PROCESSOR = "celery"
    settings.STRIPE_WEBHOOK_PROCESSOR = "inline"
    return celery_queue


@pytest.fixture
def start_charger(start_celery):
    def start_charger():
        return start_celery(QUEUES_PROCESSOR="inline", QUEUES_CHARGE_PROCESSOR="celery")

    return start_charger


def test_a_worker_collects_each_charge_once(fake, charges_queue, start_charger):
    customer = make_customer()
    charges = [make_charge(customer) for _ in range(3)]
    declined = make_charge(make_customer(card="tok_chargeCustomerFail"))
    last = make_charge(customer)
    start_charger()

    for charge in [*charges, *charges, declined, last]:
        charge.charge_later()

    wait_until(lambda: row_of(last).is_charged)  # one worker collects them in order
    assert all(row_of(charge).is_charged for charge in charges)
    assert row_of(declined).charge_attempt_failed
    assert len(paid(fake)) == 4


def test_a_worker_goes_on_after_a_charge_without_a_response(fake, charges_queue, start_charger):
    customer = make_customer()
    first, last = make_charge(customer), make_charge(customer)
    fake.fail_next("POST /v1/payment_intents", Fault.ERROR_500_BEFORE)
    worker = start_charger()

    first.charge_later()
    last.charge_later()

    wait_until(lambda: row_of(last).is_charged)
    row = row_of(first)
    assert (row.is_charged, row.attempts) == (False, 1)
    assert worker.poll() is None


def test_a_charge_whose_message_is_lost_is_collected_by_cron(fake, charges_queue):
    charge = make_charge(make_customer())
    charge.charge_later()
    with charges_queue.connection_for_write() as connection:
        assert connection.default_channel.queue_purge(QUEUE) == 1

    assert dict(charge_pending().done) == {"collected": 1}


def test_a_charge_that_no_broker_accepts_is_collected_by_cron(
    fake, celery, broken_broker, settings, caplog, transactional_db
):
    settings.STRIPE_CHARGE_PROCESSOR = "celery"
    celery(Site(broken_broker))
    charge = make_charge(make_customer())

    # In a thread, as on a server, and so that a hanging broker cannot stop the tests.
    InThread(charge.charge_later).join()

    assert f"Charge {charge.pk} is due, but could not be enqueued." in caplog.text
    assert dict(charge_pending().done) == {"collected": 1}
