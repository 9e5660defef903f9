"""Ending processes, and waiting for what they do."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

TIMEOUT = 60  # seconds


def kill(process):
    """End a process that leads a group, and its children, at once."""
    with suppress(ProcessLookupError):  # all are gone already
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(TIMEOUT)


def wait_until(is_true):
    """Look until something has become true, for longer than it ever takes."""
    deadline = time.monotonic() + TIMEOUT
    while not is_true():
        assert time.monotonic() < deadline, "It did not happen."
        time.sleep(0.05)
