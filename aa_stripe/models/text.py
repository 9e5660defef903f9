"""A text field whose exact lookups distinguish trailing spaces on every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import Exact, In
from django.db.models.sql.compiler import SQLCompiler

from aa_stripe.fields import ExactCharField

if TYPE_CHECKING:
    _ExactCharField = ExactCharField[str, str]
else:
    _ExactCharField = ExactCharField  # not generic at run time


class UnpaddedCharField(_ExactCharField):
    """An ``ExactCharField`` whose ``exact`` and ``in`` distinguish "SALE" and "SALE " too.

    In migrations the field is an ``ExactCharField``, because the column is the same.
    """

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _, args, kwargs = super().deconstruct()
        return name, "aa_stripe.fields.ExactCharField", args, kwargs


def _and_byte_by_byte(sql: str, params: Sequence[Any], plain: str) -> tuple[str, tuple[Any, ...]]:
    """Add a comparison of the column's bytes to ``sql``, which itself can use an index."""
    exact = sql.replace(plain, f"CAST({plain} AS BINARY)", 1)
    return f"({sql} AND {exact})", (*params, *params)


@UnpaddedCharField.register_lookup
class _ExactlyEqual(Exact):
    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        plain, _ = self.process_lhs(compiler, connection)
        return _and_byte_by_byte(*super().as_sql(compiler, connection), plain)


@UnpaddedCharField.register_lookup
class _ExactlyOneOf(In):
    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        plain, _ = self.process_lhs(compiler, connection)
        return _and_byte_by_byte(*super().as_sql(compiler, connection), plain)
