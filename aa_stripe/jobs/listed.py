"""Stored events as a job lists them: in chunks, and without their bodies."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from aa_stripe import gateway
from aa_stripe.models.rows import CHUNK_SIZE, oldest_first


class Listed(NamedTuple):
    """What a job has to know of an event before it reads its row.

    ``type`` and ``livemode`` are parts of the event's JSON. They are ``None`` in an old row without
    an event, and may have another type there.
    """

    type: Any
    livemode: Any
    attempts: int
    is_done: bool

    def is_of_wrong_mode(self) -> bool:
        """Return whether the mode (live or test) of the event is not that of the API key."""
        return gateway.is_of_other_mode(self.livemode)


def listed(rows: QuerySet[Any]) -> Iterator[tuple[str, Listed | None]]:
    """Yield each event's id and details, oldest first; ``None`` if it is not in ``rows`` any more.

    Two statements read 500 events, one of them 10,000 ids ahead. Only these are in memory.
    """
    keys = (key for (key,) in oldest_first(rows))
    is_done = ExpressionWrapper(Q(is_parsed=True, parse_error=""), output_field=BooleanField())
    # The database reads two values from the JSON. The body may be a hundred times as long.
    details = rows.order_by().values_list(
        "pk", "raw_data__type", "raw_data__livemode", "attempts", is_done
    )
    while chunk := list(islice(keys, CHUNK_SIZE)):
        found = {key: Listed(*values) for key, *values in details.filter(pk__in=chunk)}
        for key in chunk:
            yield key, found.get(key)
