"""The site's Celery application, as a worker imports it. ``QUEUES_CELERY`` has its settings.

Nothing here names the tasks of aa_stripe: ``STRIPE_WEBHOOK_PROCESSOR`` must register them.
"""

import json
import os

from celery import Celery

app = Celery("queues")
app.conf.update(json.loads(os.environ["QUEUES_CELERY"]))
