"""The name that the README of 0.14 gives to a customer."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from aa_stripe.models.customer.model import StripeCustomer

#: The README's names and the fields that they stand for.
FIELD_NAMES = {"content": "stripe_js_response", "customer_id": "stripe_customer_id"}


def _renamed(lookup: str) -> str:
    """Return the lookup with the field's own name; suffixes and the ``-`` of an ordering stay."""
    sign = "-" if lookup.startswith("-") else ""
    name, separator, rest = lookup.removeprefix("-").partition("__")
    return f"{sign}{FIELD_NAMES.get(name, name)}{separator}{rest}"


def _all_renamed(lookups: dict[str, Any]) -> dict[str, Any]:
    return {_renamed(lookup): value for lookup, value in lookups.items()}


def _condition(condition: Any) -> Any:
    """Return a positional condition of ``filter()`` with the fields' own names."""
    if isinstance(condition, Q):
        return Q(
            *(_condition(child) for child in condition.children),
            _connector=condition.connector,
            _negated=condition.negated,
        )
    if isinstance(condition, tuple):
        return (_renamed(condition[0]), condition[1])
    return condition


class StripeTokenQuerySet(models.QuerySet["StripeToken"]):
    """A queryset that accepts ``content`` and ``customer_id`` where the README promises them."""

    def filter(self, *args: Any, **kwargs: Any) -> StripeTokenQuerySet:
        return super().filter(*map(_condition, args), **_all_renamed(kwargs))

    def exclude(self, *args: Any, **kwargs: Any) -> StripeTokenQuerySet:
        return super().exclude(*map(_condition, args), **_all_renamed(kwargs))

    def get(self, *args: Any, **kwargs: Any) -> StripeToken:
        return super().get(*map(_condition, args), **_all_renamed(kwargs))

    def order_by(self, *field_names: Any) -> StripeTokenQuerySet:
        return super().order_by(
            *(_renamed(name) if isinstance(name, str) else name for name in field_names)
        )

    def create(self, **kwargs: Any) -> StripeToken:
        return super().create(**_all_renamed(kwargs))

    def get_or_create(self, defaults: Any = None, **kwargs: Any) -> tuple[StripeToken, bool]:
        return super().get_or_create(defaults=_all_renamed(defaults or {}), **_all_renamed(kwargs))


class StripeToken(StripeCustomer):
    """A customer whose fields have the README's names as well.

    ``content`` is ``stripe_js_response`` and ``customer_id`` is ``stripe_customer_id``: in the
    constructor, in ``create``, ``get_or_create``, ``filter``, ``get``, ``exclude`` and
    ``order_by``, and as attributes. Everything else needs the fields' own names.
    """

    objects: ClassVar[models.Manager[StripeToken]] = StripeTokenQuerySet.as_manager()

    class Meta:
        proxy = True
        ordering = ["id"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **_all_renamed(kwargs))

    @property
    def content(self) -> Any:
        return self.stripe_js_response

    @content.setter
    def content(self, value: Any) -> None:
        self.stripe_js_response = value

    @property
    def customer_id(self) -> str:
        return self.stripe_customer_id

    @customer_id.setter
    def customer_id(self, value: str) -> None:
        self.stripe_customer_id = value
