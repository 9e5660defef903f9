"""Validation of parameters by the types of the installed SDK."""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Union, get_args, get_origin

import stripe.params
import typing_extensions
from stripe import RequestOptions

from aa_stripe.testing.base.form import join
from aa_stripe.testing.base.refusals import Refusal, bad_parameter, missing_parameter

# Names that the SDK imports for type checkers only.
_NAMESPACE = {"Mapping": Mapping, "StripeContext": object}
_UNIONS = (Union, types.UnionType)
_INTEGER = re.compile(r"-?\d+")

RENAMED = {"payment_method_types": "allowed_payment_method_types"}
"""Parameters whose earlier name, that of older SDKs, is accepted too.

Unverified: that Stripe accepts the earlier name with the API version of the newest SDK.
"""

# Unverified: which plain strings may be empty. Ids and statement descriptors may not, at any level.
CANNOT_BE_UNSET = {
    "charge",
    "coupon",
    "currency",
    "customer",
    "payment_intent",
    "payment_method",
    "plan",
    "price",
    "source",
    "statement_descriptor",
    "statement_descriptor_suffix",
}


def read(name: str, sent: dict[str, Any]) -> dict[str, Any]:
    """Validate the parameters that were ``sent`` and convert them to their types.

    ``name`` is the name of a class of ``stripe.params``. Raises Stripe's ``Refusal`` if a parameter
    is unknown, missing or of the wrong type.
    """
    read_fields: dict[str, Any] = _fields(getattr(stripe.params, name), sent, "")
    return read_fields


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    hints = typing_extensions.get_type_hints(cls, localns=_NAMESPACE)
    for earlier, later in RENAMED.items():
        if later in hints:
            hints.setdefault(earlier, hints[later])
    return {name: hint for name, hint in hints.items() if name not in _options()}


@functools.cache
def _options() -> frozenset[str]:
    return frozenset(RequestOptions.__annotations__)


def _fields(cls: Any, sent: dict[str, Any], path: str) -> dict[str, Any]:
    hints = _hints(cls)
    unknown = [join(path, name) for name in sent if name not in hints]
    if unknown:
        raise _unknown(unknown)
    for name in sorted(cls.__required_keys__ - set(sent)):
        raise missing_parameter(join(path, name))
    for name, value in sent.items():
        if value == "" and name in CANNOT_BE_UNSET and not _can_be_unset(hints[name]):
            raise _empty(join(path, name))
    return {name: _value(hints[name], value, join(path, name)) for name, value in sent.items()}


def _can_be_unset(hint: Any) -> bool:
    """Return whether the SDK types the parameter as a text that may be empty."""
    return any(get_origin(item) is Literal and "" in get_args(item) for item in get_args(hint))


def _value(hint: Any, sent: Any, path: str) -> Any:
    origin = get_origin(hint)
    if origin in _UNIONS:
        return _one_of(get_args(hint), sent, path)
    if origin is Literal:
        return _literal(get_args(hint), sent, path)
    if origin is list:
        return _list(get_args(hint)[0], sent, path)
    if typing_extensions.is_typeddict(hint):
        return _fields(hint, _hash(sent, path), path)
    if origin is not None:  # Dict[str, str] and UntypedStripeObject[str]
        item = get_args(hint)[-1]
        return {
            name: _value(item, value, join(path, name)) for name, value in _hash(sent, path).items()
        }
    return _scalar(hint, sent, path)


def _one_of(hints: tuple[Any, ...], sent: Any, path: str) -> Any:
    """Convert ``sent`` by the first hint that accepts it; else raise the last hint's refusal."""
    refusal: Refusal | None = None
    for hint in _ordered(hints, sent):
        try:
            return _value(hint, sent, path)
        except Refusal as error:
            refusal = error
    raise refusal or bad_parameter(f"Invalid value for {path}", param=path)


def _ordered(hints: tuple[Any, ...], sent: Any) -> list[Any]:
    """Return the hints that may fit ``sent``, with plain strings last.

    From version 16 on the SDK types an enumeration as ``Literal[...] | str``, in case
    Stripe has more values than the SDK. Stripe refuses unknown values, so ``str`` is dropped.
    """
    literals = [hint for hint in hints if get_origin(hint) is Literal and get_args(hint) != ("",)]
    fitting = [hint for hint in hints if _is_nested(hint) != isinstance(sent, str)]
    candidates = [hint for hint in fitting or hints if not (hint is str and literals)]
    return sorted(candidates, key=lambda hint: hint is str)


def _is_nested(hint: Any) -> bool:
    return get_origin(hint) is not Literal and hint not in _SCALARS


def _literal(values: tuple[Any, ...], sent: Any, path: str) -> Any:
    if sent in values:
        return sent
    raise bad_parameter(f"Invalid {path}: must be one of {', '.join(values)}", param=path)


def _list(item: Any, sent: Any, path: str) -> list[Any]:
    if not isinstance(sent, list):
        raise bad_parameter("Invalid array", param=path)
    return [_value(item, value, join(path, number)) for number, value in enumerate(sent)]


def _hash(sent: Any, path: str) -> dict[str, Any]:
    if isinstance(sent, list):  # metadata[0]=a looks like a list
        return {str(number): value for number, value in enumerate(sent)}
    if not isinstance(sent, dict):
        raise bad_parameter("Invalid object", param=path)
    return sent


def _scalar(hint: Any, sent: Any, path: str) -> Any:
    if not isinstance(sent, str):
        raise bad_parameter(f"Invalid {hint.__name__}: {sent}", param=path)
    if sent == "" and hint is not str:
        raise _empty(path)
    return _SCALARS[hint](sent, path)


def _string(sent: str, path: str) -> str:
    return sent


def _integer(sent: str, path: str) -> int:
    if not _INTEGER.fullmatch(sent):
        raise bad_parameter(
            f"Invalid integer: {sent}", param=path, code="parameter_invalid_integer"
        )
    return int(sent)


def _boolean(sent: str, path: str) -> bool:
    if sent not in ("true", "false"):
        raise bad_parameter(f"Invalid boolean: {sent}", param=path)
    return sent == "true"


def _number(sent: str, path: str) -> Decimal:
    try:
        return Decimal(sent)
    except InvalidOperation as error:
        raise bad_parameter(f"Invalid decimal: {sent}", param=path) from error


_SCALARS: dict[Any, Callable[[str, str], Any]] = {
    str: _string,
    int: _integer,
    bool: _boolean,
    float: _number,
    Decimal: _number,
}


def _unknown(names: list[str]) -> Refusal:
    noun = "parameter" if len(names) == 1 else "parameters"
    return bad_parameter(
        f"Received unknown {noun}: {', '.join(names)}", param=names[0], code="parameter_unknown"
    )


def _empty(path: str) -> Refusal:
    return bad_parameter(
        f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset "
        f"a parameter; however '{path}' cannot be unset. You should remove '{path}' from your "
        "request or supply a non-empty value.",
        param=path,
        code="parameter_invalid_empty",
    )
