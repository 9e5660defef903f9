"""Metadata: limits, and merging of updates."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.base.refusals import bad_parameter

MAX_KEYS = 50
MAX_KEY_LENGTH = 40
MAX_VALUE_LENGTH = 500


def merge(current: dict[str, str], sent: Any) -> dict[str, str]:
    """Merge the metadata that was ``sent`` into a copy of ``current``.

    ``None`` (not sent) changes nothing, an empty string clears all, and a key with an empty
    value is removed. Raises ``Refusal`` if there are too many keys, or a key or value is too long.
    """
    if sent is None:
        return current
    if sent == "":
        return {}
    merged = {key: value for key, value in {**current, **sent}.items() if value != ""}
    _check(merged)
    return merged


def _check(metadata: dict[str, str]) -> None:
    if len(metadata) > MAX_KEYS:
        raise bad_parameter(
            f"Metadata can have up to {MAX_KEYS} keys, but you've set {len(metadata)}.",
            param="metadata",
        )
    for key, value in metadata.items():
        if len(key) > MAX_KEY_LENGTH:
            raise bad_parameter(
                f"Metadata keys can have up to {MAX_KEY_LENGTH} characters, but you passed in a "
                f"key that is {len(key)} characters. Invalid key: {key}",
                param="metadata",
            )
        if len(value) > MAX_VALUE_LENGTH:
            raise bad_parameter(
                f"Metadata values can have up to {MAX_VALUE_LENGTH} characters, but you passed "
                f"in a value that is {len(value)} characters. Invalid value: {value}",
                param=f"metadata[{key}]",
            )
