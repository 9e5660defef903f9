"""A response of the offline Stripe."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from aa_stripe.testing.base.refusals import Refusal


@dataclass(frozen=True)
class Response:
    """A status, an encoded body, and headers."""

    status: int
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, body: dict[str, Any]) -> Response:
        """Return a response; later changes to ``body`` do not affect it."""
        return cls(status, json.dumps(body).encode())

    @classmethod
    def of_refusal(cls, refusal: Refusal) -> Response:
        """Return the response for a refusal."""
        return cls.of(refusal.status, {"error": refusal.error})

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.content)

    def with_headers(self, **headers: str) -> Response:
        """Return a copy with additional headers; ``Request_Id`` becomes ``Request-Id``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})
