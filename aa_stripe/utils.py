"""Small conversions between what Stripe sends and what Django stores."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

# NUL, and halves of surrogate pairs: JSON can spell them, PostgreSQL refuses them.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_TO_ESCAPE = re.compile("[\0\ud800-\udfff\\\\]")


def timestamp_to_timezone_aware_date(seconds: float) -> datetime:
    """The moment ``seconds`` after 1970-01-01 00:00 UTC, as Stripe counts time.

    Aware and in UTC, whatever the time zone of the process or the project. A project with
    ``USE_TZ = False`` gets an aware value too.
    """
    return datetime.fromtimestamp(seconds, tz=timezone.utc)


def uuid_in(metadata: Mapping[str, str] | None, key: str) -> UUID | None:
    """The row's ``uuid`` in Stripe's metadata, which anybody may have written; else ``None``."""
    try:
        return UUID((metadata or {}).get(key) or "")
    except ValueError:
        return None


def storable_json(value: Any) -> Any:
    """``value``, of JSON's types, such that the JSON type of every supported database takes it.

    NaN and Infinity become strings, characters that cannot be stored become as JSON has them:
    NUL becomes ``\\u0000``, six characters.
    """
    if isinstance(value, dict):
        return {storable_text(key): storable_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return storable_text(value) if isinstance(value, str) else value


def storable_text(text: str) -> str:
    """``text``; if a character of it cannot be stored, with that and every backslash escaped.

    The backslashes, so that an escaped NUL is not mistaken for six characters that were there.
    """
    if not _UNSTORABLE.search(text):
        return text
    return _TO_ESCAPE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return "\\\\" if character == "\\" else f"\\u{ord(character):04x}"
