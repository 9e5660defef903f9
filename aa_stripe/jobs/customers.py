"""The job ``refresh_customers``: the payment methods of customers, as Stripe lists them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice

from django.db.models import QuerySet

from aa_stripe import gateway
from aa_stripe.jobs.refresh import UNCHANGED, UPDATED, Refresh
from aa_stripe.jobs.report import Outcome, Report
from aa_stripe.jobs.run import Watcher, attempt
from aa_stripe.models import StripeCustomer
from aa_stripe.models.rows import stored

# Actions in the report.
DEACTIVATED = "deactivated (deleted at Stripe)"
WOULD = {
    UPDATED: "would be updated",
    DEACTIVATED: "would be deactivated (deleted at Stripe)",
}

# Reasons in the report why a customer is skipped, besides ``CHANGED_MEANWHILE``.
NOT_HERE = "only at Stripe"
NOT_AT_STRIPE = "unknown to Stripe"


def refresh_customers(
    *,
    limit: int | None = None,
    rate: float | None = None,
    dry_run: bool = False,
    watcher: Watcher | None = None,
) -> Report:
    """Update the rows of the customers in Stripe's listing, cards included; return a ``Report``.

    A customer that fails does not stop the others. After a complete listing, the customer of each
    active row that it did not contain is retrieved, and deactivated if it was deleted at Stripe.

    ``limit`` is the maximum number of customers to refresh, the newest first; a run that reaches
    it skips rows that the listing did not contain. ``rate`` is the maximum number of requests to
    Stripe per second; ``None`` means ``STRIPE_REQUESTS_PER_SECOND``. ``dry_run`` reads from Stripe
    and writes nothing.

    Two runs at the same time are safe. Raises ``ValueError`` if the rate is not above 0.
    """
    return CustomerRefresh(limit=limit, dry_run=dry_run, watcher=watcher).report(rate)


class CustomerRefresh(Refresh[gateway.Customer, StripeCustomer]):
    noun = "customers"
    mirrored = ("stripe_response", "sources", "default_source", "is_active")
    would = WOULD

    def listing(self) -> Iterator[gateway.Customer]:
        return gateway.customers()

    def rows(self) -> QuerySet[StripeCustomer]:
        return stored(StripeCustomer)

    def expected(self) -> QuerySet[StripeCustomer]:
        return self.rows().exclude(stripe_customer_id="")

    def label(self, row: StripeCustomer) -> str:
        return _label(row.pk)

    def refresh_page(self, page: list[gateway.Customer]) -> None:
        """Refresh a page: one query, and two more if there is something to write."""
        rows = self._rows_of(page)
        for row in chain.from_iterable(rows.values()):
            self.seen.add(row.pk)
        self.run.report.skipped[NOT_HERE] += sum(it.id not in rows for it in page)
        changed: list[StripeCustomer] = []
        for customer in page:
            if customer.id in rows and not self.is_over():
                changed += self._refreshed(customer, rows[customer.id])
        if changed:
            self.write(changed)

    def refresh_unlisted(self) -> None:
        """Refresh the active rows that the listing did not contain."""
        rows = self.unlisted(self.expected().filter(is_active=True), "stripe_customer_id")
        unseen = ((stripe_id, key) for key, stripe_id in rows)
        while not self.is_over() and (batch := dict(islice(unseen, gateway.PAGE_SIZE))):
            found = [self._retrieve(*it) for it in batch.items() if not self.is_over()]
            self.refresh_page([customer for customer in found if customer is not None])

    def written(self, row: StripeCustomer) -> Outcome:
        return self.done(DEACTIVATED if row.stripe_response.get("deleted") else UPDATED)

    def _retrieve(self, stripe_id: str, key: int) -> gateway.Customer | None:
        try:
            return gateway.retrieve_customer(stripe_id)
        except Exception as error:  # noqa: BLE001 (it is logged)
            # Not deactivated: the key may be of another account, or of the other mode.
            is_unknown = isinstance(error, gateway.InvalidRequestError) and error.http_status == 404
            outcome = Outcome(skipped=NOT_AT_STRIPE) if is_unknown else Outcome(error=error)
            self.run.note(_label(key), outcome)
            return None

    def _refreshed(
        self, customer: gateway.Customer, rows: list[StripeCustomer]
    ) -> list[StripeCustomer]:
        """Update the ``rows`` of the customer; return those that have to be written."""
        if self.left is not None:
            self.left -= 1
        before = {row.pk: self.values_of(row) for row in rows}
        outcome = attempt(partial(_copy, rows), customer)
        changed = [row for row in rows if self.values_of(row) != before[row.pk]]
        if outcome.error is not None:
            changed = []
        for row in rows:
            if row not in changed:
                self.note(row, outcome)
        return changed

    def _rows_of(self, customers: Iterable[gateway.Customer]) -> dict[str, list[StripeCustomer]]:
        """Return the rows of each customer that has any, by Stripe's id."""
        found = defaultdict(list)
        for row in self.expected().filter(stripe_customer_id__in=[it.id for it in customers]):
            found[row.stripe_customer_id].append(row)
        return dict(found)


def _label(key: int) -> str:
    return f"Customer id: {key}"


def _copy(rows: list[StripeCustomer], customer: gateway.Customer) -> Outcome:
    """Copy Stripe's customer into its rows; its payment methods are requested once."""
    is_deleted = getattr(customer, "deleted", False)
    methods = [] if is_deleted else list(gateway.payment_methods(customer.id))
    for row in rows:
        row.set_stripe_data(customer, methods)
    return Outcome(done=UNCHANGED)
