"""Batches of all rows of a table of any size. Part of the migrations: must not change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import router
from django.db.models import Model, QuerySet

from aa_stripe.migrations._console import console

#: Number of rows that are in memory at a time and committed together. A webhook can be large.
BATCH = 200


def batches_of(rows: QuerySet[Any], *columns: str) -> Iterator[list[Any]]:
    """Yield batches of ``rows`` in the order of their primary keys, as tuples that begin with it.

    No cursor is open between two batches, so that each batch can be committed.
    """
    label = f"{rows.model._meta.model_name}: {', '.join(columns) or 'rows'}"
    return console.counting(label, _batches(rows.order_by("pk"), columns), rows.count())


def _batches(rows: QuerySet[Any], columns: tuple[str, ...]) -> Iterator[list[Any]]:
    tuples = rows.values_list("pk", *columns)
    batch = list(tuples[:BATCH])
    while batch:
        yield batch
        batch = list(tuples.filter(pk__gt=batch[-1][0])[:BATCH])


def rows_of(apps: Any, model_name: str, alias: str) -> QuerySet[Any]:
    """Return all rows of the model on ``alias``; none if a router keeps the model elsewhere."""
    model: type[Model] = apps.get_model("aa_stripe", model_name)
    rows = model._base_manager.using(alias)
    return rows.all() if router.allow_migrate_model(alias, model) else rows.none()
