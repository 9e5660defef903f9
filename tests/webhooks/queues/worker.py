"""The site's Celery, as a worker finds it. Its tests say in ``QUEUES_CELERY`` where the broker is.

Nothing here names the tasks of aa_stripe: the setting ``STRIPE_WEBHOOK_PROCESSOR`` has to do.
"""

import json
import os

from celery import Celery

app = Celery("queues")
app.conf.update(json.loads(os.environ["QUEUES_CELERY"]))
