"""A test card and its behaviour."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aa_stripe.testing.base.refusals import Refusal, card_error


class Authentication(Enum):
    """When a card asks its owner for 3-D Secure."""

    NEVER = "never"
    ALWAYS = "always"
    UNLESS_SET_UP = "unless set up"
    ON_SESSION = "on session"


class RefundOutcome(Enum):
    """How a refund to a card begins; ``settle_refund()`` decides how it ends."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"


@dataclass(frozen=True)
class Decline:
    """Why a card is refused."""

    code: str
    decline_code: str
    message: str
    param: str | None = None

    def refusal(self, **details: Any) -> Refusal:
        """Return the 402 that says so."""
        return card_error(
            self.message,
            code=self.code,
            decline_code=self.decline_code,
            param=self.param,
            **details,
        )


@dataclass(frozen=True)
class TestCard:
    """A card and its behaviour.

    ``attaches``: a declining card is refused already when it is saved, unless it says it does.
    ``delayed``: a payment stays ``processing`` until it is settled.
    """

    __test__ = False  # for pytest, which would collect a class of this name

    number: str
    brand: str = "visa"
    funding: str = "credit"
    decline: Decline | None = None
    attaches: bool = True
    authentication: Authentication = Authentication.NEVER
    refund: RefundOutcome = RefundOutcome.SUCCEEDED
    delayed: bool = False

    @property
    def last4(self) -> str:
        """The last four digits."""
        return self.number[-4:]

    @property
    def fingerprint(self) -> str:
        """The same for the same number."""
        return hashlib.sha256(self.number.encode()).hexdigest()[:16]
