"""Amounts of money: between major units (10.50 dollars) and Stripe's smallest unit (1050)."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation

from aa_stripe.currencies import CURRENCIES, decimal_places, smallest_step

#: Digits of the largest amount, in the smallest unit. Far above what Stripe takes (12 digits for
#: cards), and what a 64-bit column holds; it keeps "1e999999999" from filling the memory.
MAX_DIGITS = 18


class StripeMoneyError(ValueError):
    """The amount or the currency is none that Stripe could take; says which, and why."""


def normalize_currency(currency: str) -> str:
    """``currency`` in lower case, as Stripe writes it.

    Raises ``StripeMoneyError`` for one that Stripe does not know.
    """
    code = str(currency).lower()
    if code not in CURRENCIES:
        raise StripeMoneyError(f"Not a currency of Stripe's: {_quoted(currency)}.")
    return code


def to_minor_units(amount: Decimal | int | str, currency: str) -> int:
    """``amount`` major units (``"10.50"`` dollars) in Stripe's smallest unit (1050).

    Never rounds. Negative amounts are converted too. Raises ``StripeMoneyError`` when the amount
    is finer than Stripe counts in that currency, not finite, too large, or not a number, and
    when the currency is unknown; ``TypeError`` for a float, which may be off already.
    """
    code = normalize_currency(currency)
    minor = _scaled(_as_decimal(amount), decimal_places(code))
    if minor is None or minor % smallest_step(code):
        shown = f"{_cut(str(amount))} {code.upper()}"
        raise StripeMoneyError(f"{shown} is too fine: {_step_rule(code)}")
    return minor


def to_major_units(minor: int, currency: str) -> Decimal:
    """``minor`` of Stripe's smallest unit (1050) in major units (``Decimal("10.50")``).

    Has as many decimals as Stripe's amounts in that currency. Exact for whatever Stripe may have
    said, so ``smallest_step`` is not asked for here. Raises ``StripeMoneyError`` when the currency
    is unknown, ``TypeError`` when ``minor`` is no integer.
    """
    code = normalize_currency(currency)
    _require_integer(minor)
    # Not divided: arithmetic would round to the precision of the project's decimal context.
    return Decimal(f"{minor:d}e-{decimal_places(code)}")


def check_minor_units(minor: int, currency: str) -> None:
    """Refuse an amount that Stripe would refuse because of its last digits.

    ``minor`` is in the smallest unit; whether it is large enough to be charged is not asked.
    Raises ``StripeMoneyError`` (1050 ISK: whole krónur only; an unknown currency), ``TypeError``
    when ``minor`` is no integer.
    """
    code = normalize_currency(currency)
    _require_integer(minor)
    if minor % smallest_step(code):
        raise StripeMoneyError(f"{format_money(minor, code)} is too fine: {_step_rule(code)}")


def format_money(minor: int, currency: str) -> str:
    """``minor`` of the smallest unit for people to read: 1999 of "usd" is "19.99 USD".

    For reports, so a currency we do not know raises nothing: its amount is shown as it is stored.
    """
    try:
        return f"{to_major_units(minor, currency)} {currency.upper()}"
    except StripeMoneyError:
        return f"{minor} {currency} (smallest unit)"


def _as_decimal(amount: Decimal | int | str) -> Decimal:
    if isinstance(amount, bool) or not isinstance(amount, (Decimal, int, str)):
        raise TypeError(f"An amount is a Decimal, an int or a str, not {type(amount).__name__}.")
    try:
        number = Decimal(amount)
    except InvalidOperation:
        raise StripeMoneyError(f"Not an amount: {_quoted(amount)}.") from None
    if not number.is_finite():
        raise StripeMoneyError(f"Not an amount: {_quoted(amount)}.")
    return number


def _scaled(number: Decimal, places: int) -> int | None:
    """``number`` times ten to the power of ``places``; ``None`` when that is no integer."""
    if number and number.adjusted() + places >= MAX_DIGITS:
        raise StripeMoneyError("The amount is too large.")
    # A context of our own: the project's may round, or let what is lost pass.
    exactly = Context(prec=MAX_DIGITS, traps=[Inexact])
    try:
        return int(number.scaleb(places, exactly).to_integral_exact(context=exactly))
    except Inexact:
        return None


def _require_integer(minor: int) -> None:
    if isinstance(minor, bool) or not isinstance(minor, int):
        raise TypeError(f"The smallest unit is counted in int, not {type(minor).__name__}.")


def _step_rule(code: str) -> str:
    step = to_major_units(smallest_step(code), code)
    return f"Stripe takes {code.upper()} in steps of {step}."


def _quoted(value: object) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    # What comes over HTTP may be long, and goes back in the answer and into the log.
    return text if len(text) <= 40 else f"{text[:37]}..."
