"""The errors Stripe answers with."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A request that Stripe refuses, and how.

    ``kept`` says whether the answer is kept under the request's idempotency key: what is
    refused before Stripe begins to execute is not.
    """

    def __init__(
        self,
        status: int,
        type: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kept: bool = True,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kept = kept
        self.error = _without_nothing(
            {"type": type, "message": message, "code": code, "param": param, **details}
        )
        if code is not None:
            url = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
            self.error["doc_url"] = url


def _without_nothing(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def invalid(
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    status: int = 400,
    **details: Any,
) -> Refusal:
    """A request that was understood and cannot be done."""
    return Refusal(status, "invalid_request_error", message, code=code, param=param, **details)


def bad_parameter(message: str, *, param: str | None = None, code: str | None = None) -> Refusal:
    """A request that is refused for its parameters, before anything happens."""
    return Refusal(400, "invalid_request_error", message, code=code, param=param, kept=False)


def missing_parameter(param: str) -> Refusal:
    """A parameter that is needed was not sent."""
    return bad_parameter(f"Missing required param: {param}.", param=param, code="parameter_missing")


def refuse_unsupported(params: dict[str, Any], names: set[str], path: str = "") -> None:
    """Say what the fake does not know and would change what happens, rather than pretend."""
    for name in sorted(names & set(params)):
        full = f"{path}[{name}]" if path else name
        raise bad_parameter(f"FakeStripe does not support {full}.", param=full)


def exclusive(*params: str) -> Refusal:
    """Only one of these may be sent."""
    return bad_parameter(
        f"You may only specify one of these parameters: {', '.join(params)}.",
        param=params[0],
        code="parameters_exclusive",
    )


def at_least(least: int, *, param: str) -> Refusal:
    """A number is too small."""
    return bad_parameter(
        f"This value must be greater than or equal to {least}.",
        param=param,
        code="parameter_invalid_integer",
    )


def already_exists(noun: str, *, param: str = "id") -> Refusal:
    """An id that somebody has chosen before."""
    return invalid(f"{noun} already exists.", code="resource_already_exists", param=param)


def no_such(kind: str, id: str, *, param: str | None = None) -> Refusal:
    """An object that is not there: 404 when it is named by the path, 400 when by ``param``."""
    return invalid(
        f"No such {kind}: '{id}'",
        code="resource_missing",
        param=param or "id",
        status=400 if param else 404,
    )


def card_error(
    message: str, *, code: str, decline_code: str | None = None, **details: Any
) -> Refusal:
    """A card that was refused, HTTP 402."""
    return Refusal(402, "card_error", message, code=code, decline_code=decline_code, **details)


def unauthorized(message: str) -> Refusal:
    """A key that is missing or wrong, HTTP 401; such an answer is not kept."""
    return Refusal(401, "invalid_request_error", message, kept=False)
