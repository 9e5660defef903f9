"""Taking a row, so that two processes do not ask Stripe for the same thing at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, models, router, transaction


@contextmanager
def locked(row: models.Model) -> Iterator[None]:
    """Hold the row's lock in a transaction, the object read anew under it.

    The lock saves requests to Stripe, nothing depends on it: SQLite has none, and there no
    transaction is opened either, because one that reads first and writes later fails as soon as
    somebody else writes in between.
    """
    using = row._state.db or router.db_for_write(type(row), instance=row)
    if not connections[using].features.has_select_for_update:
        row.refresh_from_db(using=using)
        yield
        return
    with transaction.atomic(using=using):
        rows = type(row)._base_manager.using(using).select_for_update()
        rows.values_list("pk").get(pk=row.pk)
        row.refresh_from_db(using=using)
        yield
