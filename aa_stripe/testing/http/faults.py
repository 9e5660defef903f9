"""Injected faults."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum

from aa_stripe.testing.base.refusals import Refusal
from aa_stripe.testing.http.response import Response

EVERY = "*"
"""Matches every endpoint."""


class Fault(Enum):
    """A fault of a request or its response."""

    REQUEST_LOST = "request lost"
    """The request does not arrive: nothing is executed, and there is no response."""

    ANSWER_LOST = "answer lost"
    """The request is executed, but its response is lost."""

    ERROR_500_BEFORE = "500 before"
    """Status 500; nothing is executed. The response is kept under the idempotency key."""

    ERROR_500_AFTER = "500 after"
    """Status 500, although the request is executed. The response is kept under the key."""

    RATE_LIMITED = "429"
    """Status 429; nothing is executed."""

    CONFLICT = "409"
    """Status 409, as if another request used the same key; nothing is executed."""

    GARBAGE = "garbage"
    """The request is executed; the response has status 200, but its body is not JSON."""

    SLOW = "slow"
    """The request is executed after a delay."""


class ConnectionLost(Exception):
    """No response: the connection was lost."""


@dataclass
class Plan:
    """A planned fault. ``times`` is how often it is still injected; ``None`` is no limit."""

    endpoint: str
    fault: Fault
    times: int | None
    seconds: float

    def fits(self, endpoint: str) -> bool:
        """Return whether the fault applies to a request to ``endpoint``."""
        return self.times != 0 and self.endpoint in (EVERY, endpoint)


class Faults:
    """The planned faults, in the order of planning. ``endpoints`` are the known ones."""

    def __init__(self, endpoints: set[str]) -> None:
        self._endpoints = endpoints
        self._lock = threading.Lock()
        self._plans: list[Plan] = []

    def plan(self, endpoint: str, fault: Fault, *, times: int | None, seconds: float) -> None:
        """Plan a fault; raise ``ValueError`` if the endpoint is unknown."""
        if endpoint != EVERY and endpoint not in self._endpoints:
            known = "\n".join(sorted(self._endpoints))
            raise ValueError(f"Unknown endpoint {endpoint!r}. The endpoints are:\n{known}")
        with self._lock:
            self._plans.append(Plan(endpoint, fault, times, seconds))

    def next(self, endpoint: str) -> Plan | None:
        """Return the fault for this request, or ``None``, and decrement its ``times``."""
        with self._lock:
            for plan in self._plans:
                if plan.fits(endpoint):
                    if plan.times is not None:
                        plan.times -= 1
                    return plan
        return None

    def clear(self) -> None:
        """Discard all planned faults."""
        with self._lock:
            self._plans.clear()


def error_500() -> Response:
    """Return a 500 that forbids a retry: the same key would replay the same response."""
    error = {
        "type": "api_error",
        "message": "An unknown error occurred. This one was planned with fail_next().",
    }
    return Response.of(500, {"error": error}).with_headers(Stripe_Should_Retry="false")


def rate_limited() -> Response:
    """Return the 429 for too many requests."""
    refusal = Refusal(
        429,
        "invalid_request_error",
        "Request rate limit exceeded. This one was planned with fail_next().",
        code="rate_limit",
    )
    return Response.of_refusal(refusal).with_headers(Stripe_Rate_Limited_Reason="endpoint-rate")


def garbage(response: Response) -> Response:
    """Return an HTML page, as from a proxy, with the headers of ``response``."""
    return Response(200, b"<html><body><h1>Bad Gateway</h1></body></html>", response.headers)
