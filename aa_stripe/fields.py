"""Fields for ids, which differ in letter case on every database; for JSON and decimals of 0.14.

The usual collations of MySQL and MariaDB do not distinguish "evt_A" and "evt_a", nor "a" and "ä".
PostgreSQL and SQLite always do. Migrations contain these fields, so their names must not change.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import lookups

#: MySQL and MariaDB both have it. It ignores trailing spaces, which Stripe's ids do not have;
#: MariaDB's utf8mb4_nopad_bin would not, but MySQL lacks it.
BINARY = "utf8mb4_bin"

if TYPE_CHECKING:
    _Set = TypeVar("_Set", contravariant=True)
    _Get = TypeVar("_Get", covariant=True)
    _CharField = models.CharField[_Set, _Get]
    _UUIDField = models.UUIDField[_Set, _Get]
    _DecimalField = models.DecimalField[_Set, _Get]
    _Lookup = lookups.BuiltinLookup[Any]
else:  # not generic at run time
    _Set = _Get = None
    _CharField = {(_Set, _Get): models.CharField}
    _UUIDField = {(_Set, _Get): models.UUIDField}
    _DecimalField = {(_Set, _Get): models.DecimalField}
    _Lookup = lookups.BuiltinLookup


class _MixesWithBase(type):
    """The type of fields that an expression may have together with the Django field they are from.

    Django compares the first field with the others: ``isinstance(first, type_of_another)``.
    """

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__bases__)


class ExactCharField(_CharField[_Set, _Get], metaclass=_MixesWithBase):
    """A ``CharField`` for an id.

    ``exact``, ``contains``, indexes and joins distinguish letter case. ``iexact``, ``icontains``
    etc. do not, as on other databases.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        return _with_collation(super().db_parameters(connection), connection)


class ExactUUIDField(_UUIDField[_Set, _Get], metaclass=_MixesWithBase):
    """A ``UUIDField``, which is text on MySQL, and on MariaDB with Django 4.2."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        return _with_collation(super().db_parameters(connection), connection)


class PlainJSONField(models.JSONField, metaclass=_MixesWithBase):
    """A ``JSONField`` that accepts what that of 0.14 did: JSON as text, dates, decimals, ``None``.

    Dumps made by 0.14 have text with JSON in it. Migrations contain Django's own field.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("encoder", DjangoJSONEncoder)
        super().__init__(*args, **kwargs)

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        return super().clean(_decoded(value), model_instance)

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(_decoded(value))

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """Return JSON's ``null`` for ``None`` if the column cannot be NULL."""
        if value is None and not self.null:
            return self.get_db_prep_value(value, connection)
        return super().get_db_prep_save(value, connection)

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        kwargs.pop("encoder", None)
        return name, "django.db.models.JSONField", args, kwargs


class TrimmedDecimalField(_DecimalField[_Set, _Get], metaclass=_MixesWithBase):
    """A ``DecimalField`` that reads the decimals which 0.14's column had, and others if not 0.

    Migrations contain Django's own field.
    """

    shown_places = 2

    def from_db_value(self, value: Decimal | None, *args: Any) -> Decimal | None:
        return None if value is None else trimmed(value, self.shown_places)

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DecimalField", args, kwargs


if TYPE_CHECKING:
    _Trimmed = TrimmedDecimalField[_Set, _Get]
else:
    _Trimmed = {(_Set, _Get): TrimmedDecimalField}


class TrimmedPercentField(_Trimmed[_Set, _Get]):
    """The same for a column that had integers: 20, not 20.0000."""

    shown_places = 0


def trimmed(value: Decimal, places: int) -> Decimal:
    """Return the number with ``places`` decimals, or more if the further ones are not 0."""
    short = round(value, places)
    return short if short == value else value.normalize()


def _decoded(value: Any) -> Any:
    """Return a list or an object that was given as text; anything else as it is.

    ``to_python`` cannot do that: when XML is loaded, Django decodes what it returns.
    """
    if not isinstance(value, str):
        return value
    try:
        decoded = json.loads(value)
    except ValueError:
        return value
    return decoded if isinstance(decoded, (dict, list)) else value


def _with_collation(parameters: Any, connection: BaseDatabaseWrapper) -> Any:
    """Add the collation on MySQL and MariaDB; ``db_collation`` would add it on every database.

    Django gives it to foreign keys to the field too, and keeps it in later changes of the column.
    """
    # MariaDB's type for a uuid has no collation.
    if connection.vendor == "mysql" and "char" in (parameters["type"] or ""):
        return {**parameters, "collation": BINARY}
    return parameters


class _IgnoresCase(_Lookup):
    """A lookup that MySQL and MariaDB leave to the collation of the column."""

    def process_lhs(self, compiler: Any, connection: BaseDatabaseWrapper, lhs: Any = None) -> Any:
        sql, params = super().process_lhs(compiler, connection, lhs)
        if connection.vendor == "mysql":
            sql = f"CONVERT({sql} USING utf8mb4) COLLATE utf8mb4_general_ci"
        return sql, params


@ExactCharField.register_lookup
class _IExact(_IgnoresCase, lookups.IExact): ...


@ExactCharField.register_lookup
class _IContains(_IgnoresCase, lookups.IContains): ...


@ExactCharField.register_lookup
class _IStartsWith(_IgnoresCase, lookups.IStartsWith): ...


@ExactCharField.register_lookup
class _IEndsWith(_IgnoresCase, lookups.IEndsWith): ...


@ExactCharField.register_lookup
class _IRegex(_IgnoresCase, lookups.IRegex): ...
