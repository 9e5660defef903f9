"""``process_webhooks`` in a process of its own: ``python -m tests.webhooks.runner OPTIONS``.

Its handler writes an effect. ``AT`` is the id of an event after whose effect it hangs for ever.
``HOW`` says what it does before it hangs: ``hang`` nothing, ``terminate`` sends SIGTERM to the
process, ``die`` kills it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import django
from django.core.management import execute_from_command_line

django.setup()

from django.conf import settings  # noqa: E402 (models need the set-up)

from aa_stripe.webhooks import on  # noqa: E402
from tests.webhooks.effects import TYPE, write_effect  # noqa: E402

SIGNALS = {"terminate": signal.SIGTERM, "die": signal.SIGKILL}


@on(TYPE)
def handler(webhook):
    write_effect(webhook)
    if webhook.pk == os.environ["AT"]:
        if os.environ["HOW"] in SIGNALS:
            os.kill(os.getpid(), SIGNALS[os.environ["HOW"]])
        threading.Event().wait()


if __name__ == "__main__":
    settings.STRIPE_WEBHOOK_HANDLER_TIMEOUT = 4
    execute_from_command_line(["manage.py", "process_webhooks", *sys.argv[1:]])
