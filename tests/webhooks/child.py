"""A separate process that works on one event: ``python -m tests.webhooks.child WHAT ID HOW``.

WHAT is ``receive`` (deliver it), ``create`` (through the ORM), ``parse`` or ``retry``. HOW is what
its handler does after it has written: ``die`` kills the process, ``wait`` sleeps for a moment, and
``hang`` prints ``hanging`` and goes on when it reads another line.

The process prints ``ready`` when it has read the event. It starts to work when it reads a line of
input, and then prints the result.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import django

django.setup()

from aa_stripe.jobs import receive  # noqa: E402 (models need the set-up)
from aa_stripe.models import StripeWebhook  # noqa: E402
from aa_stripe.webhooks import on  # noqa: E402
from tests.webhooks.effects import TYPE, make_event, write_effect  # noqa: E402


@on(TYPE)
def handler(webhook):
    write_effect(webhook)
    if sys.argv[3] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[3] == "hang":
        print("hanging", flush=True)
        sys.stdin.readline()
    time.sleep(0.3)


def action_of(what, id):
    if what == "receive":
        made = make_event(id=id)
        return lambda: receive(made).is_new
    if what == "create":
        made = make_event(id=id)
        return lambda: StripeWebhook.objects.create(id=id, raw_data=made)
    return getattr(StripeWebhook.objects.get(pk=id), what)


def main(what, id, how):
    action = action_of(what, id)
    print("ready", flush=True)
    sys.stdin.readline()
    print(action(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
