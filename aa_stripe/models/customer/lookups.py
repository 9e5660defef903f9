"""Finding customers: the rows of a user, and of a customer at Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.db import models

from aa_stripe import gateway
from aa_stripe.exceptions import StripeMethodNotAllowed, StripeWrongAccount
from aa_stripe.models.rows import database_of, stored
from aa_stripe.models.statements import read, read_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aa_stripe.models.customer.model import StripeCustomer

M = TypeVar("M", bound=models.Model)


def owned(model: type[M], user: models.Model) -> models.QuerySet[M]:
    """Return the user's rows of the model; those of a deleted user have its key as ``user_key``.

    Raises ``StripeMethodNotAllowed`` if the object has no primary key: else the rows of all deleted
    users would be found.
    """
    if user.pk is None:
        raise StripeMethodNotAllowed("The user has no primary key.")
    users: Any = model._meta.get_field("user").related_model
    key = users._meta.pk
    if read(users, database_of(users), {key.attname: user.pk}, only=[key.name]) is not None:
        return stored(model).filter(user_id=user.pk)
    return stored(model).filter(user_id=None, user_key=str(user.pk))


#: So many customers are looked for at Stripe. One of them may have been imported by mistake.
NEWEST = 3


class Lookups(models.Model):
    """The lookups of ``StripeCustomer``, in the database that is written to."""

    class Meta:
        abstract = True

    @classmethod
    def get_latest_active_customer_for_user(cls, user: models.Model) -> StripeCustomer | None:
        """Return the user's newest active customer that exists at Stripe, or ``None``."""
        return cls.latest_active(user.pk)

    @classmethod
    def latest_active(cls, user_id: Any) -> StripeCustomer | None:
        """Return the same as ``get_latest_active_customer_for_user``, for a user's primary key."""
        if user_id is None:  # else the customers of all deleted users would be found
            return None
        known = cls._known().filter(user_id=user_id, is_active=True)
        return known.order_by("-id").first()

    @classmethod
    def newest_other_than(cls, customer: StripeCustomer) -> StripeCustomer | None:
        """Return the newest other customer at Stripe, of any user; ``None`` if there is none."""
        others = cls._known().exclude(stripe_customer_id=customer.stripe_customer_id)
        return others.filter(is_active=True).order_by("-id").first()

    @classmethod
    def reject_other_account(cls) -> None:
        """Raise ``StripeWrongAccount`` if Stripe knows none of the site's newest customers.

        What Stripe does not find may be in another account then, and need not be deleted. A site
        without active customers is not checked. Raises the SDK's errors, too.
        """
        newest = cls._known().filter(is_active=True).order_by("-id")
        ids = list(newest.values_list("stripe_customer_id", flat=True)[:NEWEST])
        if ids and all(gateway.find_customer(it) is None for it in ids):
            raise StripeWrongAccount(
                f"Stripe does not know {', '.join(ids)}: the API key belongs to another account or "
                "mode (live or test) than the customers."
            )

    @classmethod
    def stripe_ids_of(cls, row: Any) -> Iterable[str]:
        """Return Stripe's ids of all customers that the row's user has ever had."""
        if row.user_id is None and not row.user_key:
            return []
        known = cls._known().filter(user_id=row.user_id, user_key=row.user_key)
        return known.order_by("id").values_list("stripe_customer_id", flat=True)

    @classmethod
    def of_stripe(cls, user_id: Any, stripe_customer_id: str) -> StripeCustomer | None:
        """Return the user's row of Stripe's customer, the newest of several; ``None`` without."""
        own = cls._known().filter(user_id=user_id, stripe_customer_id=stripe_customer_id)
        return own.order_by("id").last()

    @classmethod
    def all_of_stripe(cls, stripe_customer_id: str) -> list[StripeCustomer]:
        """Return all rows of Stripe's customer; a project may have stored it twice."""
        return read_all(_model(cls), database_of(cls), {"stripe_customer_id": stripe_customer_id})

    @classmethod
    def of_user(cls, user: models.Model) -> list[str]:
        """Return Stripe's ids of the user's customers, each once."""
        ids = owned(_model(cls), user).exclude(stripe_customer_id="").order_by("id")
        return list(dict.fromkeys(ids.values_list("stripe_customer_id", flat=True)))

    @classmethod
    def _known(cls) -> models.QuerySet[StripeCustomer]:
        """Return the customers that exist at Stripe, from the database that is written to."""
        known = _model(cls).objects.using(database_of(cls))
        return known.exclude(stripe_customer_id="")


def _model(cls: type[Lookups]) -> type[StripeCustomer]:
    return cast("type[StripeCustomer]", cls)
