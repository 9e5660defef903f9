"""The job ``refresh_customers``: customers and their payment methods, as they are at Stripe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.models import QuerySet

from aa_stripe import gateway
from aa_stripe.jobs.objects import ObjectRefresh
from aa_stripe.jobs.refresh import UPDATED
from aa_stripe.jobs.report import Report
from aa_stripe.jobs.run import Watcher
from aa_stripe.models import StripeCustomer
from aa_stripe.models.latest import Write
from aa_stripe.models.rows import stored

# Actions in the report.
DEACTIVATED = "deactivated (deleted at Stripe)"
WOULD = {
    UPDATED: "would be updated",
    DEACTIVATED: "would be deactivated (deleted at Stripe)",
}


def refresh_customers(
    *,
    everything: bool = False,
    limit: int | None = None,
    rate: float | None = None,
    workers: int | None = None,
    dry_run: bool = False,
    watcher: Watcher | None = None,
) -> Report:
    """Update the rows of the customers that have changed at Stripe; return a ``Report``.

    Stripe's events since the last complete run name those customers. ``everything`` compares all
    rows with Stripe's listing instead, which takes at least one request for each customer. So does
    a run without a complete one in the last 29 days, or with another API key than that one's.
    After a complete listing, the customer of each active row that it did not contain is
    retrieved, and deactivated if it was deleted at Stripe. A customer that fails does not stop the
    others, but the run is not complete then.

    ``limit`` is the maximum number of customers to refresh; a run that reaches it is not complete.
    ``rate`` is the maximum number of requests to Stripe per second; ``None`` means
    ``STRIPE_REQUESTS_PER_SECOND``. ``workers`` is the number of customers to work on at once;
    ``None`` means 4, and 1 on SQLite. ``dry_run`` reads from Stripe and writes nothing.

    Two runs at the same time are safe. Raises ``ValueError`` if the rate is not above 0 or the
    number of workers is below 1.
    """
    job = CustomerRefresh(limit=limit, dry_run=dry_run, watcher=watcher, workers=workers)
    return job.report(rate, everything=everything)


class CustomerRefresh(ObjectRefresh[StripeCustomer]):
    job = "refresh_customers"
    noun = "customers"
    would = WOULD
    id_field = "stripe_customer_id"
    event_types = StripeCustomer.EVENT_TYPES

    def listing(self) -> Iterator[gateway.JSON]:
        return gateway.customers()

    def rows(self) -> QuerySet[StripeCustomer]:
        return stored(StripeCustomer).exclude(stripe_customer_id="")

    def expected(self) -> QuerySet[StripeCustomer]:
        return self.rows().filter(is_active=True)

    def label(self, row: StripeCustomer) -> str:
        return f"Customer id: {row.pk}"

    def row_of_each(self, objects: Sequence[gateway.JSON]) -> Iterable[tuple[str, StripeCustomer]]:
        rows = self.rows().filter(stripe_customer_id__in=[it["id"] for it in objects])
        return ((row.stripe_customer_id, row) for row in rows)

    def named_in(self, event: gateway.JSON) -> Iterable[gateway.JSON]:
        return [{"id": stripe_id} for stripe_id in sorted(StripeCustomer.ids_in(event))]

    def refresh_listed(
        self, rows: Sequence[StripeCustomer], listed: gateway.JSON, write: Write
    ) -> None:
        StripeCustomer.refresh_listed(rows, listed, write)

    def refresh_rows(self, rows: Sequence[StripeCustomer], stripe_id: str, write: Write) -> object:
        return StripeCustomer.refresh_rows(rows, write)

    def action_of(self, values: dict[str, Any]) -> str:
        return DEACTIVATED if values.get("is_active") is False else UPDATED
