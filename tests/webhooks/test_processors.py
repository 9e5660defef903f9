"""``STRIPE_WEBHOOK_PROCESSOR``: when and where an event is applied.

The queues have their tests in ``tests/webhooks/queues``.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.db import transaction

from aa_stripe.jobs import process_webhooks, receive
from aa_stripe.models import StripeWebhook
from tests.webhooks.deliveries import deliver
from tests.webhooks.effects import (
    TYPE,
    WentWrong,
    effects_of,
    make_due,
    make_event,
    only_webhook,
    write_effect,
)

pytestmark = pytest.mark.django_db(transaction=True)

TIMEOUT = 60  # seconds

#: The calls of ``processor``: the event's id, and whether the event was committed.
processor_calls = []


def processor(webhook_id):
    is_committed = not transaction.get_connection().in_atomic_block
    processor_calls.append((webhook_id, is_committed))


def failing_processor(webhook_id):
    raise WentWrong("The queue is full.")


@pytest.fixture(autouse=True)
def no_processor_calls():
    yield
    processor_calls.clear()


@pytest.fixture(autouse=True)
def handled(on):
    on(TYPE)(write_effect)


def test_inline_applies_an_event_before_the_response(client):
    assert deliver(client, make_event()).status_code == 201

    assert only_webhook().is_parsed
    assert effects_of(only_webhook()) == ["handler"]


def test_a_deferred_event_is_applied_by_process_webhooks(client, settings):
    settings.STRIPE_WEBHOOK_PROCESSOR = "deferred"

    assert deliver(client, make_event()).status_code == 201

    assert not only_webhook().is_parsed
    assert effects_of(only_webhook()) == []
    assert process_webhooks().done == {"applied": 1}
    assert effects_of(only_webhook()) == ["handler"]


@pytest.mark.parametrize(
    "named", [processor, "tests.webhooks.test_processors.processor"], ids=["function", "path"]
)
def test_a_function_is_called_with_the_id_of_a_committed_event(client, settings, named):
    settings.STRIPE_WEBHOOK_PROCESSOR = named
    event = make_event()

    assert deliver(client, event).status_code == 201

    assert processor_calls == [(event["id"], True)]
    assert not only_webhook().is_parsed


def test_a_function_is_called_again_for_a_redelivered_event_that_was_not_applied(client, settings):
    settings.STRIPE_WEBHOOK_PROCESSOR = processor
    event = make_event()

    assert [deliver(client, event).status_code for _ in range(2)] == [201, 200]

    assert processor_calls == [(event["id"], True)] * 2


def test_a_function_is_not_called_for_an_event_that_was_applied(client, settings):
    event = make_event()
    deliver(client, event)
    settings.STRIPE_WEBHOOK_PROCESSOR = processor

    assert deliver(client, event).status_code == 200

    assert processor_calls == []


def test_a_function_is_called_after_the_surrounding_transaction_is_committed(settings):
    settings.STRIPE_WEBHOOK_PROCESSOR = processor
    event = make_event()

    with transaction.atomic():
        receive(event)
        assert processor_calls == []

    assert processor_calls == [(event["id"], True)]


def test_a_function_is_not_called_for_an_event_that_was_rolled_back(settings):
    settings.STRIPE_WEBHOOK_PROCESSOR = processor

    with transaction.atomic():
        receive(make_event())
        transaction.set_rollback(True)

    assert processor_calls == []
    assert not StripeWebhook.objects.exists()


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (failing_processor, "The queue is full."),
        ("tests.webhooks.test_processors.failing_processor", "The queue is full."),
        ("tests.webhooks.no_such_module.processor", "No module named"),
        ("tests.webhooks.test_processors.no_such_function", "does not define"),
        ("no path", "doesn't look like a module path"),
    ],
)
def test_an_event_that_cannot_be_enqueued_is_stored_and_applied_by_process_webhooks(
    client, settings, caplog, named, reason
):
    settings.STRIPE_WEBHOOK_PROCESSOR = named

    assert deliver(client, make_event()).status_code == 201

    assert "is stored, but could not be enqueued." in caplog.text
    assert reason in caplog.text
    assert process_webhooks().done == {}  # a queue would still have time
    make_due(only_webhook())
    assert process_webhooks().done == {"applied": 1}
    assert effects_of(only_webhook()) == ["handler"]


@pytest.fixture
def started(child_environment):
    """A function that starts a site, runs ``program`` in it and returns the output.

    ``changed`` are other settings; the module ``without`` cannot be imported.
    """

    def started(program, *, without="", **changed):
        begin = (
            "import sys, django, tests.settings as ours\n"
            f"if {without!r}: sys.modules[{without!r}] = None\n"
            f"vars(ours).update({changed!r})\n"
            # It needs Django's Tasks.
            "ours.INSTALLED_APPS = [it for it in ours.INSTALLED_APPS if it != 'django_tasks_db']\n"
            "django.setup()\n"
        )
        site = subprocess.run(
            [sys.executable, "-c", begin + program],
            env=child_environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert site.returncode == 0, site.stderr
        return site.stdout.strip()

    return started


@pytest.mark.parametrize(
    ("name", "module"), [("celery", "celery"), ("django_tasks", "django.tasks")]
)
def test_a_site_whose_queue_is_not_installed_starts_and_fails_a_check(started, name, module):
    check = "from aa_stripe import checks; print(*[it.id for it in checks.check_settings()])"

    output = started(check, without=module, STRIPE_WEBHOOK_PROCESSOR=name)

    assert output == "aa_stripe.E021"


@pytest.mark.parametrize(("name", "is_imported"), [("celery", True), ("inline", False)])
def test_celery_is_imported_at_start_up_only_if_it_is_the_processor(started, name, is_imported):
    look = "print('aa_stripe.contrib.celery' in sys.modules, 'celery' in sys.modules)"

    output = started(look, STRIPE_WEBHOOK_PROCESSOR=name)

    assert output == f"{is_imported} {is_imported}"
