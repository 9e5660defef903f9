"""One run of a job: what it has done so far, who watches, and when it is over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connections, models

from aa_stripe import gateway
from aa_stripe.jobs.report import Outcome, Report
from aa_stripe.jobs.rows import in_order

T = TypeVar("T")

logger = logging.getLogger("aa-stripe")

#: A key that Stripe refuses so many times in a row will be refused for every other row too.
#: More than once, so that a single row cannot keep the rows behind it from being reached.
REFUSALS_IN_A_ROW = 3


class Watcher:
    """Is told what a job does while it does it, in the thread that started the job.

    This one looks away. ``stop_reason`` ends the run before the next row when it is not ``""``.
    """

    stop_reason = ""

    def begin(self, title: str, count: Callable[[], int | None]) -> None:
        """A series of rows begins; ``count()`` asks the database how many there are.

        ``None`` is a number that nobody knows.
        """

    def saw(self, label: str, outcome: Outcome) -> None:
        """The row of that ``label`` was dealt with."""

    def end(self) -> None:
        """The series is over."""


class Run:
    """Gathers the report, and knows when to end early."""

    def __init__(self, watcher: Watcher | None) -> None:
        self.report = Report()
        self.watcher = watcher or Watcher()
        self._refusals = 0

    def each(
        self,
        title: str,
        noun: str,
        rows: models.QuerySet[Any],
        act: Callable[[Any], Outcome],
        *,
        limit: int | None = None,
        order: Callable[[models.QuerySet[Any]], Iterator[tuple[Any, ...]]] = in_order,
    ) -> None:
        """``act`` on the primary key of each row, in that ``order``, until the run is over.

        ``limit`` is how many rows may be done or fail; a row that is skipped is free, so that
        it never keeps the rows behind it from being reached.
        """
        with self.series(title, rows):
            for (key,) in order(rows):
                if limit == 0 or self.is_over():
                    break
                outcome = attempt(act, key)
                self.note(f"{noun} id: {key}", outcome)
                if limit is not None and not outcome.skipped:
                    limit -= 1

    @contextmanager
    def series(self, title: str, rows: models.QuerySet[Any]) -> Iterator[None]:
        """Let the watcher know that ``rows`` are dealt with inside the block."""
        with self.counting(title, rows.count):
            yield

    @contextmanager
    def counting(self, title: str, count: Callable[[], int | None]) -> Iterator[None]:
        """The same for what is no row of ours."""
        self.watcher.begin(title, count)
        try:
            yield
        finally:
            self.watcher.end()

    def is_over(self) -> bool:
        """Whether the next row is left for another run; the report says why."""
        if self.watcher.stop_reason:
            self.report.stopped = self.watcher.stop_reason
        elif self._refusals >= REFUSALS_IN_A_ROW:
            self.report.stopped = (
                f"Stripe refused the API key, or it lacks rights, {self._refusals} times in a row"
            )
        return bool(self.report.stopped)

    def note(self, label: str, outcome: Outcome) -> None:
        """Count what came of a row. An error is logged, which is what error trackers hear."""
        self.report.add(label, outcome)
        if outcome.error is not None:
            logger.error("Exception happened. %s", label, exc_info=outcome.error)
        if _is_about_the_key(outcome.error):
            self._refusals += 1
        elif outcome.done:
            self._refusals = 0
        self.watcher.saw(label, outcome)


def attempt(act: Callable[[T], Outcome], subject: T) -> Outcome:
    """``act(subject)``, whatever it raises being part of the outcome.

    After an error a database connection that broke is closed: the next row gets another one.
    """
    try:
        outcome = act(subject)
    except Exception as error:  # noqa: BLE001 (one bad row must not stop the others; it is logged)
        outcome = Outcome(error=error)
    if outcome.error is not None:
        close_broken_connections()
    return outcome


def close_broken_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _is_about_the_key(error: Exception | None) -> bool:
    return (
        isinstance(error, gateway.StripeError)
        and gateway.meaning_of(error) is gateway.Meaning.MISCONFIGURED
    )
