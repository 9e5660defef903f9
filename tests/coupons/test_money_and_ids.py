"""Amounts in every currency and unusual ids survive the way to Stripe and back."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import quote

import pytest
import stripe
from django.db.models import F
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from aa_stripe.currencies import CURRENCIES, decimal_places, smallest_step
from aa_stripe.forms import StripeCouponForm
from aa_stripe.models import StripeCoupon
from aa_stripe.models.coupon.terms import create_params
from aa_stripe.money import to_major_units
from tests.support.coupons import TEN_DOLLARS, at_stripe, make_coupon, new_coupon, rows
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db

# Money

IN_STRIPES_UNIT = {
    "usd": ("10.50", 1050),
    "eur": ("0.01", 1),
    "jpy": ("500", 500),
    "krw": ("1000000", 1000000),
    "kwd": ("1.230", 1230),
    "isk": ("5", 500),
    "ugx": ("500", 50000),
    "huf": ("10.45", 1045),
}


@pytest.mark.parametrize("currency", IN_STRIPES_UNIT)
def test_an_amount_is_sent_in_stripes_unit_and_stored_in_the_major_unit(fake, currency):
    amount, minor = IN_STRIPES_UNIT[currency]

    coupon = make_coupon(currency=currency, amount_off=Decimal(amount))

    assert at_stripe(fake)[0]["amount_off"] == minor
    assert row_of(coupon).amount_off == Decimal(amount)


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
@given(steps=st.integers(1, 10**9 - 1))
@hypothesis_settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_valid_amount_is_unchanged_by_two_conversions(db, currency, steps):
    minor = steps * smallest_step(currency)
    coupon = new_coupon(currency=currency, amount_off=to_major_units(minor, currency))

    params = create_params(coupon)
    coupon.update_from_stripe_data({"currency": currency, **params}, commit=False)

    assert params["amount_off"] == minor
    assert coupon.amount_off == Decimal(minor).scaleb(-decimal_places(currency))


def test_a_coupon_saved_again_keeps_its_amount(fake):
    coupon = make_coupon(currency="kwd", amount_off=Decimal("1.230"))

    for _ in range(3):
        row_of(coupon).save()

    assert row_of(coupon).amount_off == Decimal("1.23")
    assert at_stripe(fake)[0]["amount_off"] == 1230


# Ids

UNUSUAL = [
    "with space",
    " leading",
    "trailing ",
    "a/b",
    "a//b",
    "über",
    "Zażółć",
    "折扣",
    "50%+",
    "%2F",
    "a?b=c#d",
    "a&b",
    "x" * 255,
]


def url_of(coupon_id):
    return f"/aa-stripe/coupons/{quote(coupon_id, safe='')}"


@pytest.mark.parametrize("coupon_id", UNUSUAL)
def test_a_coupon_with_an_unusual_id_can_be_saved_and_deleted(fake, coupon_id):
    coupon = make_coupon(coupon_id=coupon_id)
    coupon.metadata = {"a": "b"}
    coupon.save()
    assert at_stripe(fake, coupon_id)[0]["metadata"] == {"a": "b"}

    coupon.delete()

    assert at_stripe(fake) == []
    assert row_of(coupon).is_deleted


@pytest.mark.parametrize("coupon_id", UNUSUAL)
def test_an_unusual_id_is_found_over_http(api, fake, coupon_id):
    make_coupon(coupon_id=coupon_id)

    response = api.get(url_of(coupon_id))

    assert response.status_code == 200
    assert response.json()["coupon_id"] == coupon_id


@pytest.mark.parametrize("coupon_id", UNUSUAL)
def test_the_form_accepts_an_unusual_id(fake, coupon_id):
    form = StripeCouponForm({**TEN_DOLLARS, "coupon_id": coupon_id})

    assert form.is_valid(), form.errors
    form.save()

    assert StripeCoupon.objects.get().coupon_id == coupon_id
    assert len(at_stripe(fake, coupon_id)) == 1


ALIKE = ["SALE", "sale", "Sale", "SALE ", " SALE", "SALÉ", "SÂLE"]


def test_ids_that_look_alike_are_different_coupons(fake, api):
    for coupon_id in ALIKE:
        make_coupon(coupon_id=coupon_id)

    assert len(at_stripe(fake)) == rows().count() == len(ALIKE)
    for coupon_id in ALIKE:
        assert StripeCoupon.objects.get(coupon_id=coupon_id).coupon_id == coupon_id
        assert api.get(url_of(coupon_id)).json()["coupon_id"] == coupon_id
        assert not StripeCouponForm({**TEN_DOLLARS, "coupon_id": coupon_id}).is_valid()


def test_deleting_a_coupon_keeps_those_whose_ids_look_alike(fake):
    for coupon_id in ALIKE:
        make_coupon(coupon_id=coupon_id)

    StripeCoupon.objects.filter(coupon_id="SALE").delete()
    fake.advance(60)
    make_coupon(coupon_id="SALE")
    StripeCoupon.objects.filter(coupon_id__in=["sale", "SALE "]).delete()

    kept = {"SALE", "Sale", " SALE", "SALÉ", "SÂLE"}
    assert {it.coupon_id for it in StripeCoupon.objects.all()} == kept
    assert {it["id"] for it in at_stripe(fake)} == kept


def test_an_id_can_be_compared_with_another_column(fake):
    make_coupon(coupon_id="SALE", name="SALE")
    make_coupon(coupon_id="sale", name="SALE")

    assert StripeCoupon.objects.get(coupon_id=F("name")).coupon_id == "SALE"
    named = StripeCoupon.objects.filter(coupon_id="SALE").values("name")
    assert StripeCoupon.objects.get(coupon_id__in=named).coupon_id == "SALE"
    assert StripeCoupon.objects.exclude(coupon_id="SALE").get().coupon_id == "sale"


def test_a_coupon_of_the_dashboard_with_an_unusual_id_can_be_fetched(fake):
    for coupon_id in UNUSUAL:
        stripe.Coupon.create(id=coupon_id, percent_off=5, duration="once")

        StripeCoupon(coupon_id=coupon_id).save(force_retrieve=True)

    assert {it.coupon_id for it in rows()} == set(UNUSUAL)


@pytest.mark.parametrize("text", ["20", "12.5", "100", "33.33"])
def test_a_percentage_reads_without_trailing_zeros(fake, text):
    coupon = make_coupon(amount_off=None, currency=None, percent_off=Decimal(text))

    assert str(coupon.percent_off) == text
    assert str(StripeCoupon.objects.get().percent_off) == text


@pytest.mark.parametrize(
    ("currency", "text"), [("usd", "10.00"), ("jpy", "100.00"), ("kwd", "1.50")]
)
def test_an_amount_reads_with_two_decimals(fake, currency, text):
    make_coupon(currency=currency, amount_off=Decimal(text))

    assert str(StripeCoupon.objects.get().amount_off) == text
