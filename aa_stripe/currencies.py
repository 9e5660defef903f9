"""Stripe's currencies, and how finely Stripe counts each: data only, in lower case.

The codes are those of Stripe's page (https://docs.stripe.com/currencies) and of the list in the
API's own "Invalid currency: ..." message, as quoted in public in 2025 and 2026. Stripe's exponents
are not those of ISO 4217, so no table from elsewhere may stand in for this one. Which of the
currencies an account may use depends on its country; Stripe tells when it may not.
"""

from __future__ import annotations


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Those of Stripe's page. Two decimals unless named below.
#: Unverified: that the page still has bgn, which Bulgaria gave up in 2026; the API's list has it.
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

#: An amount is the number itself: 500 is JPY 500.
ZERO_DECIMAL: frozenset[str] = _codes("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf")

#: 1000 is KWD 1, and the last digit must be 0. For accounts of some countries only
#: (https://docs.stripe.com/currencies?presentment-currency=AE#three-decimal).
#: Unverified: today's page speaks of three decimals without a list; this is the list of 2022.
THREE_DECIMAL: frozenset[str] = _codes("bhd jod kwd omr tnd")

#: Nobody pays with half a króna or shilling any more, yet Stripe still counts them in
#: hundredths: 500 is ISK 5, and only multiples of 100 are taken
#: (https://docs.stripe.com/currencies#special-cases). For UGX this wins over the same page's
#: list of zero-decimal currencies. HUF and TWD are whole in payouts only, not in charges.
WHOLE_UNITS_IN_HUNDREDTHS: frozenset[str] = _codes("isk ugx")

#: Named by the API's own list, but not by the page.
#: Unverified: that charges in them are still accepted, and their two decimals.
UNLISTED: frozenset[str] = _codes("btn ghs")

#: Replaced by another currency since. Kept because coupons and charges of the past name them:
#: 0.14 offered hrk, mro, sll and svc, and the API's list still has every one.
#: Unverified: their two decimals.
RETIRED: frozenset[str] = _codes("eek hrk ltl lvl mro sll svc vef")

#: Every currency an amount may be in.
CURRENCIES: frozenset[str] = PRESENTMENT | THREE_DECIMAL | UNLISTED | RETIRED

#: For a model field: the dollar first, the rest by code.
CURRENCY_CHOICES: tuple[tuple[str, str], ...] = tuple(
    (code, code.upper()) for code in ["usd", *sorted(CURRENCIES - {"usd"})]
)


def decimal_places(currency: str) -> int:
    """How many decimals Stripe's amounts in ``currency`` (lower case) have: 0, 2 or 3."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def smallest_step(currency: str) -> int:
    """What an amount in ``currency`` (lower case) must be a multiple of, in its smallest unit."""
    if currency in WHOLE_UNITS_IN_HUNDREDTHS:
        return 100
    return 10 if currency in THREE_DECIMAL else 1
