"""The app's handlers. aa_stripe finds them at start-up, like those of any project."""

from __future__ import annotations

import os
import time
from pathlib import Path

from aa_stripe.webhooks import on
from tests.webhooks.effects import TIMEOUT, TYPE, write_effect
from tests.webhooks.queues import TYPE_THAT_HANGS


@on(TYPE)
def note(webhook):
    write_effect(webhook, by="worker")


@on(TYPE_THAT_HANGS)
def note_and_hang(webhook):
    """Write the process id to the file ``QUEUES_HANGING``, then wait until the test kills it."""
    write_effect(webhook, by="worker")
    hanging = Path(os.environ["QUEUES_HANGING"])
    if not hanging.exists():
        unseen = hanging.with_suffix(".new")
        unseen.write_text(str(os.getpid()))
        unseen.rename(hanging)
        time.sleep(TIMEOUT)
        raise RuntimeError("The test did not kill the hanging process.")
