"""A process of a run ends when the run does."""

from __future__ import annotations

import os
import signal
import time
from threading import Thread


def end_with_parent() -> None:
    """End this process when its parent has ended."""
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)
