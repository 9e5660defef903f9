"""Recurring periods, which begin on the same day of the month as the first one."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta, timezone

from aa_stripe.testing.account import JSON

DAY = 24 * 60 * 60
"""Seconds."""


def next_after(moment: int, anchor: int, recurring: JSON) -> int:
    """Return the first boundary later than ``moment``.

    Boundaries are a whole number of intervals (``recurring`` of a price) after the ``anchor``.
    With an anchor on the 31st, the boundary in a shorter month is that month's last day. All times
    are seconds since 1970.
    """
    number = 1
    while _boundary(anchor, recurring, number) <= moment:
        number += 1
    return _boundary(anchor, recurring, number)


def months_after(start: int, months: int) -> int:
    """Return the same day and time ``months`` later, or the last day of a shorter month."""
    begun = datetime.fromtimestamp(start, timezone.utc)
    years, month = divmod(begun.month - 1 + months, 12)
    year, month = begun.year + years, month + 1
    day = min(begun.day, calendar.monthrange(year, month)[1])
    return int(begun.replace(year=year, month=month, day=day).timestamp())


def _boundary(anchor: int, recurring: JSON, number: int) -> int:
    count = recurring["interval_count"] * number
    if recurring["interval"] in ("month", "year"):
        return months_after(anchor, count if recurring["interval"] == "month" else 12 * count)
    days = count if recurring["interval"] == "day" else 7 * count
    return anchor + int(timedelta(days=days).total_seconds())
