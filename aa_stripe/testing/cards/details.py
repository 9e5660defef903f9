"""What somebody typed into a card form."""

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
    """A test card and when it is said to expire."""

    card: TestCard
    exp_month: int = EXP_MONTH
    exp_year: int = EXP_YEAR

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> CardDetails:
        """Read ``number``, ``exp_month`` and ``exp_year``; refuse what is no test card."""
        details = cls(
            by_number(str(params["number"])),
            int(params.get("exp_month", EXP_MONTH)),
            int(params.get("exp_year", EXP_YEAR)),
        )
        details.refuse_if_expired()
        return details

    def refuse_if_expired(self) -> None:
        """Raise the refusal of a month or a year that cannot be."""
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
        """Return what payment methods and legacy cards say in the same words."""
        return {
            "exp_month": self.exp_month,
            "exp_year": self.exp_year,
            "fingerprint": self.card.fingerprint,
            "funding": self.card.funding,
            "last4": self.card.last4,
        }
