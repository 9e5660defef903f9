"""One run of a job: it collects the report, informs the watcher and decides when to stop."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias, TypeVar

from django.db import connections, models

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError, StripeTooSlow
from aa_stripe.jobs.crew import Alone, Crew, check_workers, crew_of, finish
from aa_stripe.jobs.report import STILL_UNPAID, WAITING, Outcome, Report
from aa_stripe.models.rows import in_order

T = TypeVar("T")
Result = TypeVar("Result", bound="Outcome | None")

AnyCrew: TypeAlias = Alone[Outcome | None] | Crew[Outcome | None]

#: Returns the workers: of a number, what they do, and the alias of the database.
CrewOf: TypeAlias = Callable[[int | None, Callable[[Any], Outcome | None], str], AnyCrew]

logger = logging.getLogger("aa-stripe")

#: Number of consecutive rows without a usable response after which a run stops.
UNREACHABLE_IN_A_ROW = 10

#: Number of consecutive errors about the API key after which a run stops: every further row would
#: fail in the same way. More than one, so that a single row never blocks the rows behind it.
KEY_ERRORS_IN_A_ROW = 3


class Watcher:
    """Callbacks during a run, in the thread that started the job. This class does nothing.

    The run ends before the next row if ``stop_reason`` is not ``""``.
    """

    stop_reason = ""

    def begin(self, title: str, count: Callable[[], int | None]) -> None:
        """Announce a series of rows.

        ``count()`` queries the number of rows; it returns ``None`` if the number is unknown.
        """

    def saw(self, label: str, outcome: Outcome) -> None:
        """Report the ``outcome`` of the row named ``label``."""

    def end(self) -> None:
        """Announce the end of the series."""


class Run:
    """A run in progress, with its report and its watcher.

    Only the thread that has started it uses it; ``workers`` is the number of threads that work on
    its rows, ``None`` the default one. Raises ``ValueError`` if the number is below ``at_least``.
    """

    def __init__(self, watcher: Watcher | None, workers: int | None = 1, at_least: int = 1) -> None:
        check_workers(workers, at_least)
        self.report = Report()
        self.watcher = watcher or Watcher()
        self._workers = workers
        self._key_errors = 0
        self._unreachable = 0
        self._most_unreachable = UNREACHABLE_IN_A_ROW

    def each(
        self,
        title: str,
        noun: str,
        rows: models.QuerySet[Any],
        act: Callable[..., Outcome | None],
        *,
        limit: int | None = None,
        order: Callable[[models.QuerySet[Any]], Iterator[tuple[Any, ...]]] = in_order,
        crew_of: CrewOf = crew_of,
    ) -> None:
        """Call ``act`` with each row's primary key, in the given ``order``, until the run is over.

        If ``order`` yields more than the key, ``act`` is called with all of it. It returns ``None``
        for a row that another process has settled or works on: that process reports it.
        ``limit`` is the maximum number of rows that are done or fail. Skipped rows do not count
        towards it, so that they never block the rows behind them.

        The workers work on several rows at once. When the run is over, they finish those.
        ``crew_of`` returns them.
        """
        left = math.inf if limit is None else limit
        crew = crew_of(self._workers, partial(attempt, lambda entry: act(*entry)), rows.db)
        self.expect_workers(crew.size)
        with self.series(title, rows), crew:
            try:
                for entry in order(rows):
                    if left == 0 or self.is_over():
                        break
                    crew.give(entry)
                    while 0 < min(crew.size, left) <= crew.in_progress:
                        left -= self._note_next(noun, crew)
            finally:
                finish(crew, partial(self._note_next, noun, crew))

    def expect_workers(self, number: int) -> None:
        """Stop later if there are many workers: all at once may meet the same short outage."""
        self._most_unreachable = max(UNREACHABLE_IN_A_ROW, 2 * number)

    def _note_next(self, noun: str, crew: AnyCrew) -> bool:
        """Note the next outcome of the crew; return whether it counts towards a limit."""
        (key, *_), outcome = crew.take_result()
        if outcome is None:
            return False
        self.note(f"{noun} id: {key}", outcome)
        return not outcome.skipped

    @contextmanager
    def series(self, title: str, rows: models.QuerySet[Any]) -> Iterator[None]:
        """Announce to the watcher that the block works on ``rows``."""
        with self.counting(title, rows.count):
            yield

    @contextmanager
    def counting(self, title: str, count: Callable[[], int | None]) -> Iterator[None]:
        """Announce a series of objects that are not rows, such as Stripe's events."""
        self.watcher.begin(title, count)
        try:
            yield
        finally:
            self.watcher.end()

    def is_over(self) -> bool:
        """Return whether the run ends before the next row; the report gets the reason."""
        if self.watcher.stop_reason:
            self.report.stopped = self.watcher.stop_reason
        elif self._key_errors >= KEY_ERRORS_IN_A_ROW:
            self.report.stopped = (
                f"Stripe rejected the API key or its permissions {self._key_errors} times in a row"
            )
        elif self._unreachable >= self._most_unreachable:
            self.report.stopped = f"Stripe could not be reached {self._unreachable} times in a row"
        return bool(self.report.stopped)

    def note(self, label: str, outcome: Outcome) -> None:
        """Count the outcome of a row and log its error.

        The first error of a kind is logged with its exception, for error trackers; later ones with
        their message only. If Stripe is down, all tracebacks of the run are the same.
        """
        failure = self.report.add(label, outcome)
        if failure is not None and failure.traceback:
            logger.error("Exception happened. %s", label, exc_info=outcome.error)
        elif failure is not None:
            logger.error("Exception happened. %s: %s", label, failure.error)
        self._count_in_a_row(outcome)
        self.watcher.saw(label, outcome)

    def _count_in_a_row(self, outcome: Outcome) -> None:
        if outcome.done or outcome.skipped in {WAITING, STILL_UNPAID}:
            self._key_errors = self._unreachable = 0
        if outcome.error is None:
            return
        if gateway.is_about_our_key(outcome.error):
            self._key_errors += 1
        elif _is_unreachable(outcome.error):
            self._unreachable += 1


def attempt(act: Callable[[T], Result], subject: T) -> Result | Outcome:
    """Return the outcome of ``act(subject)``, with the exception if it raises one.

    After an error, broken database connections are closed; the next row opens a new one.
    """
    outcome: Result | Outcome
    try:
        outcome = act(subject)
    except Exception as error:  # noqa: BLE001 (one bad row must not stop the others; it is logged)
        outcome = Outcome(error=error)
    if outcome is not None and outcome.error is not None:
        close_broken_connections()
    return outcome


def close_broken_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _is_unreachable(error: BaseException | None) -> bool:
    """Return whether Stripe did not respond, or too late, or with a response that says nothing."""
    if isinstance(error, StripeTooSlow):
        return True
    if isinstance(error, StripeInternalError):
        error = error.__cause__
    return (
        isinstance(error, gateway.StripeError)
        and gateway.meaning_of(error) is gateway.Meaning.UNKNOWN
    )
