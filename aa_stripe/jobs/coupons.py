"""The job ``refresh_coupons``: new, changed and deleted coupons, as Stripe lists them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

from django.db import transaction
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.jobs.memory import remember
from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.refresh import UNCHANGED, UPDATED, Refresh
from aa_stripe.jobs.report import Outcome, Report
from aa_stripe.jobs.run import Watcher, attempt, close_broken_connections
from aa_stripe.models import StripeCoupon, StripeCouponQuerySet, StripeCustomer
from aa_stripe.models.rows import lockable, stored
from aa_stripe.utils import as_stored

# Actions in the report.
CREATED = "created"
DELETED = "marked as deleted (gone at Stripe)"
WOULD = {
    CREATED: "would be created",
    UPDATED: "would be updated",
    DELETED: "would be marked as deleted (gone at Stripe)",
}

# The reason in the report why a row is skipped.
CHANGED_MEANWHILE = "changed here meanwhile"

#: The fields that are copied from Stripe.
MIRRORED = (*sorted(StripeCoupon.STRIPE_FIELDS), "stripe_response", "is_deleted")


def refresh_coupons(
    *,
    limit: int | None = None,
    rate: float | None = None,
    dry_run: bool = False,
    watcher: Watcher | None = None,
) -> Report:
    """Update the rows from Stripe's listing of coupons; return a ``Report``.

    Coupons without a row get one. After a complete listing, rows in the API key's mode (live or
    test) that it did not contain are marked as deleted, unless they were created or written since
    it began. A coupon that fails does not stop the others. If Stripe knows none of the newest
    customers, the API key is that of another account: that is a failure, and nothing is written.

    ``limit`` is the maximum number of coupons to read, the newest first; a run that reaches it
    marks nothing as deleted. ``rate`` is the maximum number of requests to Stripe per second;
    ``None`` means ``STRIPE_REQUESTS_PER_SECOND``. ``dry_run`` reads from Stripe and writes
    nothing.

    Two runs at the same time are safe. Raises ``ValueError`` if the rate is not above 0.
    """
    job = CouponRefresh(limit=limit, dry_run=dry_run, watcher=watcher)
    report = job.report(rate)
    if not dry_run:
        remember(job.job, report)
    return report


def _rows() -> StripeCouponQuerySet:
    """Return all rows, deleted ones included, from the database that they are written to."""
    rows: StripeCouponQuerySet = StripeCoupon.objects.all_with_deleted()
    return rows.using(stored(StripeCoupon).db)


class CouponRefresh(Refresh[StripeCoupon]):
    job = "refresh_coupons"
    noun = "coupons"
    would = WOULD

    def __init__(self, *, limit: int | None, dry_run: bool, watcher: Watcher | None) -> None:
        super().__init__(limit=limit, dry_run=dry_run, watcher=watcher)
        #: The time of the request for the page that is being refreshed.
        self._requested = self.started
        self._mode = gateway.is_live()
        self._is_of_one_mode = True
        #: The ids of coupons that are at Stripe, but whose rows could not be written.
        self._failed: set[str] = set()

    def listing(self) -> Iterator[gateway.JSON]:
        return gateway.coupons()

    def expected(self) -> StripeCouponQuerySet:
        is_live = gateway.is_live()
        return _rows().filter(is_created_at_stripe=True, is_deleted=False, livemode=is_live)

    def label(self, row: StripeCoupon) -> str:
        return f"Coupon id: {row.coupon_id}"

    def report(self, rate: float | None) -> Report:
        """Run the job and return its report."""
        with at_rate(rate), self.run.series("Coupons", self.expected()):
            if not self._is_right_account():
                return self.run.report
            self._refresh_listed()
            if self.is_listed and self._is_of_one_mode and not self.is_over():
                self._refresh_unlisted()
        return self.run.report

    def _is_right_account(self) -> bool:
        """Return whether the coupons are those of this site's account; else note the failure."""
        outcome = attempt(lambda _: StripeCustomer.reject_other_account(), None)
        if outcome is not None:
            self.run.note("The account of the API key", outcome)
        return outcome is None

    def _refresh_listed(self) -> None:
        for page in self.listed_pages():
            self._refresh_page(page)
            if self.is_over():
                return

    def _refresh_page(self, page: list[gateway.JSON]) -> None:
        """Refresh a page: one query, one more to insert, two more to write."""
        coupons = page if self.left is None else page[: self.left]
        if self.left is not None:
            self.left -= len(coupons)
        rows = _rows_of(coupons)
        to_write = [
            row for coupon in coupons for row in self._refreshed(coupon, rows[coupon["id"]])
        ]
        known = [row for row in to_write if not row._state.adding]
        self._insert([row for row in to_write if row._state.adding])
        if known:
            self._write(known)
        if any(coupon["livemode"] != self._mode for coupon in page):
            self._is_of_one_mode = False
        self._requested = timezone.now()

    def _refresh_unlisted(self) -> None:
        """Mark the rows that the listing did not contain as deleted."""
        # Rows that were written since the run began may be newer than the listing.
        unwritten = self.expected().filter(updated__lt=self.started)
        gone: dict[int, str] = {}
        for key, coupon_id in self.unlisted(unwritten, "coupon_id"):
            if coupon_id not in self._failed:
                gone[key] = coupon_id
            if len(gone) == gateway.PAGE_SIZE:
                self._mark_deleted(gone)
                gone = {}
        self._mark_deleted(gone)

    def _write(self, rows: list[StripeCoupon]) -> None:
        """Write the rows together; one by one if the database rejects one of them."""
        try:
            keys = {row.pk for row in rows}
            written = keys if self.is_dry_run else write_unchanged(rows, _rows(), MIRRORED)
        except Exception as error:  # noqa: BLE001 (it is logged)
            close_broken_connections()
            if len(rows) == 1:
                self._fail(rows[0].coupon_id, error)
                return
            for row in rows:
                self._write([row])
            return
        for row in rows:
            done = self.done(DELETED if row.is_deleted else UPDATED)
            self.note(row, done if row.pk in written else Outcome(skipped=CHANGED_MEANWHILE))

    def _refreshed(self, coupon: gateway.JSON, rows: list[StripeCoupon]) -> list[StripeCoupon]:
        """Update the ``rows`` of the coupon's id; return those that have to be written."""
        created = as_stored(coupon["created"])
        same = [row for row in rows if row.created_seconds == created and not row.is_released]
        for row in same:
            self.seen.add(row.pk)
        # A row that was written since the page was requested, or that has a newer coupon of the id.
        if any(row.updated >= self._requested or row.created_seconds > created for row in rows):
            self._note(coupon["id"], Outcome(skipped=CHANGED_MEANWHILE))
            return []
        try:
            changed = [row for row in same if self._copy(coupon, row)] if same else [_new(coupon)]
        except Exception as error:  # noqa: BLE001 (one bad coupon must not stop the others)
            self._fail(coupon["id"], error)
            return []
        if not changed:
            self._note(coupon["id"], Outcome(done=UNCHANGED))
        older = [row for row in rows if row.created_seconds < created and not row.is_deleted]
        for row in older:
            row.is_deleted = True
        return changed + older

    def _copy(self, coupon: gateway.JSON, row: StripeCoupon) -> bool:
        """Copy Stripe's coupon into the row; return whether that changed it."""
        before = _values_of(row)
        row.update_from_stripe_data(coupon, commit=False)
        row.is_deleted = False
        return _values_of(row) != before

    def _insert(self, rows: list[StripeCoupon]) -> None:
        """Insert the rows together; one by one if the database rejects one of them."""
        if not rows:
            return
        try:
            if not self.is_dry_run:
                with transaction.atomic(using=_rows().db):
                    _rows().bulk_create(rows)
        except Exception as error:  # noqa: BLE001 (it is logged)
            close_broken_connections()
            if len(rows) > 1:
                for row in rows:
                    row.pk = None
                    self._insert([row])
            elif (first := _rows().filter(identity=rows[0].identity).first()) is not None:
                self.seen.add(first.pk)
                self.note(rows[0], Outcome(skipped=CHANGED_MEANWHILE))
            else:
                self._fail(rows[0].coupon_id, error)
            return
        for row in rows:
            if row.pk is not None:
                self.seen.add(row.pk)
            self.note(row, self.done(CREATED))

    def _mark_deleted(self, gone: dict[int, str]) -> None:
        """Mark the rows in one statement, except rows that were written meanwhile."""
        if not gone:
            return
        if not self.is_dry_run:
            rows = _rows().filter(pk__in=gone, updated__lt=self.started)
            rows.update(is_deleted=True, updated=timezone.now())
        for coupon_id in gone.values():
            self._note(coupon_id, self.done(DELETED))

    def _fail(self, coupon_id: str, error: Exception) -> None:
        self._failed.add(coupon_id)
        self._note(coupon_id, Outcome(error=error))

    def _note(self, coupon_id: str, outcome: Outcome) -> None:
        self.run.note(f"Coupon id: {coupon_id}", outcome)


def write_unchanged(
    rows: Sequence[StripeCoupon], current: StripeCouponQuerySet, fields: Sequence[str]
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


def _values_of(row: StripeCoupon) -> list[Any]:
    return [getattr(row, name) for name in MIRRORED]


def _rows_of(coupons: list[gateway.JSON]) -> dict[str, list[StripeCoupon]]:
    """Return every row that has, or had, one of these ids, in the mode of its coupon."""
    modes = {coupon["id"]: coupon["livemode"] for coupon in coupons}
    found = defaultdict(list)
    for row in _rows().filter(coupon_id__in=list(modes), is_created_at_stripe=True):
        if row.livemode == modes[row.coupon_id]:
            found[row.coupon_id].append(row)
    return found


def _new(coupon: gateway.JSON) -> StripeCoupon:
    row = StripeCoupon(coupon_id=coupon["id"], is_created_at_stripe=True, updated=timezone.now())
    row.update_from_stripe_data(coupon, commit=False)
    row.identify()
    return row
