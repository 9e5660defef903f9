"""Model, form and serializer reject the same, before anything is sent."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils import timezone

from aa_stripe.forms import StripeCouponForm
from aa_stripe.models import StripeCoupon
from aa_stripe.models.coupon.rules import _years_after
from aa_stripe.serializers import StripeCouponSerializer
from tests.support.coupons import TEN_DOLLARS, at_stripe, new_coupon, rows

pytestmark = pytest.mark.django_db

PERCENT = {"amount_off": None, "currency": None}


def in_days(days):
    return timezone.now() + timedelta(days=days)


#: Changes of a valid coupon, and the fields with errors.
REJECTED = {
    "neither amount nor percentage": ({**PERCENT}, {NON_FIELD_ERRORS}),
    "both": ({"percent_off": 10}, {NON_FIELD_ERRORS}),
    "both, one of them 0": ({"percent_off": 0}, {NON_FIELD_ERRORS, "percent_off"}),
    "amount without currency": ({"currency": None}, {"currency"}),
    "unknown currency": ({"currency": "xyz"}, {"currency"}),
    "amount 0": ({"amount_off": 0}, {"amount_off"}),
    "amount below 0": ({"amount_off": -1}, {"amount_off"}),
    "amount too fine": ({"amount_off": Decimal("0.001")}, {"amount_off"}),
    "half a yen": ({"amount_off": Decimal("10.5"), "currency": "jpy"}, {"amount_off"}),
    "half a krona": ({"amount_off": Decimal("10.5"), "currency": "isk"}, {"amount_off"}),
    "half a shilling": ({"amount_off": Decimal("10.5"), "currency": "ugx"}, {"amount_off"}),
    "a fils": ({"amount_off": Decimal("1.005"), "currency": "kwd"}, {"amount_off"}),
    "amount too large": ({"amount_off": 10**13}, {"amount_off"}),
    "percentage 0": ({**PERCENT, "percent_off": 0}, {"percent_off"}),
    "percentage below 0": ({**PERCENT, "percent_off": -5}, {"percent_off"}),
    "percentage above 100": ({**PERCENT, "percent_off": Decimal("100.01")}, {"percent_off"}),
    "percentage too fine": ({**PERCENT, "percent_off": Decimal("33.33333")}, {"percent_off"}),
    "unknown duration": ({"duration": "twice"}, {"duration"}),
    "no duration": ({"duration": ""}, {"duration"}),
    "repeating without months": ({"duration": "repeating"}, {"duration_in_months"}),
    "repeating for no month": (
        {"duration": "repeating", "duration_in_months": 0},
        {"duration_in_months"},
    ),
    "months without repeating": ({"duration_in_months": 3}, {"duration_in_months"}),
    "no month without repeating": ({"duration_in_months": 0}, {"duration_in_months"}),
    "never redeemable": ({"max_redemptions": 0}, {"max_redemptions"}),
    "redeemable in the past": ({"redeem_by": in_days(-1)}, {"redeem_by"}),
    "redeemable in six years": ({"redeem_by": in_days(6 * 366)}, {"redeem_by"}),
    "id too long": ({"coupon_id": "x" * 256}, {"coupon_id"}),
    "id with NUL": ({"coupon_id": "a\0b"}, {"coupon_id"}),
    "name too long": ({"name": "x" * 41}, {"name"}),
    "metadata that is a list": ({"metadata": ["a"]}, {"metadata"}),
    "metadata that is nested": ({"metadata": {"a": {"b": "c"}}}, {"metadata"}),
}

#: Changes that are accepted.
ACCEPTED = {
    "as it is": {},
    "ten yen": {"currency": "jpy"},
    "ten kronor": {"currency": "isk"},
    "a cent": {"amount_off": Decimal("0.01")},
    "ten fils": {"amount_off": Decimal("0.010"), "currency": "kwd"},
    "all of it": {**PERCENT, "percent_off": 100},
    "a part": {**PERCENT, "percent_off": Decimal("0.01")},
    "three months": {"duration": "repeating", "duration_in_months": 3},
    "once": {"duration": "once", "max_redemptions": 1},
    "tomorrow": {"redeem_by": in_days(1)},
    "almost five years": {"redeem_by": in_days(5 * 365 - 1)},
    "the longest id": {"coupon_id": "x" * 255},
    "no id": {"coupon_id": ""},
    "the longest name": {"name": "x" * 40},
    "metadata": {"metadata": {"a": "b", "n": 1}},
}

#: The serializer has no field ``name``.
UNNAMED = [it for it in REJECTED if it != "name too long"]


def terms_with(changes):
    return {**TEN_DOLLARS, **changes}


def posted(changes):
    """Return the data of a browser's form: every field is sent, empty ones too."""
    values = dict.fromkeys(StripeCouponForm._meta.fields, "")
    values |= {name: value for name, value in terms_with(changes).items() if value is not None}
    if "metadata" in changes:
        values["metadata"] = str(changes["metadata"]).replace("'", '"')
    if "redeem_by" in changes:
        values["redeem_by"] = f"{changes['redeem_by']:%Y-%m-%d %H:%M:%S}"
    return values


@pytest.mark.parametrize("name", REJECTED)
def test_save_rejects(fake, name):
    changes, fields = REJECTED[name]

    with pytest.raises(ValidationError) as raised:
        new_coupon(**changes).save()

    assert set(raised.value.message_dict) == fields
    assert not fake.requests
    assert not rows().exists()


@pytest.mark.parametrize("name", REJECTED)
def test_full_clean_rejects(fake, name):
    changes, fields = REJECTED[name]

    with pytest.raises(ValidationError) as raised:
        new_coupon(**changes).full_clean()

    assert set(raised.value.message_dict) == fields


@pytest.mark.parametrize("name", REJECTED)
def test_the_form_rejects(fake, name):
    changes, fields = REJECTED[name]

    form = StripeCouponForm(posted(changes))

    assert not form.is_valid()
    # A field with an error has no value for the rules to check.
    assert set(form.errors) - {NON_FIELD_ERRORS} == fields - {NON_FIELD_ERRORS}
    assert fields != {NON_FIELD_ERRORS} or form.errors[NON_FIELD_ERRORS]


@pytest.mark.parametrize("name", UNNAMED)
def test_the_serializer_rejects(fake, name):
    changes, fields = REJECTED[name]

    serializer = StripeCouponSerializer(data=terms_with(changes))

    assert not serializer.is_valid()
    named = {"non_field_errors" if it == NON_FIELD_ERRORS else it for it in fields}
    assert set(serializer.errors) == named


@pytest.mark.parametrize("name", ACCEPTED)
def test_save_accepts(fake, name):
    new_coupon(**ACCEPTED[name]).save()

    assert len(at_stripe(fake)) == rows().count() == 1


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_form_accepts(fake, name):
    form = StripeCouponForm(posted(ACCEPTED[name]))

    assert form.is_valid(), form.errors
    form.save()
    assert len(at_stripe(fake)) == rows().count() == 1


@pytest.mark.parametrize("name", sorted(ACCEPTED.keys() - {"the longest name"}))
def test_the_serializer_accepts(fake, name):
    serializer = StripeCouponSerializer(data=terms_with(ACCEPTED[name]))

    assert serializer.is_valid(), serializer.errors
    serializer.save()
    assert len(at_stripe(fake)) == rows().count() == 1


def test_a_naive_datetime_is_in_the_projects_time_zone(fake, settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    naive = (timezone.now() + timedelta(hours=1)).replace(tzinfo=None)

    with pytest.raises(ValidationError, match="past"):
        new_coupon(redeem_by=naive).save()


def test_five_years_after_a_leap_day_is_a_valid_date():
    leap_day = timezone.datetime(2028, 2, 29, tzinfo=timezone.get_current_timezone())

    assert _years_after(leap_day, 5).isoformat()[:10] == "2033-03-01"


def test_a_float_is_sent_as_written(fake):
    new_coupon(amount_off=10.1).save()

    assert at_stripe(fake)[0]["amount_off"] == 1010


def test_an_imprecise_float_is_rejected(fake):
    with pytest.raises(ValidationError, match="amount_off"):
        new_coupon(amount_off=0.1 + 0.2).save()


def test_a_value_that_is_not_a_number_is_rejected(fake):
    for field, value in {"amount_off": "ten", "percent_off": Decimal("NaN")}.items():
        with pytest.raises(ValidationError, match=field):
            new_coupon(**{field: value}).full_clean()


def test_the_rules_for_new_coupons_do_not_apply_to_existing_ones(coupon):
    coupon.redeem_by = timezone.now() - timedelta(days=1)
    coupon.max_redemptions = 0

    coupon.full_clean()


def test_an_unsaved_coupon_needs_no_creation_time(fake):
    StripeCoupon(**TEN_DOLLARS).full_clean()
