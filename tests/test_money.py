"""Money is converted with Stripe's exponents, exactly or not at all."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aa_stripe.currencies import (
    CURRENCIES,
    CURRENCY_CHOICES,
    PRESENTMENT,
    RETIRED,
    THREE_DECIMAL,
    UNLISTED,
    WHOLE_UNITS_IN_HUNDREDTHS,
    ZERO_DECIMAL,
    decimal_places,
    smallest_step,
)
from aa_stripe.money import (
    StripeMoneyError,
    check_minor_units,
    format_money,
    normalize_currency,
    to_major_units,
    to_minor_units,
)

CHOICES_OF_0_14 = set(
    """
    usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bif bmd bnd bob brl bsd bwp bzd cad
    cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd
    hkd hnl hrk htg huf idr ils inr isk jmd jpy kes kgs khr kmf krw kyd kzt lak lbp lkr lrd lsl mad
    mdl mga mkd mmk mnt mop mro mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr
    pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sll sos srd std svc szl thb tjs top try ttd
    twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw
    """.split()
)

currencies = st.sampled_from(sorted(CURRENCIES))


@st.composite
def chargeable(draw):
    """Generate an amount in the smallest unit that Stripe accepts, and its currency."""
    currency = draw(currencies)
    steps = draw(st.integers(min_value=-(10**12), max_value=10**12))
    return steps * smallest_step(currency), currency


# The table


def test_every_currency_of_0_14_is_still_a_choice():
    assert len(CHOICES_OF_0_14) == 136
    assert {code for code, _ in CURRENCY_CHOICES} >= CHOICES_OF_0_14


def test_there_are_at_least_the_135_currencies_that_stripe_documents():
    assert len(PRESENTMENT) >= 135


def test_the_choices_are_sorted_lower_case_codes_after_the_dollar():
    codes = [code for code, _ in CURRENCY_CHOICES]

    assert codes[0] == "usd"
    assert codes[1:] == sorted(codes[1:])
    assert set(codes) == CURRENCIES
    assert all(len(code) == 3 and code.islower() and code.isascii() for code in codes)
    assert all(label == code.upper() for code, label in CURRENCY_CHOICES)


def test_each_currency_is_in_one_list_only():
    lists = [PRESENTMENT, THREE_DECIMAL, UNLISTED, RETIRED]

    assert sum(len(it) for it in lists) == len(CURRENCIES)


def test_a_currency_has_one_special_rule_at_most():
    rules = [ZERO_DECIMAL, THREE_DECIMAL, WHOLE_UNITS_IN_HUNDREDTHS]

    assert sum(len(rule) for rule in rules) == len(frozenset().union(*rules))
    assert frozenset().union(*rules) <= CURRENCIES


# To the smallest unit


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("10.50", "usd", 1050),
        (Decimal("10.5"), "usd", 1050),
        (10, "usd", 1000),
        ("0.01", "eur", 1),
        ("0", "usd", 0),
        ("-3.20", "usd", -320),
        ("500", "jpy", 500),
        ("500.00", "jpy", 500),
        # Stripe's decimal places differ from those of ISO 4217.
        ("5", "isk", 500),
        ("5", "ugx", 500),
        ("5", "mga", 5),
        ("5.12", "kwd", 5120),
        ("5.120", "kwd", 5120),
        # Only payouts must be whole units, not charges.
        ("10.45", "huf", 1045),
        ("10.45", "twd", 1045),
        ("1E+3", "usd", 100000),
        ("10.5000000000000000000000000000000000000000", "usd", 1050),
        ("0e999999", "usd", 0),
    ],
)
def test_an_amount_is_converted_by_stripes_exponent(amount, currency, minor):
    assert to_minor_units(amount, currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("10.005", "usd"),
        ("10.5", "jpy"),
        ("5.01", "isk"),
        ("5.50", "ugx"),
        ("5.124", "kwd"),
        ("5.1205", "kwd"),
        ("0.00000000000000000000000000000000000001", "usd"),
        ("1e-999999999", "usd"),
        ("10.500000000000000000000000000000000000001", "usd"),
    ],
)
def test_an_amount_that_is_too_precise_for_stripe_is_rejected(amount, currency):
    with pytest.raises(StripeMoneyError, match="too precise"):
        to_minor_units(amount, currency)


def test_the_error_names_the_accepted_steps():
    with pytest.raises(StripeMoneyError) as raised:
        to_minor_units("5.01", "isk")

    assert str(raised.value) == "5.01 ISK is too precise: Stripe accepts ISK in steps of 1.00."


@pytest.mark.parametrize(
    "amount",
    ["NaN", "sNaN", "-Infinity", Decimal("NaN"), Decimal("Infinity"), "", "ten", "1,000", "0x10"],
)
def test_an_amount_that_is_not_a_finite_number_is_rejected(amount):
    with pytest.raises(StripeMoneyError, match="Not a valid amount"):
        to_minor_units(amount, "usd")


@pytest.mark.parametrize("amount", ["1e16", "1e999999999", "9" * 17, 10**30])
def test_an_amount_that_is_too_large_for_the_column_is_rejected(amount):
    with pytest.raises(StripeMoneyError, match="too large"):
        to_minor_units(amount, "usd")


def test_the_largest_amount_of_eighteen_digits_is_converted():
    assert to_minor_units("9999999999999999.99", "usd") == 10**18 - 1


@pytest.mark.parametrize("amount", [10.5, 10.0, True, None, b"10"])
def test_an_amount_of_another_type_is_a_type_error(amount):
    with pytest.raises(TypeError):
        to_minor_units(amount, "usd")


@pytest.mark.parametrize("currency", ["xyz", "", "dollar", "us", " usd", "usdc", None, 840])
@pytest.mark.parametrize(
    "use",
    [
        lambda currency: to_minor_units(10, currency),
        lambda currency: to_major_units(10, currency),
        lambda currency: check_minor_units(10, currency),
        normalize_currency,
    ],
)
def test_an_unknown_currency_is_rejected(use, currency):
    with pytest.raises(StripeMoneyError, match="does not support the currency"):
        use(currency)


@pytest.mark.parametrize(
    ("amount", "currency"), [("0." + "0" * 5000 + "1", "usd"), ("x" * 5000, "usd"), (1, "x" * 5000)]
)
def test_the_error_for_a_long_input_is_short(amount, currency):
    with pytest.raises(StripeMoneyError) as raised:
        to_minor_units(amount, currency)

    assert len(str(raised.value)) < 120


def test_the_error_is_a_value_error():
    assert issubclass(StripeMoneyError, ValueError)


def test_a_currency_may_be_written_in_upper_case():
    assert normalize_currency("USD") == "usd"
    assert to_minor_units("10.50", "USD") == 1050
    assert to_major_units(500, "Jpy") == 500


# To major units


@pytest.mark.parametrize(
    ("minor", "currency", "major"),
    [
        (1050, "usd", "10.50"),
        (1000, "usd", "10.00"),
        (1, "usd", "0.01"),
        (0, "usd", "0.00"),
        (-5, "usd", "-0.05"),
        (500, "jpy", "500"),
        (500, "isk", "5.00"),
        (5120, "kwd", "5.120"),
    ],
)
def test_the_smallest_unit_is_converted_back_with_stripes_decimals(minor, currency, major):
    converted = to_major_units(minor, currency)

    assert converted == Decimal(major)
    assert str(converted) == major


def test_a_reported_amount_is_converted_even_if_stripe_would_not_accept_it():
    assert to_major_units(1050, "isk") == Decimal("10.50")
    assert to_major_units(5124, "kwd") == Decimal("5.124")


@pytest.mark.parametrize("minor", [10.0, Decimal(10), "10", True, None])
def test_an_amount_in_the_smallest_unit_must_be_an_integer(minor):
    with pytest.raises(TypeError):
        to_major_units(minor, "usd")
    with pytest.raises(TypeError):
        check_minor_units(minor, "usd")


def test_the_projects_decimal_context_does_not_affect_a_conversion():
    with decimal.localcontext() as context:
        context.prec = 3
        context.traps[decimal.Rounded] = True

        assert to_minor_units("123456.78", "usd") == 12345678
        assert str(to_major_units(12345678, "usd")) == "123456.78"


# Both rules


@given(chargeable())
def test_converting_in_both_directions_returns_the_same_amount(amount_and_currency):
    minor, currency = amount_and_currency

    assert to_minor_units(to_major_units(minor, currency), currency) == minor
    assert to_minor_units(str(to_major_units(minor, currency)), currency.upper()) == minor


@given(st.decimals(allow_nan=True, allow_infinity=True), currencies)
def test_an_amount_is_converted_exactly_or_rejected(amount, currency):
    try:
        minor = to_minor_units(amount, currency)
    except StripeMoneyError:
        return

    assert to_major_units(minor, currency) == amount
    check_minor_units(minor, currency)


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=3), currencies)
def test_an_amount_is_rejected_only_if_it_is_too_precise(amount, currency):
    steps = amount * 10 ** decimal_places(currency) / smallest_step(currency)

    if steps == int(steps):
        assert to_minor_units(amount, currency) == steps * smallest_step(currency)
    else:
        with pytest.raises(StripeMoneyError, match="too precise"):
            to_minor_units(amount, currency)


# Amounts that Stripe accepts


@pytest.mark.parametrize(("minor", "currency"), [(1050, "isk"), (99, "ugx"), (5124, "bhd")])
def test_an_amount_between_stripes_steps_is_rejected(minor, currency):
    with pytest.raises(StripeMoneyError, match="in steps of"):
        check_minor_units(minor, currency)


@given(chargeable())
def test_whole_steps_are_accepted(amount_and_currency):
    minor, currency = amount_and_currency

    check_minor_units(minor, currency)


# Formatted for people


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1999, "usd", "19.99 USD"),
        (1999, "USD", "19.99 USD"),
        (-5, "usd", "-0.05 USD"),
        (0, "usd", "0.00 USD"),
        (500, "jpy", "500 JPY"),
        (500, "isk", "5.00 ISK"),
        (10**17, "usd", "1000000000000000.00 USD"),
        (1999, "xyz", "1999 xyz (smallest unit)"),
    ],
)
def test_an_amount_is_formatted_for_people(minor, currency, text):
    assert format_money(minor, currency) == text
