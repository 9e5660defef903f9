"""The threads that work on the rows of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from django.db import connections

Result = TypeVar("Result")

#: The default number of workers, except on SQLite, where only one connection writes at a time.
DEFAULT_WORKERS = 4


def check_workers(workers: object, at_least: int = 1) -> None:
    """Raise ``ValueError`` unless ``workers`` is ``None`` or an integer from ``at_least`` on."""
    if workers is None:
        return
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < at_least:
        raise ValueError(
            f"workers must be a whole number of at least {at_least} (got {workers!r})."
        )


def crew_of(
    workers: int | None, work: Callable[[Any], Result], using: str
) -> Alone[Result] | Crew[Result]:
    """Return the crew that calls ``work`` with keys of rows of the database ``using``.

    ``None`` means the default number of workers. One worker is the calling thread. Inside a
    transaction it works alone, too: other threads would not see the rows.
    """
    if workers is None:
        workers = 1 if connections[using].vendor == "sqlite" else DEFAULT_WORKERS
    if workers == 1 or is_inside_transaction(using):
        return Alone(work)
    return Crew(workers, work, using)


def finish(crew: Alone[Any] | Crew[Any], note_next: Callable[[], object]) -> None:
    """Note the results of all rows in progress, then raise what one of them has raised."""
    try:
        while crew.in_progress:
            note_next()
    except SystemExit:
        finish(crew, note_next)
        raise


def is_inside_transaction(using: str) -> bool:
    """Return whether other threads do not see what this one has written."""
    connection = connections[using]
    return connection.in_atomic_block or not connection.get_autocommit()


class Alone(Generic[Result]):
    """The calling thread as the only worker."""

    size = 1

    def __init__(self, work: Callable[[Any], Result]) -> None:
        self.in_progress = 0
        self._work = work
        self._key: Any = None

    def __enter__(self) -> Alone[Result]:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def give(self, key: Any) -> None:
        self._key = key
        self.in_progress = 1

    def take_result(self) -> tuple[Any, Result]:
        self.in_progress = 0
        return self._key, self._work(self._key)


class Crew(Generic[Result]):
    """Up to ``size`` threads, which have ended when the block ends. Only its owner calls it.

    A thread starts when it is needed. It has its own database connections, and the context
    variables of its owner: the rate of the requests is one of them.
    """

    #: The number of seconds that a row may take; ``None``: any number.
    time_limit: float | None = None

    def __init__(self, size: int, work: Callable[[Any], Result], using: str) -> None:
        self.size = size
        #: The number of keys that were given and whose results were not taken.
        self.in_progress = 0
        self._work = work
        self._using = using
        self._threads: list[threading.Thread] = []
        self._keys: SimpleQueue[Any] = SimpleQueue()
        self._results: SimpleQueue[tuple[Any, Result | BaseException]] = SimpleQueue()

    def __enter__(self) -> Crew[Result]:
        return self

    def __exit__(self, *error: object) -> None:
        """End the threads, each after the row that it works on."""
        self._keys.put(None)
        for thread in self._threads:
            thread.join(self.time_limit)

    def give(self, key: Any) -> None:
        """Hand out a key. At most ``size`` may be in progress."""
        if self.in_progress == len(self._threads):
            self._start_thread()
        self._keys.put(key)
        self.in_progress += 1

    def take_result(self) -> tuple[Any, Result]:
        """Wait for a result; return its key and the result. Raise what ``work`` has raised."""
        # First: a KeyboardInterrupt while waiting must not leave one too many.
        self.in_progress -= 1
        key, result = self._next_result()
        if isinstance(result, BaseException):
            raise result
        return key, result

    def _next_result(self) -> tuple[Any, Result | BaseException]:
        return self._results.get()

    def _start_thread(self) -> None:
        # A daemon, so that the process can end if its owner is interrupted while it waits for it.
        thread = threading.Thread(
            target=copy_context().run,
            args=(self._run,),
            name=f"aa_stripe worker {len(self._threads) + 1}",
            daemon=True,
        )
        thread.start()
        self._threads.append(thread)

    def _run(self) -> None:
        try:
            while (key := self._keys.get()) is not None:
                if not self._work_on(key):
                    return
            self._keys.put(None)  # for the next thread
        finally:
            connections.close_all()

    def _work_on(self, key: Any) -> bool:
        """Put the result of the row; return whether the thread goes on."""
        self._results.put((key, self._result_of(key)))
        return True

    def _result_of(self, key: Any) -> Result | BaseException:
        try:
            # A worker without a connection would fail all rows in no time.
            connections[self._using].ensure_connection()
            return self._call(key)
        except BaseException as error:  # noqa: BLE001 (raised by take_result)
            return error

    def _call(self, key: Any) -> Result:
        return self._work(key)
