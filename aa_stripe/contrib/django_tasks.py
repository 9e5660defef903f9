"""Django's Tasks (Django 6.0 and later): events applied by a worker.

``STRIPE_WEBHOOK_PROCESSOR = "django_tasks"`` has each event applied by ``apply_webhook``, in
whatever backend ``TASKS`` names. https://docs.djangoproject.com/en/6.0/topics/tasks/
"""

from __future__ import annotations

from django.tasks import task

from aa_stripe import jobs


def enqueue(webhook_id: str) -> None:
    """Have the event applied by a worker."""
    apply_webhook.enqueue(webhook_id)


@task
def apply_webhook(webhook_id: str) -> None:
    jobs.apply_webhook(webhook_id)
