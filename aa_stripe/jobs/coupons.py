"""The job ``refresh_coupons``: new, changed and deleted coupons, as Stripe lists them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from django.db import transaction
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.jobs.refresh import CHANGED_MEANWHILE, UNCHANGED, UPDATED, Refresh
from aa_stripe.jobs.report import Outcome, Report
from aa_stripe.jobs.run import Watcher, close_broken_connections
from aa_stripe.models import StripeCoupon, StripeCouponQuerySet
from aa_stripe.models.rows import stored

# Actions in the report.
CREATED = "created"
DELETED = "marked as deleted (gone at Stripe)"
WOULD = {
    CREATED: "would be created",
    UPDATED: "would be updated",
    DELETED: "would be marked as deleted (gone at Stripe)",
}

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
    it began. A coupon that fails does not stop the others.

    ``limit`` is the maximum number of coupons to read, the newest first; a run that reaches it
    marks nothing as deleted. ``rate`` is the maximum number of requests to Stripe per second;
    ``None`` means ``STRIPE_REQUESTS_PER_SECOND``. ``dry_run`` reads from Stripe and writes
    nothing.

    Two runs at the same time are safe. Raises ``ValueError`` if the rate is not above 0.
    """
    return CouponRefresh(limit=limit, dry_run=dry_run, watcher=watcher).report(rate)


def _rows() -> StripeCouponQuerySet:
    """Return all rows, deleted ones included, from the database that they are written to."""
    rows: StripeCouponQuerySet = StripeCoupon.objects.all_with_deleted()
    return rows.using(stored(StripeCoupon).db)


class CouponRefresh(Refresh[gateway.Coupon, StripeCoupon]):
    noun = "coupons"
    mirrored = MIRRORED
    would = WOULD

    def __init__(self, *, limit: int | None, dry_run: bool, watcher: Watcher | None) -> None:
        super().__init__(limit=limit, dry_run=dry_run, watcher=watcher)
        #: The time of the request for the page that is being refreshed.
        self._requested = self.started
        self._mode = gateway.is_live()
        self._is_of_one_mode = True
        #: The ids of coupons that are at Stripe, but whose rows could not be written.
        self._failed: set[str] = set()

    def listing(self) -> Iterator[gateway.Coupon]:
        return gateway.coupons()

    def rows(self) -> StripeCouponQuerySet:
        return _rows()

    def expected(self) -> StripeCouponQuerySet:
        is_live = gateway.is_live()
        return _rows().filter(is_created_at_stripe=True, is_deleted=False, livemode=is_live)

    def label(self, row: StripeCoupon) -> str:
        return f"Coupon id: {row.coupon_id}"

    def read_listing(self) -> bool:
        return super().read_listing() and self._is_of_one_mode

    def refresh_page(self, page: list[gateway.Coupon]) -> None:
        """Refresh a page: one query, one more to insert, two more to write."""
        coupons = page if self.left is None else page[: self.left]
        if self.left is not None:
            self.left -= len(coupons)
        rows = _rows_of(coupons)
        to_write = [row for coupon in coupons for row in self._refreshed(coupon, rows[coupon.id])]
        known = [row for row in to_write if not row._state.adding]
        self._insert([row for row in to_write if row._state.adding])
        if known:
            self.write(known)
        if any(coupon.livemode != self._mode for coupon in page):
            self._is_of_one_mode = False
        self._requested = timezone.now()

    def refresh_unlisted(self) -> None:
        """Mark the rows that the listing did not contain as deleted."""
        gone: dict[int, str] = {}
        for key, coupon_id in self.unlisted(self.expected(), "coupon_id"):
            if coupon_id not in self._failed:
                gone[key] = coupon_id
            if len(gone) == gateway.PAGE_SIZE:
                self._mark_deleted(gone)
                gone = {}
        self._mark_deleted(gone)

    def written(self, row: StripeCoupon) -> Outcome:
        return self.done(DELETED if row.is_deleted else UPDATED)

    def fail(self, row: StripeCoupon, error: Exception) -> None:
        self._fail(row.coupon_id, error)

    def _refreshed(self, coupon: gateway.Coupon, rows: list[StripeCoupon]) -> list[StripeCoupon]:
        """Update the ``rows`` of the coupon's id; return those that have to be written."""
        same = [row for row in rows if row.created_seconds == coupon.created]
        for row in same:
            self.seen.add(row.pk)
        # A row that was written since the page was requested, or that has a newer coupon of the id.
        if any(
            row.updated >= self._requested or row.created_seconds > coupon.created for row in rows
        ):
            self._note(coupon.id, Outcome(skipped=CHANGED_MEANWHILE))
            return []
        try:
            changed = [row for row in same if self._copy(coupon, row)] if same else [_new(coupon)]
        except Exception as error:  # noqa: BLE001 (one bad coupon must not stop the others)
            self._fail(coupon.id, error)
            return []
        if not changed:
            self._note(coupon.id, Outcome(done=UNCHANGED))
        older = [row for row in rows if row.created_seconds < coupon.created and not row.is_deleted]
        for row in older:
            row.is_deleted = True
        return changed + older

    def _copy(self, coupon: gateway.Coupon, row: StripeCoupon) -> bool:
        """Copy Stripe's coupon into the row; return whether that changed it."""
        before = self.values_of(row)
        row.update_from_stripe_data(coupon, commit=False)
        row.is_deleted = False
        return self.values_of(row) != before

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
                self.fail(rows[0], error)
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


def _rows_of(coupons: list[gateway.Coupon]) -> dict[str, list[StripeCoupon]]:
    """Return every row that has, or had, one of these ids, in the mode of its coupon."""
    modes = {coupon.id: coupon.livemode for coupon in coupons}
    found = defaultdict(list)
    for row in _rows().filter(coupon_id__in=list(modes), is_created_at_stripe=True):
        if row.livemode == modes[row.coupon_id]:
            found[row.coupon_id].append(row)
    return found


def _new(coupon: gateway.Coupon) -> StripeCoupon:
    row = StripeCoupon(coupon_id=coupon.id, is_created_at_stripe=True, updated=timezone.now())
    row.update_from_stripe_data(coupon, commit=False)
    row.identify()
    return row
