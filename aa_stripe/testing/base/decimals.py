"""Decimal numbers: limits on decimal places, and formatting."""

from __future__ import annotations

from decimal import Decimal

from aa_stripe.testing.base.refusals import bad_parameter


def check_places(number: Decimal, places: int, *, param: str) -> None:
    """Raise ``Refusal`` for more than ``places`` decimal places; trailing zeros count."""
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > places:
        raise bad_parameter(
            f"Invalid decimal: {number}; must contain at maximum {places} decimal places.",
            param=param,
        )


def plain(number: Decimal) -> str:
    """Format the number without an exponent and without trailing zeros."""
    return f"{number.normalize():f}"
