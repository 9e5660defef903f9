"""``StripeCouponForm`` creates and changes coupons. See also ``test_rules.py``."""

from __future__ import annotations

import pytest

from aa_stripe.forms import StripeCouponForm
from tests.coupons.stripe_side import (
    CREATE,
    RETRIEVE,
    TEN_DOLLARS,
    UPDATE,
    at_stripe,
    calls,
    make_live,
    other,
)

pytestmark = pytest.mark.django_db


def test_a_coupon_is_created(fake):
    form = StripeCouponForm({**TEN_DOLLARS, "name": "Spring", "metadata": '{"a": "b"}'})

    assert form.is_valid(), form.errors
    coupon = form.save()

    assert calls(fake) == [CREATE]
    assert other(coupon).is_created_at_stripe
    assert at_stripe(fake)[0]["name"] == "Spring"


def test_stripe_may_choose_the_id(fake):
    form = StripeCouponForm({**TEN_DOLLARS, "coupon_id": ""})

    assert form.is_valid(), form.errors
    assert form.save().coupon_id == at_stripe(fake)[0]["id"]


@pytest.mark.parametrize("metadata", ["", "{}", "null"])
def test_no_metadata_is_empty_metadata(fake, metadata):
    form = StripeCouponForm({**TEN_DOLLARS, "metadata": metadata})

    assert form.is_valid(), form.errors
    assert other(form.save()).metadata == {}


def test_a_second_live_coupon_of_the_same_id_is_refused(coupon, fake):
    form = StripeCouponForm(TEN_DOLLARS)

    assert form.errors == {"coupon_id": ["Coupon with this id already exists"]}
    assert not fake.requests


def test_a_deleted_coupon_is_not_in_the_way(coupon):
    coupon.delete()

    assert StripeCouponForm(TEN_DOLLARS).is_valid()


def test_a_coupon_of_the_other_mode_is_not_in_the_way(coupon):
    make_live(coupon)

    assert StripeCouponForm(TEN_DOLLARS).is_valid()


def test_an_existing_coupon_changes_name_and_metadata_alone(coupon, fake):
    sent = {
        "coupon_id": "OTHER",
        "amount_off": "5",
        "percent_off": "5",
        "currency": "eur",
        "duration": "once",
        "redeem_by": "2001-01-01",
        "name": "Spring",
        "metadata": '{"a": "b"}',
    }

    form = StripeCouponForm(sent, instance=coupon)
    assert form.is_valid(), form.errors
    form.save()

    stored = other(coupon)
    assert (stored.name, stored.metadata) == ("Spring", {"a": "b"})
    assert (stored.coupon_id, stored.amount_off, stored.duration) == ("SALE10", 10, "forever")
    assert calls(fake) == [RETRIEVE, UPDATE]
    assert {name for name, field in form.fields.items() if not field.disabled} == {
        "name",
        "metadata",
    }


def test_metadata_that_is_no_json_is_refused(coupon, fake):
    for metadata in ("{", "[]", '{"a": {}}'):
        form = StripeCouponForm({"name": "", "metadata": metadata}, instance=other(coupon))

        assert set(form.errors) == {"metadata"}


def test_without_commit_nothing_is_sent(fake):
    form = StripeCouponForm(TEN_DOLLARS)

    coupon = form.save(commit=False)

    assert not fake.requests
    coupon.save()
    assert calls(fake) == [CREATE]


def test_a_form_of_some_fields_works(fake):
    class Small(StripeCouponForm):
        class Meta(StripeCouponForm.Meta):
            fields = ["percent_off", "duration"]

    form = Small({"percent_off": "5", "duration": "once"})

    assert form.is_valid(), form.errors
    assert form.save().percent_off == 5
