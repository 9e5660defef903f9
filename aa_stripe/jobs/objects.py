"""The base of the jobs that refresh the rows of objects that have changed at Stripe.

Which objects have changed, Stripe's events since the last complete run say. Without such a run, or
if Stripe no longer lists all events since then, every row is compared with Stripe's listing.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice
from typing import Any, ClassVar, TypeAlias, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db import models

from aa_stripe import gateway
from aa_stripe.exceptions import StripeWebhookParseError
from aa_stripe.jobs.crew import Alone, Crew, crew_of, finish
from aa_stripe.jobs.memory import ended_well, last_refresh, remember, remember_refresh
from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.pages import pages
from aa_stripe.jobs.refresh import UNCHANGED, UPDATED, Refresh
from aa_stripe.jobs.report import Outcome, Report
from aa_stripe.jobs.run import close_broken_connections
from aa_stripe.models.latest import Write, has_values, write_newer
from aa_stripe.models.rows import in_order

M = TypeVar("M", bound=models.Model)

#: An object's id, the object if it was listed, and its rows.
Work: TypeAlias = tuple[str, gateway.JSON | None, list[Any]]

#: The outcomes of an object's rows.
Outcomes: TypeAlias = list[tuple[Any, Outcome]]

logger = logging.getLogger("aa-stripe")

#: How far the events of two runs overlap. Our clock and Stripe's may differ, by less than the age
#: at which a webhook's signature is refused, and an event may be listed a while after it happened.
OVERLAP = timedelta(minutes=10)

# Reasons in the report why a row is skipped.
NOT_HERE = "only at Stripe"
NOT_AT_STRIPE = "unknown to Stripe"
DELETED_MEANWHILE = "deleted here meanwhile"


class ObjectRefresh(Refresh[M]):
    """One run. Several workers retrieve the objects that differ from their rows."""

    #: The field with Stripe's id.
    id_field: ClassVar[str]
    #: The events after which a row may no longer be as Stripe has its object.
    event_types: ClassVar[Sequence[str]]

    def report(self, rate: float | None, *, everything: bool) -> Report:
        """Run the job and return its report."""
        with at_rate(rate):
            since = None if everything else last_refresh(self.job)
            is_complete = self._refresh_all() if since is None else self._refresh_changed(since)
        report = self.run.report
        if self.is_dry_run:
            return report
        if is_complete and ended_well(report):
            remember_refresh(self.job, self.started)
        else:
            remember(self.job, report)
        return report

    def _refresh_all(self) -> bool:
        """Refresh every row; return whether that was done."""
        with self.run.series(self.noun.capitalize(), self.expected()):
            self._work_through(self._listed())
            if self.is_listed:
                self._work_through(self._unlisted())
        return not self.is_over()

    def _refresh_changed(self, since: datetime) -> bool:
        """Refresh the rows whose objects have changed since then; return whether that was done."""
        changed = self._changed(since)
        with self.run.counting(self.noun.capitalize(), lambda: len(changed)):
            self._work_through(self._rows_of_each(iter(changed.values())))
        return not self.is_over()

    # What to work on: the generators below run in the thread of the run.

    def _listed(self) -> Iterator[Work]:
        for page in self.listed_pages():
            rows = self.rows_of(page)
            self.run.report.skipped[NOT_HERE] += sum(it["id"] not in rows for it in page)
            for each in page:
                own = rows.get(each["id"], [])
                for row in own:
                    self.seen.add(row.pk)
                if own:
                    yield each["id"], each, own

    def _unlisted(self) -> Iterator[Work]:
        # Rows that were created since the run began may be missing in the listing.
        rows = self.unlisted(self.expected().filter(created__lt=self.started), self.id_field)
        return self._rows_of_each({"id": stripe_id} for _key, stripe_id in rows)

    def _changed(self, since: datetime) -> dict[str, gateway.JSON]:
        """Return the objects named by the events since then, the first named last.

        And those of rows that were written since then and have never been refreshed.
        """
        # In seconds: with USE_TZ = False, an hour of the local time does not exist in spring.
        first = int(since.timestamp() - OVERLAP.total_seconds())
        last = int(self.started.timestamp() + OVERLAP.total_seconds())
        found: dict[str, gateway.JSON] = {}
        for page, error in pages(partial(gateway.events, first, last, self.event_types)):
            for each in chain.from_iterable(map(self._named_in, page)):
                found.setdefault(each["id"], each)
            if error is not None:
                self.run.note("The listing of Stripe's events", Outcome(error=error))
            if self.run.is_over():
                return {}
        new = self.rows().filter(updated__gte=since - OVERLAP, stripe_response={})
        return found | {
            stripe_id: {"id": stripe_id} for _, stripe_id in in_order(new, self.id_field)
        }

    def _named_in(self, event: gateway.JSON) -> Iterable[gateway.JSON]:
        try:
            return self.named_in(event)
        except StripeWebhookParseError as error:  # no retry would help
            logger.warning("Event %s names none of the %s: %s", event["id"], self.noun, error)
            return ()

    def _rows_of_each(self, objects: Iterator[gateway.JSON]) -> Iterator[Work]:
        """Yield the objects that have rows, a query for each hundred objects."""
        while batch := list(islice(objects, gateway.PAGE_SIZE)):
            rows = self.rows_of(batch)
            self.run.report.skipped[NOT_HERE] += sum(it["id"] not in rows for it in batch)
            for stripe_id, own in rows.items():
                yield stripe_id, None, own

    # The work

    def _work_through(self, works: Iterator[Work]) -> None:
        """Refresh the rows until the run is over; then finish those in progress."""
        crew = crew_of(self.workers, self._refreshed, self.rows().db)
        self.run.expect_workers(crew.size)
        with crew:
            try:
                while not self.is_over() and (work := next(works, None)) is not None:
                    crew.give(work)
                    if self.left is not None:
                        self.left -= 1
                    while crew.in_progress >= crew.size:
                        self._note_next(crew)
            finally:
                finish(crew, partial(self._note_next, crew))

    def _note_next(self, crew: Alone[Outcomes] | Crew[Outcomes]) -> None:
        _work, outcomes = crew.take_result()
        for row, outcome in outcomes:
            self.note(row, outcome)

    def _refreshed(self, work: Work) -> Outcomes:
        """Refresh the rows of one object. Several workers call it at the same time."""
        stripe_id, listed, rows = work
        outcomes: dict[Any, Outcome] = {}
        try:
            self._refresh(stripe_id, listed, rows, outcomes)
        except ObjectDoesNotExist:
            self._skip_deleted(rows, outcomes)
            if left := [row for row in rows if row.pk not in outcomes]:
                outcomes |= {row.pk: it for row, it in self._refreshed((stripe_id, None, left))}
        except Exception as error:  # noqa: BLE001 (it is logged)
            close_broken_connections()
            # Not deactivated: the key may be of another account, or of the other mode.
            is_unknown = isinstance(error, gateway.InvalidRequestError) and error.http_status == 404
            failure = Outcome(skipped=NOT_AT_STRIPE) if is_unknown else Outcome(error=error)
            outcomes = {row.pk: outcomes.get(row.pk, failure) for row in rows}
        return [(row, outcomes[row.pk]) for row in rows]

    def _refresh(
        self,
        stripe_id: str,
        listed: gateway.JSON | None,
        rows: list[M],
        outcomes: dict[Any, Outcome],
    ) -> None:
        def write(row: Any, version: object, values: dict[str, Any]) -> bool:
            is_same = has_values(row, values)
            # An event is not read again, so what it led to is written even if it is the same: then
            # no other process can write an older response, which it got before.
            is_as_listed = is_same and listed is not None and row.updated == version
            is_kept = self.is_dry_run or is_as_listed
            if not is_kept and not write_newer(row, version, values):
                return False
            outcomes[row.pk] = self.done(UNCHANGED if is_same else self.action_of(values))
            return True

        if listed is None:
            self.refresh_rows(rows, stripe_id, write)
        else:
            self.refresh_listed(rows, listed, write)

    def _skip_deleted(self, rows: list[M], outcomes: dict[Any, Outcome]) -> None:
        kept = set(self.rows().filter(pk__in=[it.pk for it in rows]).values_list("pk", flat=True))
        deleted = {row.pk for row in rows} - kept - set(outcomes)
        outcomes |= dict.fromkeys(deleted, Outcome(skipped=DELETED_MEANWHILE))

    def action_of(self, values: dict[str, Any]) -> str:
        """Return the action of writing the values."""
        return UPDATED

    @abstractmethod
    def rows(self) -> models.QuerySet[M]:
        """Return all rows with Stripe's id, from the database that they are written to."""

    def rows_of(self, objects: Sequence[gateway.JSON]) -> dict[str, list[M]]:
        """Return the rows of each object that has any, by Stripe's id."""
        found = defaultdict(list)
        for stripe_id, row in self.row_of_each(objects):
            found[stripe_id].append(row)
        return dict(found)

    @abstractmethod
    def row_of_each(self, objects: Sequence[gateway.JSON]) -> Iterable[tuple[str, M]]:
        """Return Stripe's id and the row for each row of the objects, read by one query."""

    @abstractmethod
    def named_in(self, event: gateway.JSON) -> Iterable[gateway.JSON]:
        """Return the objects that the event is about: their ids, and what ``row_of_each`` needs.

        Raises ``StripeWebhookParseError`` if the event is not as Stripe renders it.
        """

    @abstractmethod
    def refresh_rows(self, rows: Sequence[M], stripe_id: str, write: Write) -> object:
        """Retrieve the object and update its rows."""

    @abstractmethod
    def refresh_listed(self, rows: Sequence[M], listed: gateway.JSON, write: Write) -> None:
        """Update the rows of the object of the listing, which may be older than the rows."""
