"""Workers whose rows have a time limit: a row that hangs does not hold up the others."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from aa_stripe.jobs.crew import Alone, Crew, Result, is_inside_transaction


def watched_crew_of(
    workers: int | None,
    work: Callable[[Any], Result],
    using: str,
    *,
    time_limit: float,
    give_up: Callable[[Any, str], Result],
) -> Alone[Result] | Crew[Result]:
    """Return workers that abandon a row after ``time_limit`` seconds; see ``WatchedCrew``.

    ``None`` means 1. A single worker is a thread, too: nothing interrupts the calling thread. That
    one works alone, and without a time limit, if the number is 0, inside a transaction, and with
    one worker on SQLite: a handler that hangs locks the whole database there.
    """
    workers = 1 if workers is None else workers
    is_alone = workers == 0 or (workers == 1 and connections[using].vendor == "sqlite")
    if is_alone or is_inside_transaction(using):
        return Alone(work)
    return WatchedCrew(workers, work, using, time_limit, give_up)


class WatchedCrew(Crew[Result]):
    """A crew whose owner abandons a row after ``time_limit`` seconds, and the thread with it.

    A thread cannot be ended. Its database connection is, so that it keeps no locks and can commit
    nothing. Another thread is started for the next row, and the end of the process does not wait
    for the abandoned one. The result of the row is that of ``give_up(key, stack)``, which the owner
    calls; ``stack`` is the line that the thread is in, with its callers.
    """

    time_limit: float

    def __init__(
        self,
        size: int,
        work: Callable[[Any], Result],
        using: str,
        time_limit: float,
        give_up: Callable[[Any, str], Result],
    ) -> None:
        super().__init__(size, work, using)
        self.time_limit = time_limit
        self._give_up = give_up
        #: The rows that the threads work on, in the order of their beginning.
        self._attempts: dict[threading.Thread, Attempt] = {}
        #: Is held while an attempt ends, so that it ends in one of the two ways.
        self._lock = threading.Lock()

    # In the owner's thread

    def _next_result(self) -> tuple[Any, Result | BaseException]:
        while True:
            try:
                return self._results.get(timeout=self._seconds_left())
            except Empty:
                with self._lock:
                    abandoned = self._abandon()
            if abandoned is not None:
                thread, key = abandoned
                return key, self._give_up(key, _stack_of(thread))

    def _seconds_left(self) -> float:
        with self._lock:
            oldest = next(iter(self._attempts.values()), None)
        begun = time.monotonic() if oldest is None else oldest.begun
        return max(0.0, begun + self.time_limit - time.monotonic())

    def _abandon(self) -> tuple[threading.Thread, Any] | None:
        """Abandon the oldest attempt if its time is over; return its thread and its key."""
        thread, attempt = next(iter(self._attempts.items()), (None, None))
        if thread is None or attempt is None or not self._is_over(attempt):
            return None
        del self._attempts[thread]
        self._threads.remove(thread)
        attempt.line.cut()
        return thread, attempt.key

    def _is_over(self, attempt: Attempt) -> bool:
        return time.monotonic() >= attempt.begun + self.time_limit

    # In the threads

    def _work_on(self, key: Any) -> bool:
        thread = threading.current_thread()
        attempt = Attempt(key)
        with self._lock:
            self._attempts[thread] = attempt
        result = self._result_of(key)
        with self._lock:
            if thread not in self._attempts:
                return False
            del self._attempts[thread]
            attempt.line.close()
            self._results.put((key, result))
        return True

    def _call(self, key: Any) -> Result:
        with self._lock:
            attempt = self._attempts.get(threading.current_thread())
            if attempt is None:
                raise TimeoutError("Connecting to the database has taken too long.")
            attempt.line = Line(connections[self._using])
        return super()._call(key)


class Line:
    """A second handle on the socket of a database connection, for another thread.

    No driver allows that another thread closes a connection that is in use. Shutting down its
    socket is safe: for the thread the connection is lost, and the server rolls the transaction back
    as soon as it is not executing a statement. It does nothing where the driver hides its socket.
    """

    def __init__(self, connection: BaseDatabaseWrapper | None = None) -> None:
        self._handle = None if connection is None else _duplicate(connection.connection)

    def cut(self) -> None:
        if self._handle is not None:
            # Not earlier: a socket object may change the flags that both handles share.
            with suppress(OSError), socket.socket(fileno=self._handle) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)
            self._handle = None

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@dataclass
class Attempt:
    """A row that a thread works on, since the time ``begun`` of the monotonic clock."""

    key: Any
    begun: float = field(default_factory=time.monotonic)
    line: Line = field(default_factory=Line)


def _duplicate(connection: Any) -> int | None:
    """Return a second handle on the socket of a driver's connection; ``None`` if it is hidden."""
    # psycopg and mysqlclient have fileno(), PyMySQL a socket.
    fileno = getattr(connection, "fileno", None) or getattr(
        getattr(connection, "_sock", None), "fileno", None
    )
    try:
        return os.dup(fileno()) if fileno is not None else None
    except Exception:  # noqa: BLE001 (a driver's own error: the handle only ends locks sooner)
        return None


def _stack_of(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)) if frame is not None else ""
