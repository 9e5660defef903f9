"""One request that reached the fake."""

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
    """A request, and once it is over what became of it.

    ``params`` is what was sent, as nested dictionaries and lists of strings. ``headers`` have
    lower-case names. ``status`` is the HTTP status, and ``None`` while there is none (also when
    a fault swallowed the answer); ``fault`` is the fault that was injected, ``delay`` the seconds
    it took on purpose. ``replayed`` says that the answer was that of an earlier request with the
    same idempotency key.
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
        """Read a request as an HTTP client or a server has it."""
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
        """The key sent with a POST; Stripe ignores the others."""
        if self.method != "POST":
            return None
        return self.headers.get("idempotency-key")
