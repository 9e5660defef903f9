"""Idempotency keys: a retry gets the first response."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aa_stripe.testing.base.refusals import Refusal, bad_parameter
from aa_stripe.testing.http.request import Request
from aa_stripe.testing.http.response import Response

LIFETIME = 24 * 60 * 60
"""Seconds after which a key can be reused."""

MAX_LENGTH = 255


@dataclass
class _Entry:
    path: str
    params: dict[str, Any]
    created: int
    response: Response | None = None


class IdempotencyKeys:
    """The keys of one account. ``now`` returns the account's time."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def respond(self, request: Request, perform: Callable[[], tuple[Response, bool]]) -> Response:
        """Return the kept response, or ``perform()`` the request.

        ``perform`` returns a response and whether to keep it. Raises ``Refusal`` if the key was
        used for a different request, or if another request is using it.
        """
        key = request.idempotency_key
        if key is None:
            return perform()[0]
        if len(key) > MAX_LENGTH:
            raise bad_parameter(f"Idempotency keys may be at most {MAX_LENGTH} characters long.")
        with self._lock:
            entry = self._entry(key, request)
        if entry.response is not None:
            request.replayed = True
            return entry.response.with_headers(Idempotent_Replayed="true")
        return self._perform(key, entry, perform)

    def _entry(self, key: str, request: Request) -> _Entry:
        """Return the kept entry, or a new one without a response."""
        entry = self._entries.get(key)
        if entry is None or self._now() - entry.created >= LIFETIME:
            entry = self._entries[key] = _Entry(request.path, request.params, self._now())
            return entry
        if entry.path != request.path:
            raise _used_for_another_endpoint(key, entry.path, request.path)
        if entry.params != request.params:
            raise _used_with_other_parameters(key)
        if entry.response is None:
            raise key_in_use(key)
        return entry

    def _perform(
        self, key: str, entry: _Entry, perform: Callable[[], tuple[Response, bool]]
    ) -> Response:
        kept = False
        try:
            response, kept = perform()
        finally:
            if not kept:
                with self._lock:
                    self._entries.pop(key, None)
        if kept:
            entry.response = response
        return response


def key_in_use(key: str) -> Refusal:
    """Return the 409 for a key that another request is using."""
    return Refusal(
        409,
        "idempotency_error",
        "There is currently another in-progress request using this Idempotent Key (that probably "
        "means you submitted twice, and the other request is still going through): "
        f"{key}. Please try again later.",
        code="idempotency_key_in_use",
        kept=False,
    )


def _used_with_other_parameters(key: str) -> Refusal:
    return Refusal(
        400,
        "idempotency_error",
        "Keys for idempotent requests can only be used with the same parameters they were first "
        f"used with. Try using a key other than '{key}' if you meant to execute a different "
        "request.",
        kept=False,
    )


def _used_for_another_endpoint(key: str, first: str, now: str) -> Refusal:
    return Refusal(
        400,
        "idempotency_error",
        "Keys for idempotent requests can only be used for the same endpoint they were first "
        f"used for ('{now}' vs '{first}'). Try using a key other than '{key}' if you meant to "
        "execute a different request.",
        kept=False,
    )
