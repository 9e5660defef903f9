"""Going through a table of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

from django.db import models
from django.utils import timezone

from aa_stripe.models.rows import lockable

#: How many rows are read by one statement.
CHUNK_SIZE = 500

#: How many keys are read by one statement that has to sort all the rows that are left.
SORTED_CHUNK_SIZE = 10_000


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


def oldest_first(rows: models.QuerySet[Any]) -> Iterator[tuple[Any, ...]]:
    """The primary key of each row, in the order of ``created``; otherwise as ``in_order()``."""
    newest = rows.order_by("-created", "-pk").values_list("pk", "created").first()
    if newest is None:
        return
    ahead = rows.filter(created__lte=newest[1]).order_by("created", "pk")
    ahead = ahead.values_list("pk", "created")
    chunk = list(ahead[:SORTED_CHUNK_SIZE])
    while chunk:
        for key, _created in chunk:
            yield (key,)
        key, created = chunk[-1]
        after = models.Q(created__gt=created) | models.Q(created=created, pk__gt=key)
        chunk = list(ahead.filter(after)[:SORTED_CHUNK_SIZE]) if chunk[-1] != newest else []


def write_unchanged(
    rows: Sequence[Any], current: models.QuerySet[Any], fields: Sequence[str]
) -> set[int]:
    """Write ``fields`` of those rows that nobody has written since they were read.

    ``current`` are the rows as they are now. Returns the primary keys of those written. Somebody
    who changes a row while we ask Stripe must not see it replaced by what Stripe said before.
    """
    with lockable(current.db):
        read = {row.pk: row.updated for row in rows}
        stamps = current.select_for_update().filter(pk__in=read).values_list("pk", "updated")
        unchanged = {pk for pk, updated in stamps if updated == read[pk]}
        now = timezone.now()
        fresh = [copy(row) for row in rows if row.pk in unchanged]
        for row in fresh:
            row.updated = now
        current.bulk_update(fresh, [*fields, "updated"])
    return unchanged


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
