"""Statements about one row, composed without Django's compiler.

Collecting a charge takes several of these, receiving an event one, and compiling a statement takes
longer than executing it. Only plain values are written and compared here; the rest is left to the
compiler.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from django.db import IntegrityError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from aa_stripe.models.now import DatabaseNow

M = TypeVar("M", bound=models.Model)

#: The value of any row that has one, in ``expected``.
NOT_NULL = object()

#: A part of the statement, and its parameters.
Part = tuple[str, list[Any]]


def is_plain(values: Iterable[Any]) -> bool:
    """Return whether ``update`` can write the values."""
    return all(
        isinstance(it, DatabaseNow) or not hasattr(it, "resolve_expression") for it in values
    )


def is_comparable(values: Iterable[Any]) -> bool:
    """Return whether ``update`` can compare the values: databases compare JSON in other ways."""
    return not any(
        isinstance(it, (dict, list)) or hasattr(it, "resolve_expression") for it in values
    )


def update(
    model: type[models.Model],
    using: str,
    expected: Mapping[str, Any],
    values: Mapping[str, Any],
    condition: Part | None = None,
) -> int:
    """Update the rows with the ``expected`` values; return how many there were.

    ``condition`` is one more that they have to meet, see ``condition_of``.
    """
    connection, table = connections[using], model._meta
    assigned = [_assigned(table.get_field(it), values[it], connection) for it in values]
    compared = [_compared(table.get_field(it), expected[it], connection) for it in expected]
    if condition is not None:
        compared.append(condition)
    settings, params = _joined(", ", assigned)
    conditions, more = _joined(" AND ", compared)
    sql = f"UPDATE {_name(model, connection)} SET {settings} WHERE {conditions}"  # noqa: S608
    with transaction.mark_for_rollback_on_error(using), connection.cursor() as cursor:
        cursor.execute(sql, [*params, *more])
        count: int = cursor.rowcount
    return count


def insert(row: models.Model, using: str) -> None:
    """Insert the object, which has a primary key. Raises ``IntegrityError`` if the row exists.

    Sends none of Django's signals. If a transaction is open, it can go on after the error.
    """
    connection, fields = connections[using], _fields(type(row))
    params = [it.get_db_prep_save(it.pre_save(row, True), connection) for it in fields]
    sql = _insertion(type(row), using)
    with _alone(using), connection.cursor() as cursor:
        cursor.execute(sql, params)
        if not cursor.rowcount:
            raise IntegrityError(f"The row {row.pk} exists already.")


@functools.cache
def _insertion(model: type[models.Model], using: str) -> str:
    connection, values = connections[using], ", ".join(["%s"] * len(_fields(model)))
    return (
        f"INSERT INTO {_name(model, connection)} ({_columns(model, using)}) "  # noqa: S608
        f"VALUES ({values}) {_unless_it_exists(connection)}"
    )


@functools.cache
def _columns(model: type[models.Model], using: str, only: tuple[str, ...] = ()) -> str:
    quote_name = connections[using].ops.quote_name
    return ", ".join(quote_name(it.column) for it in _fields(model, only))


def _unless_it_exists(connection: BaseDatabaseWrapper) -> str:
    """Return the end of an INSERT that PostgreSQL ignores, without an error, if the row exists.

    An error would be in the server's log, and takes as long as the INSERT itself.
    """
    return "ON CONFLICT DO NOTHING" if connection.vendor == "postgresql" else ""


def _alone(using: str) -> AbstractContextManager[object]:
    """Return a block whose only statement can fail without ending an open transaction."""
    connection = connections[using]
    has_transaction = connection.in_atomic_block or not connection.get_autocommit()
    return transaction.atomic(using=using) if has_transaction else nullcontext()


def read(
    model: type[M], using: str, expected: Mapping[str, Any], only: Sequence[str] = ()
) -> M | None:
    """Return the only row with the ``expected`` values, ``None`` if there is none."""
    return next(iter(read_all(model, using, expected, only)), None)


def read_all(
    model: type[M], using: str, expected: Mapping[str, Any], only: Sequence[str] = ()
) -> list[M]:
    """Return the rows with the ``expected`` values, in the order of their primary keys.

    ``only`` are the names of the columns to read; the others are deferred. Empty means all.
    """
    if model._meta.parents:  # a row of a derived model is in two tables
        return list(model._base_manager.using(using).filter(**expected).order_by("pk"))
    connection, fields = connections[using], _fields(model, tuple(only))
    conditions, params = _conditions(model, using, expected)
    columns, table = _columns(model, using, tuple(only)), _name(model, connection)
    with transaction.mark_for_rollback_on_error(using), connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {table} WHERE {conditions}", params)  # noqa: S608
        found = cursor.fetchall()
    names = [it.attname for it in fields]
    rows = [model.from_db(using, names, _converted(connection, fields, it)) for it in found]
    return sorted(rows, key=lambda row: row.pk)


def _converted(
    connection: BaseDatabaseWrapper, fields: Sequence[Any], values: Sequence[Any]
) -> list[Any]:
    """Return the values of the fields as Django's compiler converts them."""
    converted = []
    for field, value in zip(fields, values, strict=True):
        column = field.cached_col
        converters = connection.ops.get_db_converters(column)
        for convert in [*converters, *column.get_db_converters(connection)]:
            value = convert(value, column, connection)
        converted.append(value)
    return converted


def _fields(model: type[models.Model], only: tuple[str, ...] = ()) -> Sequence[Any]:
    fields: Sequence[Any] = model._meta.concrete_fields
    return [it for it in fields if it.name in only] if only else fields


def _conditions(model: type[models.Model], using: str, expected: Mapping[str, Any]) -> Part:
    connection, table = connections[using], model._meta
    compared = [_compared(table.get_field(it), expected[it], connection) for it in expected]
    return _joined(" AND ", compared)


def condition_of(rows: models.QuerySet[Any]) -> Part:
    """Return the condition of ``rows``, which have no joins, compiled for many statements."""
    compiler = rows.query.get_compiler(rows.db)
    text, params = compiler.compile(rows.query.where)
    return f"({text})", list(params)


def _name(model: type[models.Model], connection: BaseDatabaseWrapper) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _joined(separator: str, parts: list[Part]) -> Part:
    return separator.join(text for text, _ in parts), [it for _, several in parts for it in several]


def _assigned(field: Any, value: Any, connection: BaseDatabaseWrapper) -> Part:
    column = connection.ops.quote_name(field.column)
    if isinstance(value, DatabaseNow):
        return f"{column} = {value.text(connection.vendor)}", []
    if isinstance(value, models.Model):
        value = value.prepare_database_save(field)
    return f"{column} = %s", [field.get_db_prep_save(value, connection)]


def _compared(field: Any, value: Any, connection: BaseDatabaseWrapper) -> Part:
    column = connection.ops.quote_name(field.column)
    if value is None:
        return f"{column} IS NULL", []
    if value is NOT_NULL:
        return f"{column} IS NOT NULL", []
    return f"{column} = %s", [field.get_db_prep_value(value, connection)]
