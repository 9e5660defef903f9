"""What Stripe answers to one request."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from aa_stripe.testing.base.refusals import Refusal


@dataclass(frozen=True)
class Response:
    """A status, a body as it goes over the wire, and headers."""

    status: int
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, body: dict[str, Any]) -> Response:
        """Return an answer that is not touched by what happens to ``body`` later."""
        return cls(status, json.dumps(body).encode())

    @classmethod
    def of_refusal(cls, refusal: Refusal) -> Response:
        """Return what goes over the wire."""
        return cls.of(refusal.status, {"error": refusal.error})

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.content)

    def with_headers(self, **headers: str) -> Response:
        """Return the same answer with more headers; ``Request_Id`` stands for ``Request-Id``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})
