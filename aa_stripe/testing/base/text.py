"""Length limits of text parameters."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.base.refusals import bad_parameter


def check_length(params: dict[str, Any], name: str, longest: int) -> None:
    """Raise ``Refusal`` if a text is longer than ``longest`` characters."""
    text = params.get(name, "")
    if len(text) > longest:
        raise bad_parameter(
            f"Invalid string: {_abridged(text)}; must be at most {longest} characters", param=name
        )


def _abridged(text: str) -> str:
    return f"{text[:5]}...{text[-5:]}"
