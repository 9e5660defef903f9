"""The conversion of 0.14's JSON texts to a form that every supported database accepts as JSON.

Part of migration 0024, so it must not change: it must do the same to the rows of every site.
docs/upgrading.rst lists the rules.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

#: The only key of the object that replaces a text that is not JSON.
UNREADABLE = "aa_stripe_unreadable_text"

#: MariaDB before 11.7 accepts no more levels; SQLite accepts 1000.
MAX_DEPTH = 31

#: Digits of a number, and its exponent. Python refuses to read longer integers; PostgreSQL holds
#: 131072 digits before the decimal point and 16383 after it.
MAX_DIGITS = 4300

EMPTY = "was empty"
MISSING = "was missing (NULL)"
NOT_JSON = f'is not JSON, now under "{UNREADABLE}"'
NOT_TEXT = "was not stored as text in UTF-8"
NOT_FINITE = "has NaN or Infinity, now strings"
BIG_NUMBER = "has a number too large, now a string"
BAD_CHARACTER = "has NUL or half a surrogate pair, now escaped"
TOO_DEEP = "is nested too deeply, the innermost now a string"

_BAD_CHARACTER = re.compile("[\0\ud800-\udfff]")
_TO_ESCAPE = re.compile("[\0\ud800-\udfff\\\\]")
_EXPONENT = re.compile("[eE]([-+]?[0-9]+)")


def storable(text: str | bytes | None, default: str) -> tuple[str, list[str]]:
    """Return the text to store for ``text``, and the list of changes, empty if there are none.

    ``bytes`` are text that is not UTF-8. ``default`` is the field's default, ``{}`` or ``[]``. It
    replaces an empty text, and decides whether a text that is not JSON becomes an object or a list.
    """
    if not text:
        return default, [MISSING if text is None else EMPTY]
    reader = _Reader()
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
        reader.changes.add(NOT_TEXT)
    try:
        value = reader.read(text)
        return (json.dumps(value) if reader.changes else text), sorted(reader.changes)
    except (ValueError, RecursionError):
        unreadable = {UNREADABLE: _escaped(text)}
        return json.dumps([unreadable] if default == "[]" else unreadable), [NOT_JSON]


class _Reader:
    """A reader of one text, with the ``changes`` that were necessary."""

    def __init__(self) -> None:
        self.changes: set[str] = set()

    def read(self, text: str) -> Any:
        value = json.loads(
            text, parse_constant=self._constant, parse_int=self._integer, parse_float=self._float
        )
        return self._storable(value, depth=1)

    def _constant(self, name: str) -> str:
        self.changes.add(NOT_FINITE)
        return name

    def _integer(self, digits: str) -> int | str:
        return int(digits) if len(digits) <= MAX_DIGITS else self._number_in_text(digits)

    def _float(self, digits: str) -> float | str:
        exponent = _EXPONENT.search(digits)
        if len(digits) > MAX_DIGITS or (exponent and abs(int(exponent[1])) > MAX_DIGITS):
            return self._number_in_text(digits)
        value = float(digits)
        return value if math.isfinite(value) else self._number_in_text(digits)

    def _number_in_text(self, digits: str) -> str:
        self.changes.add(BIG_NUMBER)
        return digits

    def _storable(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self._string(value)
        if not isinstance(value, (dict, list)):
            return value
        if depth > MAX_DEPTH:
            self.changes.add(TOO_DEEP)
            return json.dumps(value)
        if isinstance(value, list):
            return [self._storable(item, depth + 1) for item in value]
        return self._object(value, depth)

    def _object(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in value.items():
            name = self._string(key)
            while name != key and (name in value or name in result):
                name += "_"
            result[name] = self._storable(item, depth + 1)
        return result

    def _string(self, value: str) -> str:
        if _BAD_CHARACTER.search(value):
            self.changes.add(BAD_CHARACTER)
        return _escaped(value)


def _escaped(value: str) -> str:
    """Return ``value`` with unstorable characters and every backslash escaped as in JSON.

    The backslashes are escaped so that an escaped NUL differs from the same six characters in the
    original text.
    """
    if not _BAD_CHARACTER.search(value):
        return value
    return _TO_ESCAPE.sub(_escape, value)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return "\\\\" if character == "\\" else f"\\u{ord(character):04x}"
