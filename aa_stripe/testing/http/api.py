"""The handling of a request, from its arrival to the response."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from aa_stripe.testing.account import Account, Origin
from aa_stripe.testing.base.refusals import Refusal
from aa_stripe.testing.http import expansion, faults, keys, routes, schema
from aa_stripe.testing.http.faults import ConnectionLost, Fault, Faults, Plan
from aa_stripe.testing.http.idempotency import IdempotencyKeys, key_in_use
from aa_stripe.testing.http.request import Request
from aa_stripe.testing.http.response import Response
from aa_stripe.testing.http.routes import Route

BeforeRequest = Callable[[Request], None]
AfterRequest = Callable[[Request, Response], None]

# A name and betas may follow the date: 2026-08-26.preview; feature_beta=v1
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}([.;].*)?")


class Api:
    """The API of one account; thread-safe."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.faults = Faults(routes.endpoints())
        self.requests: list[Request] = []
        self.before_request: list[BeforeRequest] = []
        self.after_request: list[AfterRequest] = []
        self._keys = IdempotencyKeys(lambda: account.now)

    def handle(self, request: Request) -> Response:
        """Handle a request; raise ``ConnectionLost`` if a fault loses it or its response."""
        self.requests.append(request)
        for hook in list(self.before_request):
            hook(request)
        try:
            response = self._respond(request)
        except Refusal as refusal:
            response = Response.of_refusal(refusal)
        return self._deliver(request, response)

    def _respond(self, request: Request) -> Response:
        route, ids = routes.find(request.method, request.path)
        plan = self.faults.next(route.endpoint)
        if plan is not None:
            request.fault = plan.fault
            request.delay = plan.seconds
            stopped = _stop(plan, request)
            if stopped is not None:
                return stopped
        keys.check(self.account, request, route, ids)
        _check_version(request)
        return self._keys.respond(request, lambda: self._perform(request, route, ids))

    def _perform(
        self, request: Request, route: Route, ids: tuple[str, ...]
    ) -> tuple[Response, bool]:
        """Return the response, and whether it is kept under the request's idempotency key."""
        if request.delay:
            time.sleep(request.delay)
        if request.fault is Fault.ERROR_500_BEFORE:
            return faults.error_500(), True
        try:
            params = _read(route, request)
        except Refusal as refusal:
            return Response.of_refusal(refusal), False
        try:
            response, kept = self._execute(request, route, ids, params), True
        except Refusal as refusal:
            response, kept = Response.of_refusal(refusal), refusal.kept
        if request.fault is Fault.ERROR_500_AFTER:
            return faults.error_500(), True
        return response, kept

    def _execute(
        self, request: Request, route: Route, ids: tuple[str, ...], params: dict[str, Any]
    ) -> Response:
        expand = params.get("expand", [])
        with self.account.held():
            self.account.origin = Origin(request.id, request.idempotency_key)
            try:
                found = route.handler(self.account, params, *ids)
                return Response.of(200, expansion.expand(self.account, route.kind, found, expand))
            finally:
                self.account.origin = Origin()

    def _deliver(self, request: Request, response: Response) -> Response:
        response = response.with_headers(Request_Id=request.id)
        if "stripe-version" in request.headers:
            response = response.with_headers(Stripe_Version=request.headers["stripe-version"])
        if request.idempotency_key is not None:
            response = response.with_headers(Idempotency_Key=request.idempotency_key)
        for hook in list(self.after_request):
            hook(request, response)
        if request.fault is Fault.ANSWER_LOST:
            raise ConnectionLost("The response was lost, as planned with fail_next().")
        if request.fault is Fault.GARBAGE:
            response = faults.garbage(response)
        request.status = response.status
        return response


def _read(route: Route, request: Request) -> dict[str, Any]:
    """Return the parameters of a request; raise ``Refusal`` before anything is executed."""
    params = schema.read(route.params, request.params)
    expansion.check(route.kind, params.get("expand", []))
    return params


def _check_version(request: Request) -> None:
    """Raise ``Refusal`` if the version of the API does not look like one of Stripe's.

    Unverified: the status and the type of Stripe's error. Only its message is known.
    https://github.com/stripe/stripe-java/issues/682
    """
    version = request.headers.get("stripe-version")
    if version is not None and not _VERSION.fullmatch(version):
        raise Refusal(
            400, "invalid_request_error", f"Invalid Stripe API version: {version}", kept=False
        )


def _stop(plan: Plan, request: Request) -> Response | None:
    """Return the response of a fault that prevents execution; ``None`` for other faults.

    Raises ``ConnectionLost`` for ``Fault.REQUEST_LOST``.
    """
    if plan.fault is Fault.REQUEST_LOST:
        raise ConnectionLost("The request was lost, as planned with fail_next().")
    if plan.fault is Fault.RATE_LIMITED:
        return faults.rate_limited()
    if plan.fault is Fault.CONFLICT:
        return Response.of_refusal(key_in_use(request.idempotency_key or ""))
    return None
