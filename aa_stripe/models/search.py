"""Finding what Stripe made for a row that does not know Stripe's id of it.

Every object that we create has the ``uuid`` of its row in the metadata. The lists of the customers'
objects are complete, but a customer that was deleted at Stripe has no list any more, and the user
of the row may have changed. Stripe's search finds the object in these cases too, but not in its
first minutes. https://docs.stripe.com/search
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError

T = TypeVar("T", bound=gateway.StripeObject)


@dataclass
class Finder(Generic[T]):
    """How objects of one type are found by the ``uuid`` under ``uuid_key`` in their metadata.

    ``listed`` takes Stripe's id of a customer, ``searched`` a key and a value of the metadata.
    """

    uuid_key: str
    listed: Callable[[str], Iterable[T]]
    searched: Callable[[str, str], Iterable[str]]
    retrieve: Callable[[str], T]

    def find(self, uuid: UUID, customer_ids: Iterable[str]) -> list[T]:
        """Return all objects with the ``uuid``: of the customers, and of any other one.

        Raises ``StripeInternalError`` if Stripe refuses to say whether there is one.
        """
        listings = [self._listed(customer_id, uuid) for customer_id in customer_ids]
        found = {it.id: it for listed in listings for it in listed or ()}  # type: ignore[attr-defined]
        ids = searched(self.searched, self.uuid_key, uuid)
        if ids is None and None in listings:
            raise StripeInternalError("Stripe refused to list and to search the objects.")
        for object_id in ids or ():
            if object_id not in found:
                found[object_id] = self.retrieve(object_id)
        return list(found.values())

    def _listed(self, customer_id: str, uuid: UUID) -> list[T] | None:
        """Return the objects of that customer; ``None`` if Stripe refuses to list them.

        It does if the customer was deleted, or belongs to another account or mode.
        """
        try:
            return [it for it in self.listed(customer_id) if is_of(it, self.uuid_key, uuid)]
        except gateway.InvalidRequestError as error:
            if error.code != "resource_missing":
                raise
            return None


def is_of(stripe_object: gateway.StripeObject, uuid_key: str, uuid: UUID) -> bool:
    """Return whether the object was made for the row with the ``uuid``."""
    return gateway.metadata_of(stripe_object).get(uuid_key) == str(uuid)


def searched(
    search: Callable[[str, str], Iterable[str]], uuid_key: str, uuid: UUID
) -> list[str] | None:
    """Return the ids that the search finds; ``None`` where Stripe has no search (in India).

    Unverified: the error in India. https://docs.stripe.com/search
    """
    try:
        return list(search(uuid_key, str(uuid)))
    except gateway.InvalidRequestError as error:
        if gateway.meaning_of(error) is gateway.Meaning.MISCONFIGURED:
            raise
        return None
