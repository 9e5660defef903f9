"""Taking a row, so that two processes do not ask Stripe for the same thing at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from django.db import DatabaseError, connections, models, router, transaction

M = TypeVar("M", bound=models.Model)

#: Another transaction was in the way: the same may well succeed a moment later. PostgreSQL's
#: serialization_failure and deadlock_detected; MariaDB's lock wait timeout, deadlock, and a row
#: that was changed since the transaction began (``innodb_snapshot_isolation``).
SQLSTATES = frozenset({"40001", "40P01"})
MYSQL_ERRORS = frozenset({1205, 1213, 1020})


@contextmanager
def locked(row: models.Model) -> Iterator[None]:
    """Hold the row's lock in a transaction, the object read anew under it.

    The lock saves requests to Stripe, nothing depends on it: SQLite has none, and there no
    transaction is opened either, because one that reads first and writes later fails as soon as
    somebody else writes in between.
    """
    with held(row):
        reread(row)
        yield


def lockable(using: str) -> AbstractContextManager[object]:
    """A transaction where rows can be locked in one. On SQLite one that reads before it writes
    fails as soon as somebody else writes in between."""
    if connections[using].features.has_select_for_update:
        return transaction.atomic(using=using)
    return nullcontext()


def reread(row: models.Model) -> None:
    """Read the object anew, never from a replica that may lag behind."""
    row.refresh_from_db(using=database_of(row))


@contextmanager
def held(row: models.Model) -> Iterator[None]:
    """The same, the object in hand left as it is."""
    using = database_of(row)
    if not connections[using].features.has_select_for_update:
        yield
        return
    with transaction.atomic(using=using):
        _lock(row, using)
        yield


def write_if(row: models.Model, expected: dict[str, Any], values: dict[str, Any]) -> bool:
    """Write ``values`` if the row is still as ``expected``, in one statement; whether it was.

    The object in hand stays as it is. The row is locked by its primary key first: a statement
    that finds it by another index would take the locks in another order, and deadlock with those
    who hold the row (MariaDB).
    """
    using = database_of(row)
    with transaction.atomic(using=using):
        if connections[using].features.has_select_for_update:
            _lock(row, using)
        rows = type(row)._base_manager.using(using).filter(pk=row.pk, **expected)
        return rows.update(**values) == 1


def _lock(row: models.Model, using: str) -> None:
    rows = type(row)._base_manager.using(using).select_for_update()
    rows.values_list("pk").filter(pk=row.pk).first()


def database_of(row: models.Model) -> str:
    """Where the row is written to, which need not be where it was read from."""
    return router.db_for_write(type(row), instance=row)


def stored(model: type[M]) -> models.QuerySet[M]:
    """All rows, from the database that is written to: a replica may not know of a charge yet."""
    return model._default_manager.using(router.db_for_write(model))


def is_conflict(error: BaseException) -> bool:
    """Whether the database gave up because of another transaction."""
    if not isinstance(error, DatabaseError):
        return False
    sqlstate = getattr(error.__cause__, "sqlstate", None) or getattr(
        error.__cause__, "pgcode", None
    )
    return sqlstate in SQLSTATES or (bool(error.args) and error.args[0] in MYSQL_ERRORS)
