"""Going through a table of any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from django.db import models, router

M = TypeVar("M", bound=models.Model)

#: How many rows are read by one statement.
CHUNK_SIZE = 500


def stored(model: type[M]) -> models.QuerySet[M]:
    """All rows, from the database that is written to: a replica may not know of a charge yet."""
    return model._default_manager.using(router.db_for_write(model))


def in_order(rows: models.QuerySet[Any], *fields: str) -> Iterator[tuple[Any, ...]]:
    """The primary key and the ``fields`` of each row, in the order of the primary keys.

    Nothing is held between the chunks, neither memory nor a cursor nor a transaction, so rows
    may change and vanish meanwhile. What is added after the start is not reached.
    """
    last = rows.order_by("-pk").values_list("pk", flat=True).first()
    if last is None:
        return
    ahead = rows.filter(pk__lte=last).order_by("pk").values_list("pk", *fields)
    chunk = list(ahead[:CHUNK_SIZE])
    while chunk:
        yield from chunk
        after = chunk[-1][0]
        chunk = list(ahead.filter(pk__gt=after)[:CHUNK_SIZE]) if after != last else []


class Keys:
    """A set of whole numbers that takes some bits for each, not some sixty bytes."""

    def __init__(self) -> None:
        self._words: dict[int, int] = {}

    def add(self, key: int) -> None:
        word, bit = divmod(key, 64)
        self._words[word] = self._words.get(word, 0) | 1 << bit

    def __contains__(self, key: int) -> bool:
        word, bit = divmod(key, 64)
        return bool(self._words.get(word, 0) >> bit & 1)
