"""Stripe's rules for amounts, independent of ``aa_stripe.money``.

https://docs.stripe.com/currencies
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from aa_stripe.testing.base.refusals import Refusal, bad_parameter

ZERO_DECIMAL = set("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = set("bhd jod kwd omr tnd".split())
WHOLE_UNITS = {"isk", "ugx"}
"""Currencies with two decimals that are always 00."""

SUPPORTED = (
    ZERO_DECIMAL
    | THREE_DECIMAL
    | WHOLE_UNITS
    | set(
        "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn "
        "bzd cad cdf chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq "
        "gyd hkd hnl htg huf idr ils inr jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd "
        "mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar "
        "ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah "
        "uyu uzs wst xcd yer zar zmw".split()
    )
)

MINIMUM = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50, "chf": 50, "cad": 50, "aud": 50}
"""Minimum charge for an account that settles in the same currency; 1 for other currencies."""

MAXIMUM = 99_999_999

SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def check_currency(currency: str) -> str:
    """Return the currency in lower case; raise ``Refusal`` if Stripe does not support it."""
    if currency.lower() not in SUPPORTED:
        raise bad_parameter(
            f"Invalid currency: {currency}. Stripe currently supports these currencies: "
            f"{', '.join(sorted(SUPPORTED))}",
            param="currency",
        )
    return currency.lower()


def check_amount(amount: int, currency: str) -> None:
    """Raise ``Refusal`` if ``amount`` (smallest unit) cannot be charged in ``currency``."""
    if amount < 1:
        raise _invalid(
            "The amount must be greater than or equal to the minimum charge amount allowed for "
            "your account and the currency set."
            if amount == 0
            else "This value must be greater than or equal to 1."
        )
    check_size(amount, currency, param="amount")
    if amount < MINIMUM.get(currency, 1):
        raise bad_parameter(
            f"Amount must be at least {written(MINIMUM[currency], currency)} {currency}",
            param="amount",
            code="amount_too_small",
        )


def check_size(amount: int, currency: str, *, param: str) -> None:
    """Raise ``Refusal`` if ``amount`` (smallest unit) is too large or not a valid multiple."""
    step = _step(currency)
    if amount % step:
        # Unverified: Stripe's code and message.
        raise _invalid(f"Invalid amount for {currency}: it must be a multiple of {step}.", param)
    if amount > MAXIMUM:
        raise bad_parameter(
            f"Amount must be no more than {written(MAXIMUM, currency)}",
            param=param,
            code="amount_too_large",
        )


def rounded(amount: Decimal, currency: str) -> int:
    """Round to the nearest chargeable amount (smallest unit); halves round up.

    Unverified: that Stripe rounds this way, and to multiples of 100 for ``WHOLE_UNITS``.
    """
    step = _step(currency)
    return int((amount / step).quantize(Decimal(1), ROUND_HALF_UP)) * step


def written(amount: int, currency: str) -> str:
    """Format the amount as in Stripe's messages: ``$1,234.56``, ``12.34 PLN``."""
    exponent = _exponent(currency)
    number = f"{amount / 10**exponent:,.{exponent}f}"
    symbol = SYMBOLS.get(currency)
    return f"{symbol}{number}" if symbol else f"{number} {currency.upper()}"


def _exponent(currency: str) -> int:
    if currency in WHOLE_UNITS:
        return 2
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def _step(currency: str) -> int:
    if currency in WHOLE_UNITS:
        return 100
    return 10 if currency in THREE_DECIMAL else 1


def _invalid(message: str, param: str = "amount") -> Refusal:
    return bad_parameter(message, param=param, code="parameter_invalid_integer")
