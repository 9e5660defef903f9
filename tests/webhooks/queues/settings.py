"""Settings of a worker, with this app's handlers and the processor in ``QUEUES_PROCESSOR``.

``QUEUES_CHARGE_PROCESSOR`` is the one of charges.
"""

import os

from tests.jobs.served import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.webhooks.queues"]  # noqa: F405
STRIPE_WEBHOOK_PROCESSOR = os.environ["QUEUES_PROCESSOR"]
STRIPE_CHARGE_PROCESSOR = os.environ.get("QUEUES_CHARGE_PROCESSOR", "cron")
STRIPE_PENDING_WEBHOOKS_THRESHOLD = 0
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
