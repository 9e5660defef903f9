"""Idempotency keys: the first answer is the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aa_stripe.testing.base.refusals import Refusal, bad_parameter
from aa_stripe.testing.http.request import Request
from aa_stripe.testing.http.response import Response

LIFETIME = 24 * 60 * 60
"""Seconds after which a key is new again."""

MAX_LENGTH = 255


@dataclass
class _Entry:
    path: str
    params: dict[str, Any]
    created: int
    answer: Response | None = None


class IdempotencyKeys:
    """The keys of one account. ``now`` is its clock."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def answer(self, request: Request, perform: Callable[[], tuple[Response, bool]]) -> Response:
        """Return the kept answer, or ``perform()`` the request.

        ``perform`` returns an answer and whether it is to be kept. Raises a refusal when the
        key was used for something else, or is in use at this moment.
        """
        key = request.idempotency_key
        if key is None:
            return perform()[0]
        if len(key) > MAX_LENGTH:
            raise bad_parameter(f"Idempotency keys may be at most {MAX_LENGTH} characters long.")
        with self._lock:
            entry = self._entry(key, request)
        if entry.answer is not None:
            request.replayed = True
            return entry.answer.with_headers(Idempotent_Replayed="true")
        return self._perform(key, entry, perform)

    def _entry(self, key: str, request: Request) -> _Entry:
        """Return the kept entry, or a new one that has no answer yet."""
        entry = self._entries.get(key)
        if entry is None or self._now() - entry.created >= LIFETIME:
            entry = self._entries[key] = _Entry(request.path, request.params, self._now())
            return entry
        if entry.path != request.path:
            raise _used_for_another_endpoint(key, entry.path, request.path)
        if entry.params != request.params:
            raise _used_with_other_parameters(key)
        if entry.answer is None:
            raise key_in_use(key)
        return entry

    def _perform(
        self, key: str, entry: _Entry, perform: Callable[[], tuple[Response, bool]]
    ) -> Response:
        kept = False
        try:
            answer, kept = perform()
        finally:
            if not kept:
                with self._lock:
                    self._entries.pop(key, None)
        if kept:
            entry.answer = answer
        return answer


def key_in_use(key: str) -> Refusal:
    """Another request with this key is under way, HTTP 409."""
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
