"""Processes that are killed, some of them at a chosen request."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from aa_stripe.testing.http.faults import ConnectionLost
from tests.support.requests import endpoint_of

KILLED = -signal.SIGKILL
TIMEOUT = 60  # seconds


class Killed(BaseException):
    """Raised by a test where a process would be killed."""


def run_killed(fake, start, endpoint, moment):
    """Start a process with ``start()`` and kill it at its first request to ``endpoint``.

    ``moment`` is "before" the request takes effect, or "after".
    """
    children = []

    def kill(request, response=None):
        if endpoint_of(request) != endpoint or children[0].poll() is not None:
            return
        children[0].kill()
        children[0].wait(TIMEOUT)
        if moment == "before":
            raise ConnectionLost("The process was killed before its request.")

    hooks = fake.before_request if moment == "before" else fake.after_request
    hooks.append(kill)
    children.append(start())
    assert children[0].wait(TIMEOUT) == KILLED
    hooks.remove(kill)


def kill_group(process):
    """Kill a process that leads a group, and its children."""
    with suppress(ProcessLookupError):  # all are gone already
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(TIMEOUT)
