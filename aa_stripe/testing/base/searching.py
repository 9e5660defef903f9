"""Searches by one value of the metadata; they find new objects after a minute.

https://docs.stripe.com/search
"""

from __future__ import annotations

import re
from typing import Any

from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import invalid

#: How long it takes until the search finds a new object. Stripe says: less than a minute.
#: https://docs.stripe.com/search#data-freshness
SECONDS_TO_INDEX = 60

_QUERY = re.compile(r"metadata\[(['\"])(?P<key>[^'\"\]]+)\1\]:(['\"])(?P<value>[^'\"]*)\3")


def search(
    url: str, objects: list[dict[str, Any]], params: dict[str, Any], *, now: int
) -> dict[str, Any]:
    """Return the page of ``objects`` (oldest first) with the value that the query names."""
    wanted = _QUERY.fullmatch(params["query"])
    if wanted is None:
        raise invalid(
            "FakeStripe only searches for one value in the metadata: metadata['key']:'value'.",
            param="query",
        )
    found = [
        item
        for item in objects
        if item.get("metadata", {}).get(wanted["key"]) == wanted["value"]
        and item["created"] <= now - SECONDS_TO_INDEX
    ]
    cursor = {"starting_after": params.pop("page")} if "page" in params else {}
    shown = page(url, found, {**params, **cursor})
    next_page = shown["data"][-1]["id"] if shown["has_more"] else None
    return {**shown, "object": "search_result", "url": f"{url}/search", "next_page": next_page}
