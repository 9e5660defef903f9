"""The data of a card form."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from aa_stripe.testing.base.refusals import card_error
from aa_stripe.testing.cards.card import TestCard
from aa_stripe.testing.cards.catalog import by_number

EXP_MONTH = 8
EXP_YEAR = 2035


@dataclass(frozen=True)
class CardDetails:
    """A test card and its expiry date."""

    card: TestCard
    exp_month: int = EXP_MONTH
    exp_year: int = EXP_YEAR

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> CardDetails:
        """Read ``number``, ``exp_month`` and ``exp_year``; raise ``Refusal`` if invalid."""
        details = cls(
            by_number(str(params["number"])),
            int(params.get("exp_month", EXP_MONTH)),
            int(params.get("exp_year", EXP_YEAR)),
        )
        details.require_valid_expiry()
        return details

    def require_valid_expiry(self) -> None:
        """Raise ``Refusal`` if the month is invalid or the card has expired."""
        if not 1 <= self.exp_month <= 12:
            raise card_error(
                "Your card's expiration month is invalid.",
                code="invalid_expiry_month",
                param="exp_month",
            )
        today = time.gmtime()
        if (self.exp_year, self.exp_month) < (today.tm_year, today.tm_mon):
            raise card_error(
                "Your card's expiration year is invalid.",
                code="invalid_expiry_year",
                param="exp_year",
            )

    def as_fields(self) -> dict[str, Any]:
        """Return the fields that payment methods and legacy cards have in common."""
        return {
            "exp_month": self.exp_month,
            "exp_year": self.exp_year,
            "fingerprint": self.card.fingerprint,
            "funding": self.card.funding,
            "last4": self.card.last4,
        }
