"""Stripe's error responses."""

from __future__ import annotations

from typing import Any

IN_PATH = {
    "coupon": "coupon",
    "payment_intent": "intent",
    "payment_method": "payment_method",
    "setup_intent": "intent",
}
"""For an unknown id in the path: the parameter that the error names, if it is not ``id``.

https://github.com/stripe/stripe-terminal-js-demo/issues/72 shows ``intent``. Unverified: the
others, and whether more kinds have a name of their own.
"""


class Refusal(Exception):
    """A request that Stripe refuses (4xx), with the error of the response.

    ``kept``: whether Stripe stores the response under the request's idempotency key. It does, also
    for a 400, unless it refuses the request before executing it. ``None``: stored unless the code
    is one for invalid parameters, such as ``parameter_missing``.
    https://docs.stripe.com/api/idempotent_requests

    Unverified: which refusals Stripe makes before it executes a request.
    """

    def __init__(
        self,
        status: int,
        type: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kept: bool | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kept = not (code or "").startswith("parameter") if kept is None else kept
        self.error = _without_none(
            {"type": type, "message": message, "code": code, "param": param, **details}
        )
        if code is not None:
            url = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
            self.error["doc_url"] = url


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def invalid(
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    status: int = 400,
    **details: Any,
) -> Refusal:
    """Return the error for a valid request that Stripe cannot execute."""
    return Refusal(status, "invalid_request_error", message, code=code, param=param, **details)


def bad_parameter(message: str, *, param: str | None = None, code: str | None = None) -> Refusal:
    """Return the 400 for a parameter whose value Stripe does not accept."""
    return invalid(message, param=param, code=code)


def missing_parameter(param: str) -> Refusal:
    """Return the 400 for a missing required parameter."""
    return bad_parameter(f"Missing required param: {param}.", param=param, code="parameter_missing")


def reject_unsupported(params: dict[str, Any], names: set[str], path: str = "") -> None:
    """Raise ``Refusal`` if ``params`` has one of ``names``, which FakeStripe does not implement."""
    for name in sorted(names & set(params)):
        full = f"{path}[{name}]" if path else name
        raise bad_parameter(f"FakeStripe does not support {full}.", param=full)


def exclusive(*params: str) -> Refusal:
    """Return the 400 for parameters that exclude each other."""
    return bad_parameter(
        f"You may only specify one of these parameters: {', '.join(params)}.",
        param=params[0],
        code="parameters_exclusive",
    )


def at_least(least: int, *, param: str) -> Refusal:
    """Return the 400 for a number below ``least``."""
    return bad_parameter(
        f"This value must be greater than or equal to {least}.",
        param=param,
        code="parameter_invalid_integer",
    )


def already_exists(noun: str, *, param: str = "id") -> Refusal:
    """Return the 400 for an id that is already in use."""
    return invalid(f"{noun} already exists.", code="resource_already_exists", param=param)


def no_such(kind: str, id: str, *, param: str | None = None) -> Refusal:
    """Return the error for an unknown id: 404 if it is in the path, 400 if it is in ``param``."""
    return invalid(
        f"No such {kind}: '{id}'",
        code="resource_missing",
        param=param or IN_PATH.get(kind, "id"),
        status=400 if param else 404,
    )


def card_error(
    message: str, *, code: str, decline_code: str | None = None, **details: Any
) -> Refusal:
    """Return the 402 for a declined card."""
    return Refusal(402, "card_error", message, code=code, decline_code=decline_code, **details)


def unauthorized(message: str) -> Refusal:
    """Return the 401 for a missing or invalid API key; the response is not kept."""
    return Refusal(401, "invalid_request_error", message, kept=False)
