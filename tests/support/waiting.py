"""Waiting for the effects of another thread or process."""

from __future__ import annotations

import time

TIMEOUT = 60  # seconds
INTERVAL = 0.02  # seconds


def wait_until(condition):
    """Return as soon as ``condition()`` is true; fail after a minute."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "It did not happen."
        time.sleep(INTERVAL)
