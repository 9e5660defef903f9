"""Things that go wrong on purpose."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum

from aa_stripe.testing.base.refusals import Refusal
from aa_stripe.testing.http.response import Response

EVERY = "*"
"""Stands for every endpoint."""


class Fault(Enum):
    """What can go wrong with a request."""

    REQUEST_LOST = "request lost"
    """It never arrives: nothing happens, and there is no answer."""

    ANSWER_LOST = "answer lost"
    """It takes effect, and there is no answer."""

    ERROR_500_BEFORE = "500 before"
    """500, and nothing happens. The answer is kept under the idempotency key."""

    ERROR_500_AFTER = "500 after"
    """500, and yet it takes effect. The answer is kept under the idempotency key."""

    RATE_LIMITED = "429"
    """429: nothing happens."""

    CONFLICT = "409"
    """409: nothing happens; something else is using the key."""

    GARBAGE = "garbage"
    """It takes effect, and the answer has status 200 and is no JSON."""

    SLOW = "slow"
    """It takes its time, and then goes well."""


class ConnectionLost(Exception):
    """There is no answer."""


@dataclass
class Plan:
    """A fault that is to come: ``times`` it will still be, ``None`` for always."""

    endpoint: str
    fault: Fault
    times: int | None
    seconds: float

    def fits(self, endpoint: str) -> bool:
        """Return whether a request to that endpoint is one of those that go wrong."""
        return self.times != 0 and self.endpoint in (EVERY, endpoint)


class Faults:
    """The faults that are planned for these ``endpoints``, first come first served."""

    def __init__(self, endpoints: set[str]) -> None:
        self._endpoints = endpoints
        self._lock = threading.Lock()
        self._plans: list[Plan] = []

    def plan(self, endpoint: str, fault: Fault, *, times: int | None, seconds: float) -> None:
        """Plan a fault; ``ValueError`` for an endpoint that is not there."""
        if endpoint != EVERY and endpoint not in self._endpoints:
            known = "\n".join(sorted(self._endpoints))
            raise ValueError(f"There is no endpoint {endpoint!r}. There are:\n{known}")
        with self._lock:
            self._plans.append(Plan(endpoint, fault, times, seconds))

    def next(self, endpoint: str) -> Plan | None:
        """Return the fault that befalls this request, if any; it is used up."""
        with self._lock:
            for plan in self._plans:
                if plan.fits(endpoint):
                    if plan.times is not None:
                        plan.times -= 1
                    return plan
        return None

    def clear(self) -> None:
        """Let everything go well again."""
        with self._lock:
            self._plans.clear()


def error_500() -> Response:
    """Stripe's own failure. It asks not to be asked again: the key would give the same answer."""
    error = {
        "type": "api_error",
        "message": "An unknown error occurred. This one was planned with fail_next().",
    }
    return Response.of(500, {"error": error}).with_headers(Stripe_Should_Retry="false")


def rate_limited() -> Response:
    """Too many requests."""
    refusal = Refusal(
        429,
        "invalid_request_error",
        "Request rate limit exceeded. This one was planned with fail_next().",
        code="rate_limit",
    )
    return Response.of_refusal(refusal).with_headers(Stripe_Rate_Limited_Reason="endpoint-rate")


def garbage(answer: Response) -> Response:
    """A page of some proxy on the way."""
    return Response(200, b"<html><body><h1>Bad Gateway</h1></body></html>", answer.headers)
