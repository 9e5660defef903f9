"""A field for an amount of money, in the smallest unit of its currency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from aa_stripe.money import whole_units


class SmallestUnitField(models.BigIntegerField):  # type: ignore[type-arg]  # as at run time
    """A ``BigIntegerField`` that refuses to save 99.99, which Django would cut to 99.

    Saving such a value raises ``StripeMoneyError``. Lookups accept it, as Django's do. In
    migrations the field is a ``BigIntegerField``, because the column is the same.
    """

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.BigIntegerField", args, kwargs

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        if hasattr(value, "resolve_expression"):
            return value
        if value is not None:
            value = whole_units(value)
        return super().get_db_prep_save(value, connection)
