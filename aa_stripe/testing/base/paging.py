"""Lists: filters, cursors and pages, newest object first."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from aa_stripe.testing.base.refusals import bad_parameter, no_such

DEFAULT_LIMIT = 10
MAX_LIMIT = 100

_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def page(url: str, objects: list[dict[str, Any]], params: dict[str, Any]) -> dict[str, Any]:
    """Return the page of ``objects`` (oldest first) that ``params`` select.

    For the next page, send the last id of this page as ``starting_after``. For the previous page,
    send its first id as ``ending_before``.
    """
    limit = _limit(params)
    newest_first = objects[::-1]
    if "starting_after" in params and "ending_before" in params:
        raise bad_parameter(
            "You may only specify one of these parameters: ending_before, starting_after."
        )
    if "starting_after" in params:
        place = _place(url, newest_first, params["starting_after"], "starting_after")
        newest_first = newest_first[place + 1 :]
    if "ending_before" in params:
        place = _place(url, newest_first, params["ending_before"], "ending_before")
        newest_first = newest_first[:place]
    created = params.get("created")
    found = [
        item for item in newest_first if created is None or is_within(item["created"], created)
    ]
    shown = found[-limit:] if "ending_before" in params else found[:limit]
    return {"object": "list", "url": url, "has_more": len(found) > limit, "data": shown}


def _limit(params: dict[str, Any]) -> int:
    limit: int = params.get("limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        bound = "greater than or equal to 1" if limit < 1 else f"less than or equal to {MAX_LIMIT}"
        raise bad_parameter(
            f"This value must be {bound}.", param="limit", code="parameter_invalid_integer"
        )
    return limit


def is_within(moment: int, wanted: int | dict[str, int]) -> bool:
    """Return whether a time (seconds since 1970) equals ``wanted`` or is in that range."""
    if isinstance(wanted, int):
        wanted = {"gte": wanted, "lte": wanted}
    return all(_COMPARISONS[name](moment, bound) for name, bound in wanted.items())


def _place(url: str, listed: list[dict[str, Any]], cursor: str, param: str) -> int:
    for place, item in enumerate(listed):
        if item["id"] == cursor:
            return place
    kind = url.rpartition("/")[2].removesuffix("s")
    raise no_such(kind, cursor, param=param)
