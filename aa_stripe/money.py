"""Conversion of amounts between major units (10.50 dollars) and the smallest unit (1050)."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

from aa_stripe.currencies import CURRENCIES, decimal_places, smallest_step

#: Maximum number of digits of an amount, in the smallest unit. Stripe accepts fewer (12 for
#: cards), and a 64-bit column can hold 18. The limit keeps "1e999999999" from filling the memory.
MAX_DIGITS = 18


class StripeMoneyError(ValueError):
    """An amount or a currency that Stripe cannot accept; the message names it and the reason."""


def normalize_currency(currency: str) -> str:
    """Return ``currency`` in lower case, as Stripe writes it.

    Raises ``StripeMoneyError`` if Stripe does not support the currency.
    """
    code = str(currency).lower()
    if code not in CURRENCIES:
        raise StripeMoneyError(f"Stripe does not support the currency {_quoted(currency)}.")
    return code


def to_minor_units(amount: Decimal | int | str, currency: str) -> int:
    """Convert ``amount`` in major units (``"10.50"`` dollars) to the smallest unit (1050).

    Never rounds. Negative amounts are converted too. Raises ``StripeMoneyError`` if the amount has
    too many decimals for the currency, is too large, not finite or not a number, or if the
    currency is not supported; ``TypeError`` for a float, which may be inexact already.
    """
    code = normalize_currency(currency)
    minor = _scaled(_as_decimal(amount), decimal_places(code))
    if minor is None or minor % smallest_step(code):
        shown = f"{_cut(str(amount))} {code.upper()}"
        raise StripeMoneyError(f"{shown} is too precise: {_step_rule(code)}")
    return minor


def to_major_units(minor: int, currency: str) -> Decimal:
    """Convert ``minor`` in the smallest unit (1050) to major units (``Decimal("10.50")``).

    The result is exact and has as many decimals as Stripe's amounts in that currency. Any amount
    that Stripe has sent is accepted, so ``smallest_step`` does not apply. Raises
    ``StripeMoneyError`` if the currency is not supported, ``TypeError`` if ``minor`` is not an
    integer.
    """
    code = normalize_currency(currency)
    _require_integer(minor)
    # A division would round to the precision of the project's decimal context.
    return Decimal(f"{minor:d}e-{decimal_places(code)}")


def whole_units(amount: object) -> int:
    """Return ``amount``, which is in the smallest unit, as an integer; never cut or round it.

    Raises ``StripeMoneyError`` if it is not a whole number: 99.99 dollars are 9999.
    """
    number = _as_integer(amount)
    if number is None:
        raise StripeMoneyError(
            f"{_cut(str(amount))} is not a whole number of the currency's smallest unit (cents): "
            "to_minor_units() of aa_stripe.money converts an amount in dollars or euros."
        )
    return number


def check_minor_units(minor: int, currency: str) -> None:
    """Reject an amount that Stripe would reject because of its last digits.

    ``minor`` is in the smallest unit. The minimum amount of a charge is not checked. Raises
    ``StripeMoneyError`` (1050 ISK: whole krónur only; an unsupported currency), ``TypeError`` if
    ``minor`` is not an integer.
    """
    code = normalize_currency(currency)
    _require_integer(minor)
    if minor % smallest_step(code):
        raise StripeMoneyError(f"{format_money(minor, code)} is too precise: {_step_rule(code)}")


def format_money(minor: int, currency: str) -> str:
    """Format ``minor``, in the smallest unit, for people: 1999 of "usd" is "19.99 USD".

    Used in reports, so an unsupported currency raises nothing: the amount is shown as stored.
    """
    try:
        return f"{to_major_units(minor, currency)} {currency.upper()}"
    except StripeMoneyError:
        return f"{minor} {currency} (smallest unit)"


def _as_decimal(amount: Decimal | int | str) -> Decimal:
    if isinstance(amount, bool) or not isinstance(amount, (Decimal, int, str)):
        raise TypeError(f"An amount must be a Decimal, int or str, not {type(amount).__name__}.")
    try:
        number = Decimal(amount)
    except InvalidOperation:
        raise StripeMoneyError(f"Not a valid amount: {_quoted(amount)}.") from None
    if not number.is_finite():
        raise StripeMoneyError(f"Not a valid amount: {_quoted(amount)}.")
    return number


def _scaled(number: Decimal, places: int) -> int | None:
    """Return ``number`` times ten to the power of ``places``; ``None`` if not an integer."""
    if number and number.adjusted() + places >= MAX_DIGITS:
        raise StripeMoneyError("The amount is too large.")
    # The project's own decimal context may round without an error.
    exactly = Context(prec=MAX_DIGITS, traps=[Inexact])
    try:
        return int(number.scaleb(places, exactly).to_integral_exact(context=exactly))
    except Inexact:
        return None


def _as_integer(amount: Any) -> int | None:
    """Return ``amount`` as an integer of any size; ``None`` if it is not a whole number."""
    if isinstance(amount, Decimal):
        return _scaled(amount, 0) if amount.is_finite() else None
    try:
        number = int(amount)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isinstance(amount, str) or number == amount else None


def _require_integer(minor: int) -> None:
    if isinstance(minor, bool) or not isinstance(minor, int):
        raise TypeError(
            f"An amount in the smallest unit must be an int, not {type(minor).__name__}."
        )


def _step_rule(code: str) -> str:
    step = to_major_units(smallest_step(code), code)
    return f"Stripe accepts {code.upper()} in steps of {step}."


def _quoted(value: object) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    # Input from HTTP may be long; it is repeated in the response and in the log.
    return text if len(text) <= 40 else f"{text[:37]}..."
