"""Taking over what customers can pay with, as Stripe knows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from itertools import chain, islice

from django.db.models import QuerySet
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.pages import pages
from aa_stripe.jobs.report import Outcome, Report
from aa_stripe.jobs.run import Run, Watcher, attempt, close_broken_connections
from aa_stripe.models import StripeCustomer
from aa_stripe.models.rows import Keys, in_order, stored, write_unchanged

# What is done, as the report counts it.
UPDATED = "updated"
UNCHANGED = "unchanged"
DEACTIVATED = "deactivated, being deleted at Stripe"
WOULD_UPDATE = "would be updated"
WOULD_DEACTIVATE = "would be deactivated, being deleted at Stripe"

# Why a customer is left alone.
CHANGED_MEANWHILE = "changed here meanwhile"
NOT_HERE = "only at Stripe"
NOT_AT_STRIPE = "unknown to Stripe"

#: The fields that are taken over.
MIRRORED = ("stripe_response", "sources", "default_source", "is_active")


def refresh_customers(
    *,
    limit: int | None = None,
    rate: float | None = None,
    dry_run: bool = False,
    watcher: Watcher | None = None,
) -> Report:
    """Take over the cards of every customer in Stripe's listing that has a row here.

    One that fails does not stop the others. When the listing has ended well, active rows that it
    did not name are asked for one by one, and those deleted at Stripe are deactivated.

    ``limit`` is how many customers may be refreshed, the newest first; those that the listing
    did not name are left alone then. ``rate`` is how many requests per second may go to Stripe,
    ``None`` for ``STRIPE_REQUESTS_PER_SECOND``. ``dry_run`` reads from Stripe, writes nothing.

    Running it twice at once is safe. Raises ``ValueError`` for a rate that is not above 0.
    """
    run = Run(watcher)
    refresh = _Refresh(run, limit, dry_run=dry_run)
    with at_rate(rate), run.series("Customers", _customers()):
        if refresh.listed():
            refresh.unlisted()
    return run.report


def _customers() -> QuerySet[StripeCustomer]:
    """Every row that is a customer at Stripe."""
    return stored(StripeCustomer).exclude(stripe_customer_id="")


class _Refresh:
    def __init__(self, run: Run, limit: int | None, *, dry_run: bool) -> None:
        self._run = run
        self._left = limit
        self._is_dry_run = dry_run
        self._started = timezone.now()
        self._seen = Keys()

    def listed(self) -> bool:
        """Refresh what Stripe lists; whether that was everything."""
        for customers, error in pages(gateway.customers):
            self._page(customers)
            if error is not None:
                self._run.note("The listing of Stripe's customers", Outcome(error=error))
            if error is not None or self._is_over():
                return False
        return True

    def unlisted(self) -> None:
        """Ask for the active rows that the listing did not name.

        Not for those that were written since it began: they may be newer than the listing.
        """
        rows = _customers().filter(is_active=True, updated__lt=self._started)
        unseen = (
            (stripe_id, key)
            for key, stripe_id in in_order(rows, "stripe_customer_id")
            if key not in self._seen
        )
        while not self._is_over() and (batch := dict(islice(unseen, gateway.PAGE_SIZE))):
            found = [self._retrieve(*it) for it in batch.items() if not self._is_over()]
            self._page([customer for customer in found if customer is not None])

    def _is_over(self) -> bool:
        return self._left == 0 or self._run.is_over()

    def _retrieve(self, stripe_id: str, key: int) -> gateway.Customer | None:
        try:
            return gateway.retrieve_customer(stripe_id)
        except Exception as error:  # noqa: BLE001 (it is logged)
            # Never deactivated for that: the key may be one of another account, or of test mode.
            is_unknown = isinstance(error, gateway.InvalidRequestError) and error.http_status == 404
            outcome = Outcome(skipped=NOT_AT_STRIPE) if is_unknown else Outcome(error=error)
            self._run.note(_label(key), outcome)
            return None

    def _page(self, customers: list[gateway.Customer]) -> None:
        """Refresh the rows of a page: one query, and two more if there is something to write."""
        rows = _rows_of(customers)
        for row in chain.from_iterable(rows.values()):
            self._seen.add(row.pk)
        self._run.report.skipped[NOT_HERE] += sum(it.id not in rows for it in customers)
        changed: list[StripeCustomer] = []
        for customer in customers:
            if customer.id in rows and not self._is_over():
                changed += self._take_over(customer, rows[customer.id])
        if changed:
            self._store(changed)

    def _take_over(
        self, customer: gateway.Customer, rows: list[StripeCustomer]
    ) -> list[StripeCustomer]:
        """Let the rows say what Stripe says; return those that said something else."""
        if self._left is not None:
            self._left -= 1
        before = {row.pk: _mirrored(row) for row in rows}
        outcome = attempt(partial(_describe, rows), customer)
        changed = [row for row in rows if _mirrored(row) != before[row.pk]]
        if outcome.error is not None:
            changed = []
        for row in rows:
            if row not in changed:
                self._run.note(_label(row.pk), outcome)
        return changed

    def _store(self, rows: list[StripeCustomer]) -> None:
        """Write the rows together; one by one if the database refuses what one of them says."""
        try:
            written = {row.pk for row in rows} if self._is_dry_run else self._written(rows)
        except Exception as error:  # noqa: BLE001 (it is logged)
            close_broken_connections()
            if len(rows) == 1:
                self._run.note(_label(rows[0].pk), Outcome(error=error))
                return
            for row in rows:
                self._store([row])
            return
        for row in rows:
            outcome = self._stored(row) if row.pk in written else Outcome(skipped=CHANGED_MEANWHILE)
            self._run.note(_label(row.pk), outcome)

    def _written(self, rows: list[StripeCustomer]) -> set[int]:
        return write_unchanged(rows, stored(StripeCustomer), MIRRORED)

    def _stored(self, row: StripeCustomer) -> Outcome:
        if row.stripe_response.get("deleted"):
            return Outcome(done=WOULD_DEACTIVATE if self._is_dry_run else DEACTIVATED)
        return Outcome(done=WOULD_UPDATE if self._is_dry_run else UPDATED)


def _label(key: int) -> str:
    return f"Customer id: {key}"


def _rows_of(customers: Iterable[gateway.Customer]) -> dict[str, list[StripeCustomer]]:
    """The rows of each customer that has any, by Stripe's id."""
    found = defaultdict(list)
    for row in _customers().filter(stripe_customer_id__in=[it.id for it in customers]):
        found[row.stripe_customer_id].append(row)
    return dict(found)


def _mirrored(row: StripeCustomer) -> list[object]:
    return [getattr(row, name) for name in MIRRORED]


def _describe(rows: list[StripeCustomer], customer: gateway.Customer) -> Outcome:
    """Let the rows of one customer say what Stripe says, its cards asked for once."""
    is_deleted = getattr(customer, "deleted", False)
    methods = [] if is_deleted else list(gateway.payment_methods(customer.id))
    for row in rows:
        row.set_stripe_data(customer, methods)
    return Outcome(done=UNCHANGED)
