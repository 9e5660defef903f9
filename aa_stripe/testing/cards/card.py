"""A test card and its behaviour."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aa_stripe.testing.base.refusals import Refusal, card_error


class Authentication(Enum):
    """When a card requires 3-D Secure."""

    NEVER = "never"
    ALWAYS = "always"
    UNLESS_SET_UP = "unless set up"
    ON_SESSION = "on session"


class RefundOutcome(Enum):
    """The initial status of a refund to a card; ``settle_refund()`` changes it."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"


@dataclass(frozen=True)
class Decline:
    """The reason why a card is declined."""

    code: str
    decline_code: str
    message: str
    param: str | None = None

    def refusal(self, **details: Any) -> Refusal:
        """Return the 402 response for this decline."""
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

    ``attaches``: whether a declining card can be saved; if false, saving it is declined as well.
    ``delayed``: whether a payment stays ``processing`` until it is settled.
    """

    __test__ = False  # pytest would collect a class of this name

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
        """The last four digits of the number."""
        return self.number[-4:]

    @property
    def fingerprint(self) -> str:
        """A hash of the number: equal numbers have equal fingerprints."""
        return hashlib.sha256(self.number.encode()).hexdigest()[:16]
