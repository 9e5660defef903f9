"""Updating all rows of one customer from Stripe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from django.utils.translation import gettext_lazy as _

from aa_stripe import gateway
from aa_stripe.exceptions import StripeMethodNotAllowed, StripeNoActiveCustomer
from aa_stripe.models.customer.description import (
    Description,
    described,
    described_by_default,
    values_of,
    with_methods,
)
from aa_stripe.models.customer.details import details_of
from aa_stripe.models.latest import Write, has_values, save_newer, write_latest
from aa_stripe.models.rows import database_of
from aa_stripe.models.statements import read

if TYPE_CHECKING:
    from aa_stripe.models.customer.model import StripeCustomer


def refresh_rows(
    rows: Sequence[StripeCustomer], write: Write = save_newer, *, are_fresh: bool = False
) -> gateway.Customer:
    """Update all rows of one customer at Stripe, which is read once; return that customer.

    ``are_fresh``: the rows were just read.
    """
    stripe_id = rows[0].stripe_customer_id

    def ask() -> tuple[gateway.Customer, Description]:
        customer = gateway.retrieve_customer(stripe_id)
        return customer, described(customer)

    def values(row: StripeCustomer, asked: tuple[gateway.Customer, Description]) -> dict[str, Any]:
        return values_of(row, asked[1])

    return write_latest(rows, ask, values, write, are_fresh=are_fresh)[0]


def push_details(row: StripeCustomer) -> gateway.Customer:
    """Send the user's details to Stripe and update the row; return Stripe's customer."""
    details = cast("gateway.CustomerUpdateParams", details_of(_user_of(row)))

    def ask() -> tuple[gateway.Customer, Description]:
        with noticing_deletion(row):
            customer = gateway.update_customer(row.stripe_customer_id, details)
            return customer, described_by_default(customer, row.source_ids)

    def values(row: StripeCustomer, asked: tuple[gateway.Customer, Description]) -> dict[str, Any]:
        return values_of(row, asked[1])

    return write_latest([row], ask, values)[0]


def _user_of(row: StripeCustomer) -> Any:
    """Read the row's user: the object may hold one that was read before a change."""
    model: Any = row._meta.get_field("user").related_model
    user = read(model, database_of(model), {model._meta.pk.attname: row.user_id})
    if user is None:
        raise StripeMethodNotAllowed("The customer has no user.")
    return user


def refresh_default(rows: Sequence[StripeCustomer]) -> None:
    """Update the default of all rows of one customer, and whether it was deleted at Stripe.

    The rows were just read. Its payment methods are read only if one of them does not know the new
    default.
    """
    stripe_id = rows[0].stripe_customer_id
    known = set.intersection(*(row.source_ids for row in rows))

    def ask() -> Description:
        return described_by_default(gateway.retrieve_customer(stripe_id), known)

    write_latest(rows, ask, values_of, are_fresh=True)


def refresh_listed(rows: Sequence[StripeCustomer], listed: gateway.JSON, write: Write) -> None:
    """Update all rows of the customer of a listing; read its payment methods.

    The page of the listing may be older than the rows, so a customer that differs from one of them
    is read again.
    """
    description = with_methods(Description(gateway.storable(listed)))
    if not all(has_values(row, values_of(row, description)) for row in rows):
        customer = gateway.retrieve_customer(listed["id"])
        description = replace(description, plain=gateway.to_json(customer))
    left = [row for row in rows if not write(row, row.updated, values_of(row, description))]
    if left:
        refresh_rows(left, write)


@contextmanager
def noticing_deletion(row: StripeCustomer) -> Iterator[None]:
    """Raise ``StripeNoActiveCustomer`` if the block fails because the customer was deleted.

    The row becomes inactive then. Other errors pass.
    """
    try:
        yield
    except gateway.InvalidRequestError as error:
        if not is_deleted_at_stripe(row, error):
            raise
        raise StripeNoActiveCustomer(_("The customer was deleted at Stripe.")) from error


def is_deleted_at_stripe(row: StripeCustomer, error: gateway.InvalidRequestError) -> bool:
    """Return whether ``error`` is due to a deletion of the customer at Stripe.

    If so, the row becomes inactive; else it does not change. Raises the SDK's errors.
    """
    if error.code != "resource_missing":
        return False
    customer = gateway.find_customer(row.stripe_customer_id)
    if customer is None or not gateway.to_json(customer).get("deleted"):
        return False
    row.refresh_from_stripe()
    return True
