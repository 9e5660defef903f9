"""Taking over the coupons as Stripe has them: new ones, changed ones, those that are gone."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from django.db import router, transaction
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.pages import pages
from aa_stripe.jobs.report import Outcome, Report
from aa_stripe.jobs.rows import Keys, in_order, write_unchanged
from aa_stripe.jobs.run import Run, Watcher, close_broken_connections
from aa_stripe.models import StripeCoupon, StripeCouponQuerySet

# What is done, as the report counts it.
CREATED = "created"
UPDATED = "updated"
UNCHANGED = "unchanged"
DELETED = "marked as deleted, being gone at Stripe"
WOULD = {
    CREATED: "would be created",
    UPDATED: "would be updated",
    DELETED: "would be marked as deleted, being gone at Stripe",
}

# Why a coupon is left alone.
CHANGED_MEANWHILE = "changed here meanwhile"

#: The fields that are taken over.
MIRRORED = (*sorted(StripeCoupon.STRIPE_FIELDS), "stripe_response", "is_deleted")


def refresh_coupons(
    *,
    limit: int | None = None,
    rate: float | None = None,
    dry_run: bool = False,
    watcher: Watcher | None = None,
) -> Report:
    """Let the rows say what Stripe's listing of coupons says.

    Coupons without a row get one. When the listing has ended well, rows of the mode of the API
    key (live or test) that it did not name are marked as deleted, unless they were made or
    written since it began. One that fails does not stop the others.

    ``limit`` is how many coupons may be read, the newest first; nothing is marked as deleted
    then. ``rate`` is how many requests per second may go to Stripe, ``None`` for
    ``STRIPE_REQUESTS_PER_SECOND``. ``dry_run`` reads from Stripe, writes nothing.

    Running it twice at once is safe. Raises ``ValueError`` for a rate that is not above 0.
    """
    run = Run(watcher)
    refresh = _Refresh(run, limit, dry_run=dry_run)
    with at_rate(rate), run.series("Coupons", _live_rows()):
        if refresh.listed():
            refresh.unlisted()
    return run.report


def _rows() -> StripeCouponQuerySet:
    """All rows, from the database that is written to."""
    rows: StripeCouponQuerySet = StripeCoupon.objects.all_with_deleted()
    return rows.using(router.db_for_write(StripeCoupon))


def _live_rows() -> StripeCouponQuerySet:
    """The rows that should be at Stripe, as far as the API key can see."""
    return _rows().filter(is_created_at_stripe=True, is_deleted=False, livemode=gateway.is_live())


class _Refresh:
    def __init__(self, run: Run, limit: int | None, *, dry_run: bool) -> None:
        self._run = run
        self._left = limit
        self._is_dry_run = dry_run
        self._started = timezone.now()
        self._mode = gateway.is_live()
        self._seen = Keys()
        #: The ids of coupons that are at Stripe, and whose rows here are in doubt.
        self._unsettled: set[str] = set()

    def listed(self) -> bool:
        """Take over what Stripe lists; whether that was everything of the API key's mode."""
        asked, is_of_one_mode = self._started, True
        for coupons, error in pages(gateway.coupons):
            self._page(self._within_limit(coupons), asked)
            if error is not None:
                self._run.note("The listing of Stripe's coupons", Outcome(error=error))
            if error is not None or self._is_over():
                return False
            is_of_one_mode = is_of_one_mode and all(it.livemode == self._mode for it in coupons)
            asked = timezone.now()
        return is_of_one_mode

    def unlisted(self) -> None:
        """Mark the rows that the listing did not name.

        Not those that were made or written since it began: they may be newer than the listing.
        """
        rows = _live_rows().filter(updated__lt=self._started)
        gone: dict[int, str] = {}
        for key, coupon_id in in_order(rows, "coupon_id"):
            if key not in self._seen and coupon_id not in self._unsettled:
                gone[key] = coupon_id
            if len(gone) == gateway.PAGE_SIZE:
                self._mark_deleted(gone)
                gone = {}
        self._mark_deleted(gone)

    def _is_over(self) -> bool:
        return self._left == 0 or self._run.is_over()

    def _within_limit(self, coupons: list[gateway.Coupon]) -> list[gateway.Coupon]:
        if self._left is None:
            return coupons
        taken = coupons[: self._left]
        self._left -= len(taken)
        return taken

    # A page: one query, one more to insert, two more to write.

    def _page(self, coupons: list[gateway.Coupon], asked: datetime) -> None:
        """Take over a page that Stripe was ``asked`` for then."""
        rows = _rows_of(coupons)
        to_write = [
            row for coupon in coupons for row in self._take_over(coupon, rows[coupon.id], asked)
        ]
        known = [row for row in to_write if not row._state.adding]
        self._insert([row for row in to_write if row._state.adding])
        self._update(known)

    def _take_over(
        self, coupon: gateway.Coupon, rows: list[StripeCoupon], asked: datetime
    ) -> list[StripeCoupon]:
        """Let the rows of the coupon's id say what Stripe says; return those to be written."""
        same = [row for row in rows if _is_of(row, coupon)]
        for row in same:
            self._seen.add(row.pk)
        if any(row.updated >= asked or _is_newer(row, coupon) for row in rows):
            self._note(coupon.id, Outcome(skipped=CHANGED_MEANWHILE))
            return []
        try:
            changed = [row for row in same if _describe(row, coupon)] if same else [_new(coupon)]
        except Exception as error:  # noqa: BLE001 (one bad coupon must not stop the others)
            self._fail(coupon.id, error)
            return []
        if not changed:
            self._note(coupon.id, Outcome(done=UNCHANGED))
        older = [row for row in rows if _is_older(row, coupon)]
        for row in older:
            row.is_deleted = True
        return changed + older

    def _insert(self, rows: list[StripeCoupon]) -> None:
        """Insert the rows together; one by one if the database refuses one of them."""
        if not rows:
            return
        try:
            if not self._is_dry_run:
                with transaction.atomic(using=_rows().db):
                    _rows().bulk_create(rows)
        except Exception as error:  # noqa: BLE001 (it is logged)
            close_broken_connections()
            if len(rows) > 1:
                for row in rows:
                    row.pk = None
                    self._insert([row])
            elif (stored := _rows().filter(identity=rows[0].identity).first()) is not None:
                self._seen.add(stored.pk)
                self._note(rows[0].coupon_id, Outcome(skipped=CHANGED_MEANWHILE))
            else:
                self._fail(rows[0].coupon_id, error)
            return
        for row in rows:
            if row.pk is not None:
                self._seen.add(row.pk)
            self._note(row.coupon_id, self._done(CREATED))

    def _update(self, rows: list[StripeCoupon]) -> None:
        """Write the rows together; one by one if the database refuses what one of them says."""
        if not rows:
            return
        try:
            written = {row.pk for row in rows} if self._is_dry_run else self._written(rows)
        except Exception as error:  # noqa: BLE001 (it is logged)
            close_broken_connections()
            if len(rows) == 1:
                self._fail(rows[0].coupon_id, error)
                return
            for row in rows:
                self._update([row])
            return
        for row in rows:
            if row.pk not in written:
                self._note(row.coupon_id, Outcome(skipped=CHANGED_MEANWHILE))
            else:
                self._note(row.coupon_id, self._done(DELETED if row.is_deleted else UPDATED))

    def _written(self, rows: list[StripeCoupon]) -> set[int]:
        return write_unchanged(rows, _rows(), MIRRORED)

    def _mark_deleted(self, gone: dict[int, str]) -> None:
        """One statement for all, which passes over what was written meanwhile."""
        if not gone:
            return
        if not self._is_dry_run:
            rows = _rows().filter(pk__in=gone, updated__lt=self._started)
            rows.update(is_deleted=True, updated=timezone.now())
        for coupon_id in gone.values():
            self._note(coupon_id, self._done(DELETED))

    def _fail(self, coupon_id: str, error: Exception) -> None:
        self._unsettled.add(coupon_id)
        self._note(coupon_id, Outcome(error=error))

    def _note(self, coupon_id: str, outcome: Outcome) -> None:
        self._run.note(f"Coupon id: {coupon_id}", outcome)

    def _done(self, what: str) -> Outcome:
        return Outcome(done=WOULD[what] if self._is_dry_run else what)


def _rows_of(coupons: list[gateway.Coupon]) -> dict[str, list[StripeCoupon]]:
    """Every row that has, or had, one of these ids, in the mode of its coupon."""
    modes = {coupon.id: coupon.livemode for coupon in coupons}
    found = defaultdict(list)
    for row in _rows().filter(coupon_id__in=list(modes), is_created_at_stripe=True):
        if row.livemode == modes[row.coupon_id]:
            found[row.coupon_id].append(row)
    return found


def _is_of(row: StripeCoupon, coupon: gateway.Coupon) -> bool:
    return row.created_seconds == coupon.created


def _is_newer(row: StripeCoupon, coupon: gateway.Coupon) -> bool:
    """Whether Stripe has given the id away again since the page was read."""
    return row.created_seconds > coupon.created


def _is_older(row: StripeCoupon, coupon: gateway.Coupon) -> bool:
    return row.created_seconds < coupon.created and not row.is_deleted


def _describe(row: StripeCoupon, coupon: gateway.Coupon) -> bool:
    """Let the row say what Stripe says; whether it said something else."""
    before = [getattr(row, name) for name in MIRRORED]
    row.update_from_stripe_data(coupon, commit=False)
    row.is_deleted = False
    return [getattr(row, name) for name in MIRRORED] != before


def _new(coupon: gateway.Coupon) -> StripeCoupon:
    row = StripeCoupon()
    row.become(coupon)
    row.updated = timezone.now()
    return row
