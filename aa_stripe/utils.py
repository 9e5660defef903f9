"""Small conversions between what Stripe sends and what Django stores."""

from __future__ import annotations

from datetime import datetime, timezone


def timestamp_to_timezone_aware_date(seconds: float) -> datetime:
    """The moment ``seconds`` after 1970-01-01 00:00 UTC, as Stripe counts time.

    Aware and in UTC, whatever the time zone of the process or the project. A project with
    ``USE_TZ = False`` gets an aware value too.
    """
    return datetime.fromtimestamp(seconds, tz=timezone.utc)
