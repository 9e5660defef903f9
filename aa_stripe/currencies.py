"""Stripe's currencies, in lower case, with their decimals and smallest steps: data only.

The codes come from Stripe's page (https://docs.stripe.com/currencies) and from the list in the
API's "Invalid currency: ..." message, as quoted in public in 2025 and 2026. Stripe's exponents
differ from ISO 4217, so no other table can replace this one. The country of an account decides
which of the currencies it may use; Stripe rejects the others.
"""

from __future__ import annotations


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: The currencies on Stripe's page. They have two decimals unless named below.
#: Unverified: that the page still has bgn, which Bulgaria replaced in 2026; the API's list has it.
PRESENTMENT: frozenset[str] = _codes(
    """
    usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bif bmd bnd bob brl bsd bwp byn
    bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd
    gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jpy kes kgs khr kmf krw kyd kzt lak lbp lkr
    lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen
    pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs
    top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw
    """
)

#: The smallest unit is the major unit: 500 is JPY 500.
ZERO_DECIMAL: frozenset[str] = _codes("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf")

#: 1000 is KWD 1, and the last digit must be 0. Only for accounts of some countries
#: (https://docs.stripe.com/currencies?presentment-currency=AE#three-decimal).
#: Unverified: today's page mentions three decimals without a list; this is the list of 2022.
THREE_DECIMAL: frozenset[str] = _codes("bhd jod kwd omr tnd")

#: Currencies without a minor unit that Stripe still counts in hundredths: 500 is ISK 5, and
#: amounts must be multiples of 100 (https://docs.stripe.com/currencies#special-cases). For UGX
#: this overrides the list of zero-decimal currencies on the same page. HUF and TWD must be whole
#: in payouts only, not in charges.
WHOLE_UNITS_IN_HUNDREDTHS: frozenset[str] = _codes("isk ugx")

#: In the API's list, but not on the page.
#: Unverified: that charges in them are still accepted, and that they have two decimals.
UNLISTED: frozenset[str] = _codes("btn ghs")

#: Replaced by other currencies. Kept for old coupons and charges: 0.14 offered hrk, mro, sll and
#: svc, and the API's list still has all of them.
#: Unverified: that they have two decimals.
RETIRED: frozenset[str] = _codes("eek hrk ltl lvl mro sll svc vef")

#: All currencies that an amount may have.
CURRENCIES: frozenset[str] = PRESENTMENT | THREE_DECIMAL | UNLISTED | RETIRED

#: Choices for a model field: the dollar first, then by code.
CURRENCY_CHOICES: tuple[tuple[str, str], ...] = tuple(
    (code, code.upper()) for code in ["usd", *sorted(CURRENCIES - {"usd"})]
)


def decimal_places(currency: str) -> int:
    """Return the number of decimals of ``currency`` (lower case) at Stripe: 0, 2 or 3."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def smallest_step(currency: str) -> int:
    """Return the step, in the smallest unit, of amounts in ``currency`` (lower case)."""
    if currency in WHOLE_UNITS_IN_HUNDREDTHS:
        return 100
    return 10 if currency in THREE_DECIMAL else 1
