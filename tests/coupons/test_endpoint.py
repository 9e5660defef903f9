"""``GET aa-stripe/coupons/<coupon_id>``."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework.test import APIClient

from aa_stripe import api as views
from aa_stripe.models import StripeCoupon
from aa_stripe.serializers import StripeCouponSerializer
from tests.support.coupons import make_coupon, make_live, rows
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db

FIELDS = [
    "coupon_id",
    "amount_off",
    "currency",
    "duration",
    "duration_in_months",
    "livemode",
    "max_redemptions",
    "metadata",
    "percent_off",
    "redeem_by",
    "times_redeemed",
    "valid",
    "is_created_at_stripe",
    "created",
    "updated",
    "is_deleted",
]

URL = "/aa-stripe/coupons/SALE10"


def test_the_endpoint_has_a_name_and_a_path():
    assert reverse("stripe-coupon-details", kwargs={"coupon_id": "SALE10"}) == URL
    assert resolve(URL).func.cls is views.CouponDetailsAPI
    assert reverse("stripe-coupon-details", args=["a/b ü"]) == "/aa-stripe/coupons/a/b%20%C3%BC"


def test_a_coupon_is_returned_without_a_request_to_stripe(api, coupon, fake):
    response = api.get(URL)

    shown = response.json()
    assert response.status_code == 200
    assert list(shown) == FIELDS
    assert (shown["coupon_id"], shown["duration"], shown["valid"]) == ("SALE10", "forever", True)
    assert (shown["amount_off"], shown["currency"], shown["percent_off"]) == ("10.00", "usd", None)
    assert parse_datetime(shown["created"]) == coupon.created
    assert not fake.requests


@pytest.mark.parametrize(
    ("currency", "shown"), [("usd", "10.00"), ("jpy", "10"), ("isk", "10.00"), ("kwd", "10.000")]
)
def test_an_amount_has_the_decimals_of_its_currency(api, fake, currency, shown):
    make_coupon(currency=currency)

    assert api.get(URL).json()["amount_off"] == shown


@pytest.mark.parametrize(("percent", "shown"), [(25, 25), (Decimal("12.5"), 12.5), (100, 100)])
def test_a_percentage_is_a_number(api, fake, percent, shown):
    make_coupon(amount_off=None, currency=None, percent_off=percent)

    percent_off = api.get(URL).json()["percent_off"]

    assert percent_off == shown
    assert type(percent_off) is type(shown)


def test_a_deleted_coupon_is_not_found(api, coupon):
    coupon.delete()

    assert api.get(URL).status_code == 404


def test_an_unknown_coupon_is_not_found(api, coupon):
    for coupon_id in ("UNKNOWN", "sale10", "SALE10%20", "SALE10/", "x" * 256, "a%00b", "%ff"):
        assert api.get(f"/aa-stripe/coupons/{coupon_id}").status_code == 404


def test_a_live_mode_coupon_is_not_found_with_a_test_key(api, coupon):
    make_live(coupon)

    assert api.get(URL).status_code == 404


def test_the_newest_of_several_rows_with_one_id_is_returned(api, coupon):
    old = row_of(coupon)
    StripeCoupon.objects.bulk_create(
        [
            StripeCoupon(
                coupon_id="SALE10", created=old.created + timedelta(days=days), times_redeemed=days
            )
            for days in (1, 3, 2)
        ]
    )

    assert api.get(URL).json()["times_redeemed"] == 3


def test_an_anonymous_request_is_rejected(coupon):
    response = APIClient().get(URL)

    assert response.status_code == 403


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_endpoint_is_read_only(api, coupon, fake, method):
    response = getattr(api, method)(URL, {"metadata": {"a": "b"}}, format="json")

    assert response.status_code == 405
    assert row_of(coupon).metadata == {}
    assert not fake.requests


def test_it_costs_one_query(api, coupon):
    with CaptureQueriesContext(connection) as captured:
        api.get(URL)

    assert len(captured) == 1


def test_the_response_is_not_cached(api, coupon):
    assert "no-store" in api.get(URL)["Cache-Control"]


# A project's own view may create and edit coupons with this serializer.


def test_the_serializer_changes_only_metadata(coupon, fake):
    serializer = StripeCouponSerializer(
        coupon, data={"metadata": {"a": "b"}, "amount_off": 3}, partial=True
    )

    assert serializer.is_valid(), serializer.errors
    serializer.save()

    stored = row_of(coupon)
    assert (stored.metadata, stored.amount_off) == ({"a": "b"}, 10)


def test_rejected_data_does_not_change_the_coupon(coupon, fake):
    serializer = StripeCouponSerializer(coupon, data={"metadata": ["a"]}, partial=True)

    assert not serializer.is_valid()
    assert coupon.metadata == {}
    assert not fake.requests


def test_the_serializer_ignores_fields_that_stripe_sets(fake):
    data = {
        "coupon_id": "HALF",
        "percent_off": "50",
        "duration": "once",
        "is_deleted": True,
        "is_created_at_stripe": True,
        "livemode": True,
        "times_redeemed": 9,
        "created": timezone.now(),
    }
    serializer = StripeCouponSerializer(data=data)

    assert serializer.is_valid(), serializer.errors
    serializer.save()

    stored = rows().get()
    assert (stored.is_deleted, stored.livemode, stored.times_redeemed) == (False, False, 0)
    assert stored.is_created_at_stripe
