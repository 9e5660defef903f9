"""A text field with exact lookups, independent of the database's collation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import Exact, In
from django.db.models.sql.compiler import SQLCompiler

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField  # not generic at run time


class ExactCharField(_CharField):
    """A ``CharField`` whose ``exact`` and ``in`` distinguish "Sale", "SALE" and "SALE ".

    The usual collations of MySQL and MariaDB do not distinguish them, nor "a" from "ä". In
    migrations the field is a ``CharField``, because the column is the same.
    """

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


def _and_byte_by_byte(sql: str, params: Sequence[Any], plain: str) -> tuple[str, tuple[Any, ...]]:
    """Add a comparison of the column's bytes to ``sql``, which itself can use an index."""
    # Two conversions, because the column may have another character set than the connection.
    exact = sql.replace(plain, f"CAST(CONVERT({plain} USING utf8mb4) AS BINARY)", 1)
    return f"({sql} AND {exact})", (*params, *params)


@ExactCharField.register_lookup
class _ExactlyEqual(Exact):
    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        plain, _ = self.process_lhs(compiler, connection)
        return _and_byte_by_byte(*super().as_sql(compiler, connection), plain)


@ExactCharField.register_lookup
class _ExactlyOneOf(In):
    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        plain, _ = self.process_lhs(compiler, connection)
        return _and_byte_by_byte(*super().as_sql(compiler, connection), plain)
