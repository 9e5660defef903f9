"""Celery: real workers, on a broker and on this test's database."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from dataclasses import dataclass, field

import pytest
from celery import Celery, _state
from django.utils import timezone
from redis import Redis, RedisError

from aa_stripe.contrib import celery as tasks
from aa_stripe.exceptions import StripePendingWebhooksLimitExceeded
from aa_stripe.jobs import process_webhooks
from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeSubscription,
    StripeSubscriptionPlan,
    StripeWebhook,
)
from aa_stripe.testing import Fault
from tests.builders import make_charge, make_customer
from tests.webhooks.deliveries import deliver
from tests.webhooks.effects import InThread, effects_of, make_due, make_event, stored_event
from tests.webhooks.queues import TYPE_THAT_HANGS
from tests.webhooks.queues.conftest import TIMEOUT, kill

CONNECT_TIMEOUT = 5  # seconds
QUEUE = "aa_stripe"


@pytest.fixture(scope="session")
def redis():
    """The server at ``TEST_REDIS_URL``. Where it is missing, ``TEST_BROKER_REQUIRED`` says whether
    that is a failure."""
    url = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
    client = Redis.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT)
    try:
        client.ping()
    except RedisError as error:
        absent = f"No Redis answers at {url} (TEST_REDIS_URL names another): {error}"
        if "TEST_BROKER_REQUIRED" in os.environ:
            pytest.fail(absent)
        pytest.skip(absent)
    client.url = url
    yield client
    client.close()


@dataclass
class Site:
    """What the site of a test and its workers have in common: how Celery is set up."""

    broker_url: str
    #: How long a message may be with a worker before it is taken for lost.
    visibility_timeout: float = 3600
    #: Keeps all that Celery has in Redis apart from what others have there.
    prefix: str = field(default_factory=lambda: f"aa-stripe-{uuid.uuid4().hex}:")

    @property
    def settings(self):
        return {
            "broker_url": self.broker_url,
            "broker_transport_options": {
                "global_keyprefix": self.prefix,
                "socket_timeout": 1,
                "visibility_timeout": self.visibility_timeout,
            },
            "result_backend": self.broker_url,
            "result_backend_transport_options": {"global_keyprefix": self.prefix},
            "task_default_queue": QUEUE,
            "worker_enable_remote_control": False,
        }


@pytest.fixture
def site(redis):
    site = Site(redis.url)
    yield site
    for key in redis.scan_iter(f"{site.prefix}*"):
        redis.delete(key)


@pytest.fixture
def celery(settings, monkeypatch):
    """Have this process send its tasks where a ``Site`` says, as a site's own Celery does."""
    settings.STRIPE_WEBHOOK_PROCESSOR = "celery"
    # Put back what the new app takes the place of: the app of this thread, and of all others.
    monkeypatch.setattr(_state._tls, "current_app", None)
    monkeypatch.setattr(_state, "default_app", None)
    apps = []

    def celery(site):
        apps.append(Celery("queues"))
        apps[-1].conf.update(site.settings)
        return apps[-1]

    yield celery
    for app in apps:
        app.close()


@pytest.fixture
def queue(celery, site):
    """The queue that workers of this test read."""
    return celery(site)


@pytest.fixture
def start_worker(start, site):
    def start_worker():
        return start(
            *("celery", "--app", "tests.webhooks.queues.worker", "worker", "--loglevel=INFO"),
            *("--concurrency=1", "--without-gossip", "--without-mingle", "--without-heartbeat"),
            QUEUES_PROCESSOR="celery",
            QUEUES_CELERY=json.dumps(site.settings),
        )

    return start_worker


def applied(webhook_id):
    return StripeWebhook.objects.get(pk=webhook_id).is_parsed


# Start-up


def test_a_site_that_starts_has_the_tasks_in_its_own_celery_in_all_threads(environment, site):
    """A worker throws away what it does not know. Before a site has a Celery, asking Celery for
    the current one would make another one, which all threads but the first would have."""
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

    said = subprocess.run(
        [sys.executable, "-c", program],
        env=environment
        | {"QUEUES_PROCESSOR": "celery", "QUEUES_CELERY": json.dumps(site.settings)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.stdout == "True True\nTrue True\n", said.stderr


# Events


def test_a_worker_applies_each_delivered_event_once(
    client, queue, start_worker, wait_until, transactional_db
):
    events = [make_event() for _ in range(5)]
    start_worker()

    answers = [deliver(client, event).status_code for event in events for _ in range(2)]

    wait_until(lambda: not StripeWebhook.objects.filter(is_parsed=False).exists())
    assert set(answers) <= {200, 201}
    assert answers[::2] == [201] * 5
    for webhook in StripeWebhook.objects.all():
        assert effects_of(webhook) == ["worker"]
        assert (webhook.attempts, webhook.retry_at) == (1, None)


def test_a_message_that_comes_twice_takes_effect_once(
    queue, start_worker, wait_until, transactional_db
):
    first, last = stored_event(), stored_event()
    for webhook in (first, first, last):
        tasks.enqueue(webhook.pk)

    start_worker()

    wait_until(lambda: applied(last.pk))  # one worker takes them in their order
    assert effects_of(first) == effects_of(last) == ["worker"]


def test_an_event_that_kills_its_process_is_left_to_process_webhooks(
    client, queue, start_worker, wait_until, hanging, handled_here
):
    """As one whose handler needs too much memory does. The worker replaces the process."""
    event = make_event(TYPE_THAT_HANGS)
    worker = start_worker()
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


def test_the_message_of_a_killed_worker_comes_to_another_one(
    client, site, celery, start_worker, wait_until, hanging
):
    site.visibility_timeout = 1
    celery(site)
    event = make_event(TYPE_THAT_HANGS)
    killed = start_worker()
    deliver(client, event)
    wait_until(hanging.exists)

    kill(killed)
    start_worker()

    wait_until(lambda: applied(event["id"]))
    webhook = StripeWebhook.objects.get(pk=event["id"])
    assert effects_of(webhook) == ["worker"]
    assert webhook.attempts == 2


def test_an_event_whose_message_is_lost_is_applied_by_process_webhooks(
    client, queue, handled_here, transactional_db
):
    event = make_event()
    deliver(client, event)
    with queue.connection_for_write() as connection:
        assert connection.default_channel.queue_purge(QUEUE) == 1

    assert process_webhooks().done == {}  # the queue still has time

    webhook = make_due(StripeWebhook.objects.get(pk=event["id"]))
    assert process_webhooks().done == {"applied": 1}
    assert effects_of(webhook) == ["here"]


@pytest.fixture(params=["away", "silent"])
def broken_broker(request):
    """The address of a broker to which no connection is made, or which never says anything."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param == "silent":
            server.listen()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_an_event_that_no_broker_takes_is_received_and_applied_by_process_webhooks(
    client, celery, broken_broker, handled_here, caplog, transactional_db
):
    celery(Site(broken_broker))
    event = make_event()

    # In a thread, as a server has them, and so that no broker that hangs stops the tests.
    answer = InThread(lambda: deliver(client, event)).join()

    assert answer.status_code == 201
    assert f"Event {event['id']} could not be handed over; it stays stored." in caplog.text
    webhook = make_due(StripeWebhook.objects.get(pk=event["id"]))
    assert process_webhooks().done == {"applied": 1}
    assert effects_of(webhook) == ["here"]


# The commands of cron


def test_a_worker_charges(fake, queue, start_worker, transactional_db):
    customer = make_customer()
    charges = [make_charge(customer) for _ in range(3)]
    start_worker()

    said = tasks.charge_stripe.delay("--limit", "2").get(TIMEOUT)

    assert said == "collected: 2 (20.00 USD)\n"
    assert list(StripeCharge.objects.pending()) == charges[2:]


def test_a_command_that_fails_ends_its_task_and_not_the_worker(
    fake, queue, start_worker, transactional_db
):
    charge = make_charge(make_customer())
    fake.fail_next("POST /v1/payment_intents", Fault.ERROR_500_BEFORE)
    worker = start_worker()

    with pytest.raises(tasks.JobFailed, match=f"Charge id: {charge.pk}\n(?s:.)*failed: 1"):
        tasks.charge_stripe.delay().get(TIMEOUT)

    assert tasks.refresh_customers.delay().get(TIMEOUT) == "unchanged: 1\n"
    assert worker.poll() is None


def test_a_worker_makes_good_what_was_not_applied_and_what_never_arrived(
    fake, queue, start_worker, transactional_db
):
    late = stored_event()
    fake.dashboard_create_coupon(id="SALE", percent_off=10, duration="once")
    start_worker()

    with pytest.raises(StripePendingWebhooksLimitExceeded, match=r"^1 events of Stripe's"):
        tasks.check_pending_webhooks.delay("--grace", "0").get(TIMEOUT)
    fetched = tasks.check_pending_webhooks.delay("--grace", "0", "--recover").get(TIMEOUT)
    applied = tasks.process_webhooks.delay().get(TIMEOUT)

    assert fetched == "missing: 1\napplied: 1\n"
    assert StripeCoupon.objects.get().coupon_id == "SALE"
    assert applied == "applied: 1\n"
    assert effects_of(late) == ["worker"]


@pytest.fixture
def work(fake, transactional_db):
    """Something to do for each command."""
    customer = make_customer()
    make_charge(customer)
    make_charge(customer)
    plan = StripeSubscriptionPlan.objects.create(name="gold", amount=900, interval="month")
    plan.create_at_stripe()
    StripeSubscription.objects.create(
        user=customer.user, plan=plan, end_date=timezone.localdate()
    ).create_at_stripe()
    fake.dashboard_create_coupon(id="SALE", percent_off=10, duration="once")
    stored_event()


@pytest.mark.parametrize(
    ("task", "arguments", "said"),
    [
        (tasks.charge_stripe, ["--limit", "1"], "would be collected: 1 (10.00 USD)\n"),
        (tasks.end_subscriptions, [], "would be canceled: 1\n"),
        (tasks.refresh_coupons, [], "would be created: 1\n"),
        (tasks.refresh_customers, [], "would be updated: 1\n"),
        (tasks.process_webhooks, [], "would be applied: 1\n"),
        (tasks.check_pending_webhooks, ["--grace", "0"], "missing: "),
    ],
)
def test_a_task_runs_the_command_of_its_name_with_its_arguments(work, task, arguments, said):
    result = task.apply(args=["--dry-run", *arguments])

    assert result.get().startswith(said)
