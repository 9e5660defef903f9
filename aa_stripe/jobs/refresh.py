"""The base of the jobs that refresh rows from one of Stripe's listings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any, ClassVar, Generic, TypeVar

from django.db import models
from django.utils import timezone

from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.pages import pages
from aa_stripe.jobs.report import Outcome, Report
from aa_stripe.jobs.run import Run, Watcher, close_broken_connections
from aa_stripe.models.rows import in_order, lockable

T = TypeVar("T")
M = TypeVar("M", bound=models.Model)

# Actions in the report.
UPDATED = "updated"
UNCHANGED = "unchanged"

# The reason in the report why a row is skipped.
CHANGED_MEANWHILE = "changed here meanwhile"


class Refresh(ABC, Generic[T, M]):
    """One run: Stripe's listing page by page, then the rows that it did not contain.

    ``T`` is the type of Stripe's objects, ``M`` the model of their rows.
    """

    #: The plural of what is refreshed, in lower case.
    noun: ClassVar[str]
    #: The fields that are copied from Stripe.
    mirrored: ClassVar[Sequence[str]]
    #: For each action: its name in the report of a dry run.
    would: ClassVar[Mapping[str, str]]

    def __init__(self, *, limit: int | None, dry_run: bool, watcher: Watcher | None) -> None:
        self.run = Run(watcher)
        #: How many objects may still be refreshed; ``None`` is no limit.
        self.left = limit
        self.is_dry_run = dry_run
        self.started = timezone.now()
        #: The primary keys of the rows that the listing contained.
        self.seen = Keys()

    def report(self, rate: float | None) -> Report:
        """Run the job and return its report."""
        with at_rate(rate), self.run.series(self.noun.capitalize(), self.expected()):
            if self.read_listing():
                self.refresh_unlisted()
        return self.run.report

    def read_listing(self) -> bool:
        """Refresh the objects of the listing; return whether it was read to its end."""
        for page, error in pages(self.listing):
            self.refresh_page(page)
            if error is not None:
                self.run.note(f"The listing of Stripe's {self.noun}", Outcome(error=error))
            if error is not None or self.is_over():
                return False
        return True

    def is_over(self) -> bool:
        return self.left == 0 or self.run.is_over()

    def unlisted(self, rows: models.QuerySet[M], field: str) -> Iterator[tuple[int, str]]:
        """Yield the primary key and ``field`` of those ``rows`` that the listing did not contain.

        Rows that were written since the run began are excluded: they may be newer than the listing.
        """
        for key, value in in_order(rows.filter(updated__lt=self.started), field):
            if key not in self.seen:
                yield key, value

    def write(self, rows: list[M]) -> None:
        """Write the rows together; one by one if the database rejects one of them."""
        try:
            written = (
                {row.pk for row in rows}
                if self.is_dry_run
                else write_unchanged(rows, self.rows(), self.mirrored)
            )
        except Exception as error:  # noqa: BLE001 (it is logged)
            close_broken_connections()
            if len(rows) == 1:
                self.fail(rows[0], error)
                return
            for row in rows:
                self.write([row])
            return
        for row in rows:
            is_written = row.pk in written
            self.note(row, self.written(row) if is_written else Outcome(skipped=CHANGED_MEANWHILE))

    def note(self, row: M, outcome: Outcome) -> None:
        self.run.note(self.label(row), outcome)

    def fail(self, row: M, error: Exception) -> None:
        self.note(row, Outcome(error=error))

    def done(self, what: str) -> Outcome:
        return Outcome(done=self.would[what] if self.is_dry_run else what)

    def values_of(self, row: M) -> list[Any]:
        return [getattr(row, name) for name in self.mirrored]

    @abstractmethod
    def listing(self) -> Iterator[T]:
        """Return Stripe's listing, newest objects first."""

    @abstractmethod
    def rows(self) -> models.QuerySet[M]:
        """Return all rows, from the database that they are written to."""

    @abstractmethod
    def expected(self) -> models.QuerySet[M]:
        """Return the rows that should be in the listing."""

    @abstractmethod
    def refresh_page(self, page: list[T]) -> None:
        """Refresh the rows of a page's objects."""

    @abstractmethod
    def refresh_unlisted(self) -> None:
        """Refresh the rows that a complete listing did not contain."""

    @abstractmethod
    def label(self, row: M) -> str:
        """Return how the report names the row."""

    @abstractmethod
    def written(self, row: M) -> Outcome:
        """Return the outcome of a row that was written."""


def write_unchanged(
    rows: Sequence[Any], current: models.QuerySet[Any], fields: Sequence[str]
) -> set[int]:
    """Write ``fields`` of the rows that have not changed since they were read.

    ``current`` is the queryset to compare with and to write to. Returns the primary keys of the
    written rows. A change made while we call Stripe is newer than Stripe's response, so it is not
    overwritten.
    """
    with lockable(current.db):
        read = {row.pk: row.updated for row in rows}
        stamps = current.select_for_update().filter(pk__in=read).values_list("pk", "updated")
        unchanged = {pk for pk, updated in stamps if updated == read[pk]}
        now = timezone.now()
        fresh = [copy(row) for row in rows if row.pk in unchanged]
        for row in fresh:
            row.updated = now
        current.bulk_update(fresh, [*fields, "updated"])
    return unchanged


class Keys:
    """A set of whole numbers that uses a few bits for each, instead of about sixty bytes."""

    def __init__(self) -> None:
        self._words: dict[int, int] = {}

    def add(self, key: int) -> None:
        word, bit = divmod(key, 64)
        self._words[word] = self._words.get(word, 0) | 1 << bit

    def __contains__(self, key: int) -> bool:
        word, bit = divmod(key, 64)
        return bool(self._words.get(word, 0) >> bit & 1)
