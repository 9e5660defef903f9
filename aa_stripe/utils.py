"""Conversions between Stripe's values and values that Django can store."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

# NUL and halves of surrogate pairs: valid in JSON, but not in a URL or in PostgreSQL.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_TO_ESCAPE = re.compile("[\0\ud800-\udfff\\\\]")


def timestamp_to_timezone_aware_date(seconds: float) -> datetime:
    """Return the moment ``seconds`` after 1970-01-01 00:00 UTC, which is how Stripe counts time.

    The result is aware and in UTC, whatever the time zone of the process or the project, and
    also if ``USE_TZ`` is ``False``.
    """
    return datetime.fromtimestamp(seconds, tz=timezone.utc)


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
    level = _containers_in([value])
    for _ in range(levels):
        level = [part for container in level for part in _containers_in(container)]
    return bool(level)


def _containers_in(value: Any) -> list[Any]:
    parts = value.values() if isinstance(value, dict) else value
    return [part for part in parts if isinstance(part, (dict, list))]


def storable_json(value: Any) -> Any:
    r"""Return JSON data that the JSON type of every supported database accepts.

    NaN and Infinity become strings. Characters that cannot be stored become their JSON escape:
    NUL becomes ``\u0000``, six characters.
    """
    if isinstance(value, dict):
        return {storable_text(key): storable_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return storable_text(value) if isinstance(value, str) else value


def storable_text(text: str) -> str:
    """Return ``text`` with every character escaped that cannot be stored.

    If there is such a character, backslashes are escaped too. So an escaped NUL differs from the
    same six characters in the original text.
    """
    if is_usable_text(text):
        return text
    return _TO_ESCAPE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return "\\\\" if character == "\\" else f"\\u{ord(character):04x}"
