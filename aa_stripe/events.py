"""Typed reading of an event's objects, so that no handler fails on an odd event.

A key that is missing or null has the type's empty value. Anything else that is not of the expected
type raises ``StripeWebhookParseError``: the event counts as parsed, and its ``parse_error`` names
the value. A retry would not help, because Stripe never renders an event again.
https://docs.stripe.com/api/events/object
"""

from __future__ import annotations

from typing import Any, TypeVar

from aa_stripe.exceptions import StripeWebhookParseError

T = TypeVar("T")

#: The latest time that every database stores, in seconds since 1970: the end of the year 9998.
LATEST = 253_370_764_799


class Part:
    """An object within an event. ``path`` is where it is, for messages: ``data.object``."""

    def __init__(self, values: dict[str, Any], path: str) -> None:
        self._values = values
        self._path = path

    @property
    def id(self) -> str:
        """Stripe's id of the object, never empty."""
        if not isinstance(self._values.get("id"), str) or not self._values["id"]:
            raise StripeWebhookParseError("The event's object has no id.")
        return str(self._values["id"])

    @property
    def metadata(self) -> dict[str, str]:
        """Stripe's metadata: texts only."""
        part = self.part("metadata")
        return {key: part.text(key) for key in part._values}

    def text(self, key: str) -> str:
        """Return the text, ``""`` if there is none."""
        return self._typed(key, str, "a text") or ""

    def part(self, key: str) -> Part:
        """Return the object, an empty one if there is none."""
        values: dict[str, Any] = self._typed(key, dict, "an object") or {}
        return Part(values, self._place(key))

    def id_of(self, key: str) -> str:
        """Return the id of another object, which may be expanded; ``""`` if there is none.

        https://docs.stripe.com/expand
        """
        if isinstance(self._values.get(key), dict):
            return self.part(key).text("id")
        return self.text(key)

    def seconds(self, key: str) -> int:
        """Return a time in seconds since 1970."""
        seconds = self._typed(key, int, "a time")
        if seconds is None or isinstance(seconds, bool) or not 0 <= seconds <= LATEST:
            raise StripeWebhookParseError(f"{self._place(key)} is not a time.")
        return seconds

    def _typed(self, key: str, type: type[T], name: str) -> T | None:
        value = self._values.get(key)
        if value is None or isinstance(value, type):
            return value
        raise StripeWebhookParseError(f"{self._place(key)} is not {name}.")

    def _place(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def data_of(event: Any) -> Part:
    """Return the event's data: ``object``, and what it was before in ``previous_attributes``."""
    return Part(event if isinstance(event, dict) else {}, "").part("data")


def object_of(event: Any) -> Part:
    """Return the event's object. Raises ``StripeWebhookParseError`` if it has no id."""
    part = data_of(event).part("object")
    part.id  # noqa: B018
    return part
