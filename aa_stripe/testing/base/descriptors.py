"""Stripe's rules for statement descriptors."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.base.refusals import bad_parameter

MAX_LENGTH = 22
FORBIDDEN = "<>\\'\"*"
FORBIDDEN_FOR_PRODUCTS = "<>\\'\""


def check_descriptors(params: dict[str, Any]) -> None:
    """Raise ``Refusal`` if a statement descriptor or its suffix is invalid."""
    for name in ("statement_descriptor", "statement_descriptor_suffix"):
        if params.get(name):
            _check(name, params[name], FORBIDDEN)


def check_product_descriptor(text: str, *, param: str) -> None:
    """Raise ``Refusal`` if a product's statement descriptor is invalid."""
    if text:
        _check(param, text, FORBIDDEN_FOR_PRODUCTS)


def _check(name: str, text: str, forbidden: str) -> None:
    # Unverified: Stripe's text of these three messages.
    if len(text) > MAX_LENGTH:
        raise bad_parameter(
            f"The statement descriptor must be at most {MAX_LENGTH} characters.", param=name
        )
    if any(character in forbidden for character in text):
        raise bad_parameter(
            f"The statement descriptor may not contain any of {forbidden}", param=name
        )
    if not any(character.isalpha() for character in text):
        raise bad_parameter(
            "The statement descriptor must contain at least one letter.", param=name
        )
