"""Django's Tasks, with workers that are processes and use this test's database."""

from __future__ import annotations

import django
import pytest
from django.db import transaction

from aa_stripe.checks import check_settings
from aa_stripe.jobs import charge_pending, process_webhooks, receive
from aa_stripe.models import StripeWebhook
from tests.support.builders import make_charge, make_customer
from tests.support.payments import paid
from tests.support.processes import TIMEOUT, kill_group
from tests.support.rows import row_of
from tests.support.waiting import wait_until
from tests.webhooks.deliveries import deliver
from tests.webhooks.effects import effects_of, make_due, make_event, only_webhook, stored_event
from tests.webhooks.queues import TYPE_THAT_HANGS

pytestmark = pytest.mark.skipif(
    django.VERSION < (6, 0), reason="Django has Tasks from version 6.0 on."
)


@pytest.fixture
def immediate(settings):
    """Django's backend for development, which runs a task when it is enqueued."""
    settings.STRIPE_WEBHOOK_PROCESSOR = "django_tasks"
    settings.STRIPE_CHARGE_PROCESSOR = "django_tasks"
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}


@pytest.fixture
def tasks_queue(settings, transactional_db):
    """The table that is the queue of this test's workers."""
    from django_tasks_db.models import DBTaskResult

    settings.STRIPE_WEBHOOK_PROCESSOR = "django_tasks"
    settings.STRIPE_CHARGE_PROCESSOR = "django_tasks"
    settings.TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
    return DBTaskResult.objects


@pytest.fixture
def start_db_worker(start):
    def start_db_worker(*options):
        return start(
            *("django", "db_worker", "--no-startup-delay", "--interval", "0.1", *options),
            QUEUES_PROCESSOR="django_tasks",
        )

    return start_db_worker


def test_an_immediate_task_applies_an_event_before_the_response(
    client, immediate, handled_here, transactional_db
):
    assert deliver(client, make_event()).status_code == 201

    assert only_webhook().is_parsed
    assert effects_of(only_webhook()) == ["here"]
    assert check_settings() == []


def test_a_worker_applies_each_delivered_event_once(client, tasks_queue, start_db_worker):
    events = [make_event() for _ in range(5)]
    statuses = [deliver(client, event).status_code for event in events for _ in range(2)]

    worker = start_db_worker("--max-tasks", "10")

    assert worker.wait(TIMEOUT) == 0
    assert statuses == [201, 200] * 5
    assert [task.status for task in tasks_queue.all()] == ["SUCCESSFUL"] * 10
    for webhook in StripeWebhook.objects.all():
        assert effects_of(webhook) == ["worker"]
        assert (webhook.attempts, webhook.retry_at) == (1, None)


def test_a_running_worker_applies_a_delivered_event(client, tasks_queue, start_db_worker):
    start_db_worker()

    deliver(client, make_event())

    wait_until(lambda: only_webhook().is_parsed)
    assert effects_of(only_webhook()) == ["worker"]


def test_two_workers_apply_an_event_once_that_was_enqueued_twice(tasks_queue, start_db_worker):
    from aa_stripe.contrib.django_tasks import enqueue

    webhooks = [stored_event() for _ in range(10)]
    for webhook in webhooks:
        enqueue(webhook.pk)
        enqueue(webhook.pk)

    workers = [start_db_worker("--batch") for _ in range(2)]

    assert [worker.wait(TIMEOUT) for worker in workers] == [0, 0]
    assert [task.status for task in tasks_queue.all()] == ["SUCCESSFUL"] * 20
    assert [effects_of(webhook) for webhook in webhooks] == [["worker"]] * 10


def test_a_task_is_enqueued_when_the_event_is_committed(tasks_queue):
    with transaction.atomic():
        receive(make_event())
        assert not tasks_queue.exists()

    assert [task.args_kwargs["args"] for task in tasks_queue.all()] == [[only_webhook().pk]]


def test_an_immediate_task_collects_a_charge_when_it_is_committed(
    immediate, fake, transactional_db
):
    charge = make_charge(make_customer())

    with transaction.atomic():
        charge.charge_later()
        assert not row_of(charge).is_charged

    assert row_of(charge).is_charged
    assert check_settings() == []


def test_two_workers_collect_a_charge_once_that_was_enqueued_twice(
    fake, tasks_queue, start_db_worker
):
    customer = make_customer()
    charges = [make_charge(customer) for _ in range(5)]
    for charge in [*charges, *charges]:
        charge.charge_later()

    workers = [start_db_worker("--batch") for _ in range(2)]

    assert [worker.wait(TIMEOUT) for worker in workers] == [0, 0]
    assert [task.status for task in tasks_queue.all()] == ["SUCCESSFUL"] * 10
    # A message is skipped while another one's worker holds the claim.
    assert all(row_of(charge).is_charged for charge in charges)
    assert len(paid(fake)) == 5


def test_a_charge_whose_task_is_lost_is_collected_by_cron(fake, tasks_queue):
    charge = make_charge(make_customer())
    charge.charge_later()
    assert [task.args_kwargs["args"] for task in tasks_queue.all()] == [[charge.pk]]
    tasks_queue.all().delete()

    assert dict(charge_pending().done) == {"collected": 1}


def test_an_event_whose_worker_was_killed_is_applied_by_process_webhooks(
    client, tasks_queue, start_db_worker, hanging, handled_here
):
    """Kill the worker; the backend then regards the task as running for ever."""
    deliver(client, make_event(TYPE_THAT_HANGS))
    worker = start_db_worker()
    wait_until(hanging.exists)

    kill_group(worker)

    assert not only_webhook().is_parsed
    assert effects_of(only_webhook()) == []
    assert process_webhooks().done == {}  # the worker would still have time
    make_due(only_webhook())
    assert process_webhooks().done == {"applied": 1}
    assert effects_of(only_webhook()) == ["here"]


def test_an_event_whose_task_is_lost_is_applied_by_process_webhooks(
    client, tasks_queue, handled_here
):
    deliver(client, make_event())
    tasks_queue.all().delete()

    assert process_webhooks().done == {}  # a worker would still have time

    make_due(only_webhook())
    assert process_webhooks().done == {"applied": 1}
    assert effects_of(only_webhook()) == ["here"]


def test_an_event_that_the_backend_rejects_is_stored_and_applied_by_process_webhooks(
    client, tasks_queue, handled_here, caplog, monkeypatch
):
    monkeypatch.setattr(tasks_queue.model._meta, "db_table", "there_is_no_such_table")

    assert deliver(client, make_event()).status_code == 201

    assert "is stored, but could not be enqueued." in caplog.text
    make_due(only_webhook())
    assert process_webhooks().done == {"applied": 1}
    assert effects_of(only_webhook()) == ["here"]
