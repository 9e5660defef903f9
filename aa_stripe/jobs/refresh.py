"""The base of the jobs that refresh rows from one of Stripe's listings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, Generic, TypeVar

from django.db import models
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.jobs.pages import pages
from aa_stripe.jobs.report import Outcome
from aa_stripe.jobs.run import Run, Watcher
from aa_stripe.models.rows import in_order

M = TypeVar("M", bound=models.Model)

# Actions in the report.
UPDATED = "updated"
UNCHANGED = "unchanged"


class Refresh(ABC, Generic[M]):
    """One run: Stripe's listing page by page, then the rows that it did not contain.

    ``M`` is the model of the rows.
    """

    #: The name of the command.
    job: ClassVar[str]
    #: The plural of what is refreshed, in lower case.
    noun: ClassVar[str]
    #: For each action: its name in the report of a dry run.
    would: ClassVar[Mapping[str, str]]

    def __init__(
        self,
        *,
        limit: int | None,
        dry_run: bool,
        watcher: Watcher | None,
        workers: int | None = 1,
    ) -> None:
        self.run = Run(watcher, workers)
        self.workers = workers
        #: How many objects may still be refreshed; ``None`` is no limit.
        self.left = limit
        self.is_dry_run = dry_run
        self.started = timezone.now()
        #: Whether the listing was read to its end.
        self.is_listed = False
        #: The primary keys of the rows that the listing contained.
        self.seen = Keys()

    def is_over(self) -> bool:
        return self.left == 0 or self.run.is_over()

    def listed_pages(self) -> Iterator[list[gateway.JSON]]:
        """Yield the pages of the listing; an error that ends it is a failure of the run."""
        for page, error in pages(self.listing):
            yield page
            if error is not None:
                self.run.note(f"The listing of Stripe's {self.noun}", Outcome(error=error))
                return
        self.is_listed = True

    def unlisted(self, rows: models.QuerySet[M], field: str) -> Iterator[tuple[int, str]]:
        """Yield the primary key and ``field`` of the ``rows`` that the listing did not contain."""
        for key, value in in_order(rows, field):
            if key not in self.seen:
                yield key, value

    def note(self, row: M, outcome: Outcome) -> None:
        self.run.note(self.label(row), outcome)

    def done(self, what: str) -> Outcome:
        return Outcome(done=self.would.get(what, what) if self.is_dry_run else what)

    @abstractmethod
    def listing(self) -> Iterator[gateway.JSON]:
        """Return Stripe's listing, newest objects first."""

    @abstractmethod
    def expected(self) -> models.QuerySet[M]:
        """Return the rows that should be in the listing."""

    @abstractmethod
    def label(self, row: M) -> str:
        """Return how the report names the row."""


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
