"""Django's Tasks (Django 6.0 and later): apply an event or collect a charge in a worker.

With ``STRIPE_WEBHOOK_PROCESSOR = "django_tasks"``, the task ``apply_webhook`` applies each event;
with ``STRIPE_CHARGE_PROCESSOR = "django_tasks"``, the task ``charge_one`` collects what
``charge_later()`` made due. The backend is the one that ``TASKS`` names.
https://docs.djangoproject.com/en/6.0/topics/tasks/
"""

from __future__ import annotations

from django.tasks import task

from aa_stripe import jobs


def enqueue(webhook_id: str) -> None:
    """Send the event's id to a worker, which applies the event."""
    apply_webhook.enqueue(webhook_id)


@task
def apply_webhook(webhook_id: str) -> None:
    jobs.apply_webhook(webhook_id)


def enqueue_charge(charge_id: int) -> None:
    """Send the charge's primary key to a worker, which collects the charge."""
    charge_one.enqueue(charge_id)


@task
def charge_one(charge_id: int) -> None:
    jobs.charge_one(charge_id)
