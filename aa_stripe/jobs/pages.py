"""Stripe's listings, read page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

from aa_stripe import gateway

T = TypeVar("T")


def pages(listing: Callable[[], Iterator[T]]) -> Iterator[tuple[list[T], Exception | None]]:
    """Yield each page of ``listing()`` with ``None``, or with the error that ended the listing."""
    items = _lazily(listing)
    error: Exception | None = None
    is_last = False
    while not is_last:
        page: list[T] = []
        try:
            for item in islice(items, gateway.PAGE_SIZE):
                page.append(item)
        except Exception as broken:  # noqa: BLE001 (it is logged)
            error = broken
        is_last = len(page) < gateway.PAGE_SIZE
        yield page, error


def _lazily(listing: Callable[[], Iterator[T]]) -> Iterator[T]:
    yield from listing()  # so reading the first page makes the first request
