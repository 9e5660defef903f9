"""Rows of any model: their database, locks, conditional writes, and iteration over tables."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar

from django.db import DatabaseError, connections, models, router, transaction

from aa_stripe.exceptions import StripeInTransaction
from aa_stripe.models.statements import Part, is_comparable, is_plain, read, update
from aa_stripe.settings import ALLOW, stripe_settings

M = TypeVar("M", bound=models.Model)
T = TypeVar("T")

#: A conflict with another transaction, so a retry may succeed. PostgreSQL's
#: serialization_failure and deadlock_detected; MariaDB's lock wait timeout, deadlock, and row
#: changed since the transaction began (``innodb_snapshot_isolation``).
SQLSTATES = frozenset({"40001", "40P01"})
MYSQL_ERRORS = frozenset({1205, 1213, 1020})

#: Maximum number of tries of a statement or transaction, and the longest pause in seconds.
TRIES = 3
PAUSE = 0.1

#: The package that the app's own models are in.
APP = "aa_stripe."

#: The number of rows that one statement reads.
CHUNK_SIZE = 500

#: The number of keys that one statement reads if it has to sort all the remaining rows.
SORTED_CHUNK_SIZE = 10_000


# The database that is written to: a replica may lag behind


def database_of(row: models.Model | type[models.Model]) -> str:
    """Return the alias of the database that a row, or a model's rows, are written to."""
    if isinstance(row, models.Model):
        return router.db_for_write(type(row), instance=row)
    return router.db_for_write(row)


def root_model(row: models.Model) -> type[models.Model]:
    """Return the app's own model of the row, also if a site has derived a model from it.

    A proxy, or a subclass with a table of its own, is still a row of that model.
    """
    bases = reversed(type(row).__mro__)  # the derived model is the last
    own = (it for it in bases if issubclass(it, models.Model) and it.__module__.startswith(APP))
    return next(it for it in own if not it._meta.abstract)


def stored(model: type[M]) -> models.QuerySet[M]:
    """Return all rows of the model, from the database that they are written to."""
    return model._default_manager.using(database_of(model))


def reread(row: models.Model) -> None:
    """Refresh the object from the database that the row is written to."""
    row.refresh_from_db(using=database_of(row))


def related(row: models.Model, name: str) -> Any:
    """Return the object that the foreign key ``name`` refers to; ``None`` if there is none.

    Plain attribute access may read it from a replica. Like that, it is read once and then kept.
    """
    field: Any = row._meta.get_field(name)
    key = getattr(row, field.attname)
    if key is not None and not field.is_cached(row):
        model = field.related_model
        found = read(model, database_of(model), {model._meta.pk.attname: key})
        field.set_cached_value(row, found)
    return getattr(row, name)


def reject_open_transaction(row: models.Model | type[models.Model]) -> None:
    """Raise ``StripeInTransaction`` if what is written now could still be rolled back.

    The transaction that a ``TestCase`` opens around each test does not count. Django offers no
    public way to recognize it; ``atomic(durable=True)`` does it in this way, too.
    """
    if stripe_settings.TRANSACTIONS == ALLOW:
        return
    connection = connections[database_of(row)]
    if connection.in_atomic_block:
        is_open = not connection.atomic_blocks[-1]._from_testcase  # type: ignore[attr-defined]
    else:
        is_open = not connection.get_autocommit()
    if is_open:
        raise StripeInTransaction


def has_commit(using: str) -> bool:
    """Return whether a transaction is open that ends with a commit or a rollback.

    That of a ``TestCase`` is never committed, whatever blocks are open inside it.
    """
    blocks: list[Any] = connections[using].atomic_blocks
    return bool(blocks) and not blocks[0]._from_testcase


# Locks and conditional writes


@contextmanager
def locked(row: models.Model) -> Iterator[None]:
    """Lock the row in a transaction and refresh the object from it.

    The lock saves requests to Stripe; correctness does not depend on it. On SQLite, which has no
    row locks, no transaction is opened; see ``lockable``.
    """
    with held(row):
        reread(row)
        yield


@contextmanager
def held(row: models.Model) -> Iterator[None]:
    """Lock the row in a transaction, without refreshing the object."""
    using = database_of(row)
    if not connections[using].features.has_select_for_update:
        yield
        return
    with transaction.atomic(using=using):
        own_row(row, using).select_for_update().values_list("pk").first()
        yield


def lockable(using: str) -> AbstractContextManager[object]:
    """Open a transaction if the database can lock rows in it.

    On SQLite a transaction that reads before it writes fails if another connection writes in
    between, so none is opened there.
    """
    if connections[using].features.has_select_for_update:
        return transaction.atomic(using=using)
    return nullcontext()


def write_if(
    row: models.Model, expected: dict[str, Any], values: dict[str, Any], *conditions: models.Q
) -> bool:
    """Conditionally update the row in one statement; return whether it was updated.

    The object itself does not change.
    """
    using = database_of(row)
    if conditions or not is_plain(values.values()) or not is_comparable(expected.values()):
        return update_one(own_row(row, using).filter(*conditions, **expected), values)
    return update_plain(root_model(row), using, {**key_of(row), **expected}, values)


def update_plain(
    model: type[models.Model],
    using: str,
    expected: dict[str, Any],
    values: dict[str, Any],
    condition: Part | None = None,
) -> bool:
    """Update the only row with the ``expected`` plain values; return whether there is one."""
    statement = partial(update, model, using, expected, values, condition)
    return retry_on_conflict(using, statement) == 1


def key_of(row: models.Model) -> dict[str, Any]:
    """Return the primary key of the row in the table of the app's own model, by its name."""
    name = root_model(row)._meta.pk.attname
    return {name: getattr(row, name)}


def update_one(row: models.QuerySet[Any], values: dict[str, Any]) -> bool:
    """Update the only row of the queryset in one statement; return whether there is one."""
    return retry_on_conflict(row.db, partial(row.update, **values)) == 1


def store_if(
    row: models.Model, expected: dict[str, Any], values: dict[str, Any], *conditions: models.Q
) -> bool:
    """Update the row as ``write_if`` does, and the object with it if the row was updated."""
    is_written = write_if(row, expected, values, *conditions)
    if is_written:
        set_as_stored(row, values)
    return is_written


def set_as_stored(row: Any, values: dict[str, Any]) -> None:
    """Set values that the row has already, so that they do not count as changed.

    Values that the database computes are skipped.
    """
    plain = {name: it for name, it in values.items() if not hasattr(it, "resolve_expression")}
    for name, value in plain.items():
        setattr(row, name, value)
    if hasattr(row, "keep_as_stored"):
        row.keep_as_stored(plain)


def is_conflict(error: BaseException) -> bool:
    """Return whether the database failed because of another transaction."""
    if not isinstance(error, DatabaseError):
        return False
    sqlstate = getattr(error.__cause__, "sqlstate", None) or getattr(
        error.__cause__, "pgcode", None
    )
    return sqlstate in SQLSTATES or (bool(error.args) and error.args[0] in MYSQL_ERRORS)


def retry_on_conflict(using: str, act: Callable[[], T]) -> T:
    """Return ``act()``; retry it after a conflict with another transaction.

    Inside a transaction it is not retried: the whole transaction would have to be.
    """
    is_inside = connections[using].in_atomic_block
    tries = 0
    while True:
        tries += 1
        try:
            return act()
        except DatabaseError as error:
            if tries == TRIES or is_inside or not is_conflict(error):
                raise
        # Random, so that two processes do not collide again.
        time.sleep(random.uniform(PAUSE / 2, PAUSE))  # noqa: S311


def own_row(row: models.Model, using: str) -> models.QuerySet[Any]:
    """Return the row in the table of the app's own model.

    If Django updated a subclass with a table of its own, it would first read and then write. Such
    a subclass may have another primary key.
    """
    return root_model(row)._base_manager.using(using).filter(**key_of(row))


# Iteration over a table of any size


def in_order(rows: models.QuerySet[Any], *fields: str) -> Iterator[tuple[Any, ...]]:
    """Yield the primary key and the ``fields`` of each row, in the order of the primary keys.

    Only one chunk is in memory. No cursor or transaction is open between chunks, so rows may
    change or be deleted meanwhile. Rows added after the start are not yielded.
    """
    last = rows.order_by("-pk").values_list("pk", flat=True).first()
    if last is None:
        return
    ahead = rows.filter(pk__lte=last).order_by("pk").values_list("pk", *fields)
    chunk = list(ahead[:CHUNK_SIZE])
    while chunk:
        yield from chunk
        after = chunk[-1][0]
        close_if_lost(rows.db)
        chunk = list(ahead.filter(pk__gt=after)[:CHUNK_SIZE]) if after != last else []


def oldest_first(rows: models.QuerySet[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield each row's primary key in the order of ``created``; otherwise like ``in_order``."""
    for _created, key in in_order_of(rows, "created"):
        yield (key,)


def in_order_of(rows: models.QuerySet[Any], field: str) -> Iterator[tuple[Any, Any]]:
    """Yield each row's value of ``field`` and its primary key, in that order, like ``in_order``.

    A row whose value grows meanwhile may be yielded again.
    """
    last = rows.order_by(f"-{field}", "-pk").values_list(field, "pk").first()
    if last is None:
        return
    ahead = rows.filter(**{f"{field}__lte": last[0]}).order_by(field, "pk")
    ahead = ahead.values_list(field, "pk")
    chunk = list(ahead[:SORTED_CHUNK_SIZE])
    while chunk:
        yield from chunk
        value, key = chunk[-1]
        after = models.Q(**{f"{field}__gt": value}) | models.Q(**{field: value, "pk__gt": key})
        close_if_lost(rows.db)
        chunk = list(ahead.filter(after)[:SORTED_CHUNK_SIZE]) if chunk[-1] != last else []


def close_if_lost(using: str) -> None:
    """Close this thread's connection if the database has ended it; its next use opens a new one.

    While other threads work on the rows of a chunk, it is idle, perhaps for minutes.
    """
    connection = connections[using]
    is_idle = connection.connection is not None and not connection.in_atomic_block
    if is_idle and not connection.is_usable():
        connection.close()
