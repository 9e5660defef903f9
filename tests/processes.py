"""Processes that are killed at a chosen request."""

from __future__ import annotations

import signal

from aa_stripe.testing.http.faults import ConnectionLost
from tests.charging.stripe_side import endpoint_of

KILLED = -signal.SIGKILL
TIMEOUT = 60  # seconds


def run_killed(fake, start, endpoint, moment):
    """``start()`` a process that is killed at its first such request.

    That is "before" the request has taken effect, or "after" it.
    """
    children = []

    def kill(request, answer=None):
        if endpoint_of(request) != endpoint or children[0].poll() is not None:
            return
        children[0].kill()
        children[0].wait(TIMEOUT)
        if moment == "before":
            raise ConnectionLost("The process was killed before it could ask.")

    hooks = fake.before_request if moment == "before" else fake.after_request
    hooks.append(kill)
    children.append(start())
    assert children[0].wait(TIMEOUT) == KILLED
    hooks.remove(kill)
