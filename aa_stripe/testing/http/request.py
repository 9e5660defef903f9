"""A request to the offline Stripe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aa_stripe.testing.base import form
from aa_stripe.testing.base.ids import new_id
from aa_stripe.testing.http.faults import Fault


@dataclass
class Request:
    """A request and its outcome.

    ``params`` are nested dictionaries and lists of strings. ``headers`` have lower-case names.
    ``status`` is the HTTP status of the response; ``None`` before the response, and if a fault
    lost it. ``fault`` is the injected fault, ``delay`` its delay in seconds. ``replayed`` is true
    if the response is that of an earlier request with the same idempotency key.
    """

    method: str
    path: str
    params: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: new_id("request"))
    status: int | None = None
    fault: Fault | None = None
    delay: float = 0
    replayed: bool = False

    @classmethod
    def parse(
        cls, method: str, url: str, headers: Mapping[str, str] | None, body: str | bytes | None
    ) -> Request:
        """Create a request from its HTTP method, URL, headers and body."""
        parts = urlsplit(url)
        encoded = body if method.upper() == "POST" else parts.query
        if isinstance(encoded, bytes):
            encoded = encoded.decode(errors="replace")
        return cls(
            method=method.upper(),
            path=parts.path,
            params=form.parse(encoded or ""),
            headers={name.lower(): value for name, value in (headers or {}).items()},
        )

    @property
    def idempotency_key(self) -> str | None:
        """The key of a POST; Stripe ignores keys of other methods."""
        if self.method != "POST":
            return None
        return self.headers.get("idempotency-key")
