"""Conversions between Stripe's values and values that Django can store."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection, Mapping
from datetime import date, datetime, timezone
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.timezone import get_default_timezone, localdate, make_aware, make_naive

# NUL and halves of surrogate pairs: valid in JSON, but not in a URL or in PostgreSQL.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_TO_ESCAPE = re.compile("[\0\ud800-\udfff\\\\]")


def timestamp_to_timezone_aware_date(seconds: float) -> datetime:
    """Return the moment ``seconds`` after 1970-01-01 00:00 UTC, which is how Stripe counts time.

    The result is aware and in UTC, whatever the time zone of the process or the project, and
    also if ``USE_TZ`` is ``False``.
    """
    return datetime.fromtimestamp(seconds, tz=timezone.utc)


def to_datetime(seconds: float) -> datetime:
    """Return the moment as the project's databases store it: aware, unless ``USE_TZ`` is off.

    A naive one is in ``TIME_ZONE``. In the hour that is repeated in autumn it stands for the first
    of two moments, because no database stores which one it is.
    """
    aware = timestamp_to_timezone_aware_date(seconds)
    if settings.USE_TZ:
        return aware
    return make_naive(aware, get_default_timezone()).replace(fold=0)


def to_timestamp(moment: datetime) -> int:
    """Return ``moment`` in seconds since 1970; a naive one is in ``TIME_ZONE``, as in Django.

    Of a naive one ``fold`` is ignored: only PostgreSQL returns it, and not as it was stored.
    """
    if moment.tzinfo is None:
        moment = make_aware(moment.replace(fold=0), get_default_timezone())
    return int(moment.timestamp())


def as_stored(seconds: int) -> int:
    """Return the timestamp that is read back after ``seconds`` was stored, see ``to_datetime``."""
    return to_timestamp(to_datetime(seconds))


def local_date(seconds: float) -> date:
    """Return the date ``seconds`` after 1970-01-01 00:00 UTC, in local time.

    Local is the current time zone, or ``TIME_ZONE`` if ``USE_TZ`` is off.
    """
    moment = to_datetime(seconds)
    return localdate(moment) if settings.USE_TZ else moment.date()


def uuid_in(metadata: Mapping[str, str] | None, key: str) -> UUID | None:
    """Return the UUID under ``key`` in Stripe's metadata, or ``None`` if there is no valid one."""
    try:
        return UUID((metadata or {}).get(key) or "")
    except ValueError:
        return None


def is_usable_text(text: str) -> bool:
    """Return whether a URL and every supported database can hold ``text``."""
    return not _UNSTORABLE.search(text)


def is_deeper_than(value: Any, levels: int) -> bool:
    """Return whether more than ``levels`` lists and objects are nested in ``value``."""
    try:
        storable_json(value, levels=levels)
    except TooDeep:
        return True
    return False


class TooDeep(ValueError):
    """More lists and objects are nested in JSON data than are allowed."""


def storable_json(value: Any, *, without: Collection[str] = (), levels: int = sys.maxsize) -> Any:
    r"""Return JSON data that the JSON type of every supported database accepts.

    NaN and Infinity become strings. Characters that cannot be stored become their JSON escape:
    NUL becomes ``\u0000``, six characters. The keys in ``without`` are left out, at any depth.
    Only what changes is copied: if nothing does, ``value`` itself is returned.

    Raises ``TooDeep`` if more than ``levels`` lists and objects are nested.
    """
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if not isinstance(value, (dict, list)) or _are_storable(value, without, levels):
        return value
    if isinstance(value, list):
        return [storable_json(it, without=without, levels=levels - 1) for it in value]
    return {
        storable_text(key): storable_json(it, without=without, levels=levels - 1)
        for key, it in value.items()
        if key not in without
    }


def _are_storable(value: Any, without: Collection[str], levels: int) -> bool:
    """Return whether the list or object can be stored as it is; see ``storable_json``.

    Every webhook is checked, so a text or number takes no call of a function of its own.
    """
    if not levels:
        raise TooDeep
    if isinstance(value, dict):
        for key in value:
            if key in without or _UNSTORABLE.search(key):
                return False
        value = value.values()
    for it in value:
        if isinstance(it, str):
            if _UNSTORABLE.search(it):
                return False
        elif isinstance(it, (dict, list)):
            if not _are_storable(it, without, levels - 1):
                return False
        elif isinstance(it, float) and not math.isfinite(it):
            return False
    return True


def storable_text(text: str) -> str:
    """Return ``text`` with every character escaped that cannot be stored.

    If there is such a character, backslashes are escaped too. So an escaped NUL differs from the
    same six characters in the original text.
    """
    if not _UNSTORABLE.search(text):
        return text
    return _TO_ESCAPE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return "\\\\" if character == "\\" else f"\\u{ord(character):04x}"
