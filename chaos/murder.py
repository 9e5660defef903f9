"""The murderer: processes are killed and stopped, database sessions end; the dead are replaced."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

from chaos import clock, database
from chaos.old_code import OldProcess
from chaos.roles import CAST, Orders, work

#: The role of a process of the older version, and how many there are if there are any.
OLD, OLD_PROCESSES = "old", 2

#: Between two strikes, in seconds.
PAUSE = (0.1, 0.6)

#: The strikes, as often as they occur.
STRIKES = ["kill"] * 12 + ["stop"] + ["session"] * 5

SHORTEST_STOP = 6.5  # seconds

context: Any = get_context("forkserver")
context.set_forkserver_preload(["chaos.roles"])


class Murderer:
    """The processes of a run, and what happens to them."""

    def __init__(self, chance: Random, old_code: Path | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._chance = chance
        self._old_code = old_code
        self._lock = threading.RLock()
        self._processes: list[tuple[str, BaseProcess | OldProcess]] = []
        self._stopped: dict[int, float] = {}  # the time to wake up, by the monotonic clock
        self._next_strike = 0.0

    def start(self, orders: Orders) -> None:
        self._orders = orders
        with self._lock:
            cast = CAST + [OLD] * OLD_PROCESSES if self._old_code else CAST
            self._processes = [(role, self._new(role)) for role in cast]

    def _new(self, role: str) -> BaseProcess | OldProcess:
        seed = self._chance.getrandbits(32)
        if role == OLD and self._old_code:
            return OldProcess(self._old_code, self._orders.url, seed)
        process: BaseProcess = context.Process(
            target=work, args=(role, self._orders, seed), daemon=True
        )
        process.start()
        return process

    def act(self) -> None:
        """Wake up and replace processes; strike if it is time."""
        now = time.monotonic()
        with self._lock:
            self._wake_up(now)
            self._replace()
        if now < self._next_strike:
            return
        self._next_strike = now + self._chance.uniform(*PAUSE)
        strike = self._chance.choice(STRIKES)
        if strike == "session":
            self.counts["sessions ended"] += database.end_session(self._chance)
            return
        _, victim = self._chance.choice(self._processes)
        (self.kill if strike == "kill" else self.stop)(victim.pid or 0)

    def kill(self, pid: int) -> None:
        """Kill the process, if it is one of the run."""
        self.counts["killed"] += self._send(pid, signal.SIGKILL)

    def stop(self, pid: int) -> None:
        """Stop the process past its lease, if it is one of the run."""
        with self._lock:
            if self._stopped.get(pid, 0) > time.monotonic():
                return
            if self._send(pid, signal.SIGSTOP):
                self.counts["stopped"] += 1
                stop = self._chance.uniform(SHORTEST_STOP, clock.LONGEST_STOP)
                self._stopped[pid] = time.monotonic() + stop

    def slept(self, pid: int, seconds: float) -> bool:
        """Return whether the process was stopped within the last ``seconds``."""
        with self._lock:
            return self._stopped.get(pid, 0) > time.monotonic() - seconds

    def end(self) -> None:
        """Kill all processes; start none any more."""
        with self._lock:
            processes, self._processes = self._processes, []
        for _, process in processes:
            process.kill()
            process.join()

    def _send(self, pid: int, number: int) -> bool:
        with self._lock:
            process = next((it for _, it in self._processes if it.pid == pid), None)
            if not pid or process is None or not process.is_alive():
                return False
            os.kill(pid, number)
            return True

    def _wake_up(self, now: float) -> None:
        for _, process in self._processes:
            if 0 < self._stopped.get(process.pid or 0, 0) <= now and process.is_alive():
                with suppress(ProcessLookupError):
                    os.kill(process.pid or 0, signal.SIGCONT)

    def _replace(self) -> None:
        for place, (role, process) in enumerate(self._processes):
            if not process.is_alive():
                if process.exitcode != -signal.SIGKILL:
                    self.counts[f"{role} ended by itself"] += 1
                self._processes[place] = role, self._new(role)


def run_alone(job: Callable[[Orders], None], orders: Orders) -> None:
    """Run the job in a process of its own until it ends."""
    process: BaseProcess = context.Process(target=job, args=(orders,), daemon=True)
    process.start()
    process.join()
