"""Fractions: what a percentage may be, and how they are written."""

from __future__ import annotations

from decimal import Decimal

from aa_stripe.testing.base.refusals import bad_parameter


def check_places(number: Decimal, places: int, *, param: str) -> None:
    """Refuse a number with more than ``places`` decimal places, zeros included."""
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > places:
        raise bad_parameter(
            f"Invalid decimal: {number}; must contain at maximum {places} decimal places.",
            param=param,
        )


def plain(number: Decimal) -> str:
    """Return the number without exponent and without needless zeros."""
    return f"{number.normalize():f}"
