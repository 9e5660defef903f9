"""Django's Tasks (Django 6.0 and later): apply an event in a worker.

With ``STRIPE_WEBHOOK_PROCESSOR = "django_tasks"``, the task ``apply_webhook`` applies each event,
in the backend that ``TASKS`` names. https://docs.djangoproject.com/en/6.0/topics/tasks/
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
