"""Celery tasks: apply an event or collect a charge in a worker, run the cron commands from beat.

With ``STRIPE_WEBHOOK_PROCESSOR = "celery"``, the task ``apply_webhook`` applies each event; with
``STRIPE_CHARGE_PROCESSOR = "celery"``, the task ``charge_one`` collects what ``charge_later()``
made due. The other tasks take a command's arguments: ``charge_stripe.delay("--limit", "500")``.
Register all of them with ``imports = ["aa_stripe.contrib.celery"]`` (``CELERY_IMPORTS`` in Django's
settings).
"""

from __future__ import annotations

import io

from celery import shared_task
from django.core.management import call_command

from aa_stripe import jobs
from aa_stripe.settings import stripe_settings


class JobFailed(Exception):
    """A run with failures. The message is the command's output."""


#: The seconds that a handler has to end after it was interrupted. Then its process is killed.
TIME_TO_END = 30


def enqueue(webhook_id: str) -> None:
    """Send the event's id to a worker, which applies the event."""
    apply_webhook.apply_async((webhook_id,), **_time_limits())


def _time_limits() -> dict[str, float]:
    """Return the time limits of an event's task; none if the project has set one."""
    if apply_webhook.time_limit or apply_webhook.soft_time_limit:
        return {}
    seconds = stripe_settings.WEBHOOK_HANDLER_TIMEOUT
    return {"soft_time_limit": seconds, "time_limit": seconds + TIME_TO_END}


# Acknowledged late, so that the broker keeps the message of a worker that is killed.
@shared_task(name="aa_stripe.apply_webhook", ignore_result=True, acks_late=True)
def apply_webhook(webhook_id: str) -> None:
    jobs.apply_webhook(webhook_id)


def enqueue_charge(charge_id: int) -> None:
    """Send the charge's primary key to a worker, which collects the charge."""
    charge_one.delay(charge_id)


@shared_task(name="aa_stripe.charge_one", ignore_result=True, acks_late=True)
def charge_one(charge_id: int) -> None:
    jobs.charge_one(charge_id)


@shared_task(name="aa_stripe.charge_stripe")
def charge_stripe(*arguments: str) -> str:
    return _run("charge_stripe", arguments)


@shared_task(name="aa_stripe.end_subscriptions")
def end_subscriptions(*arguments: str) -> str:
    return _run("end_subscriptions", arguments)


@shared_task(name="aa_stripe.refresh_coupons")
def refresh_coupons(*arguments: str) -> str:
    return _run("refresh_coupons", arguments)


@shared_task(name="aa_stripe.refresh_customers")
def refresh_customers(*arguments: str) -> str:
    return _run("refresh_customers", arguments)


@shared_task(name="aa_stripe.refresh_subscriptions")
def refresh_subscriptions(*arguments: str) -> str:
    return _run("refresh_subscriptions", arguments)


@shared_task(name="aa_stripe.process_webhooks")
def process_webhooks(*arguments: str) -> str:
    return _run("process_webhooks", arguments)


@shared_task(name="aa_stripe.check_pending_webhooks")
def check_pending_webhooks(*arguments: str) -> str:
    return _run("check_pending_webhooks", arguments)


def _run(command: str, arguments: tuple[str, ...]) -> str:
    """Run the command and return its output.

    Raises ``JobFailed`` if the command exits with an error status: ``SystemExit`` would end the
    worker. Other exceptions of the command are raised unchanged.
    """
    output = io.StringIO()
    try:
        call_command(command, *arguments, stdout=output, stderr=output)
    except SystemExit as ended:
        raise JobFailed(output.getvalue()) from ended
    return output.getvalue()
