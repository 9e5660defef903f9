"""``StripeCouponForm`` creates and changes coupons. See also ``test_rules.py``."""

from __future__ import annotations

import pytest

from aa_stripe.forms import StripeCouponForm
from tests.support.coupons import CREATE, RETRIEVE, TEN_DOLLARS, UPDATE, at_stripe, make_live
from tests.support.requests import calls
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db


def test_a_coupon_is_created(fake):
    form = StripeCouponForm({**TEN_DOLLARS, "name": "Spring", "metadata": '{"a": "b"}'})

    assert form.is_valid(), form.errors
    coupon = form.save()

    assert calls(fake) == [CREATE]
    assert row_of(coupon).is_created_at_stripe
    assert at_stripe(fake)[0]["name"] == "Spring"


def test_stripe_may_choose_the_id(fake):
    form = StripeCouponForm({**TEN_DOLLARS, "coupon_id": ""})

    assert form.is_valid(), form.errors
    assert form.save().coupon_id == at_stripe(fake)[0]["id"]


@pytest.mark.parametrize("metadata", ["", "{}", "null"])
def test_no_metadata_is_empty_metadata(fake, metadata):
    form = StripeCouponForm({**TEN_DOLLARS, "metadata": metadata})

    assert form.is_valid(), form.errors
    assert row_of(form.save()).metadata == {}


def test_a_duplicate_id_is_rejected(coupon, fake):
    form = StripeCouponForm(TEN_DOLLARS)

    assert form.errors == {"coupon_id": ["Coupon with this id already exists"]}
    assert not fake.requests


def test_the_id_of_a_deleted_coupon_is_accepted(coupon):
    coupon.delete()

    assert StripeCouponForm(TEN_DOLLARS).is_valid()


def test_the_id_of_a_live_mode_coupon_is_accepted_in_test_mode(coupon):
    make_live(coupon)

    assert StripeCouponForm(TEN_DOLLARS).is_valid()


def test_only_name_and_metadata_of_an_existing_coupon_change(coupon, fake):
    data = {
        "coupon_id": "OTHER",
        "amount_off": "5",
        "percent_off": "5",
        "currency": "eur",
        "duration": "once",
        "redeem_by": "2001-01-01",
        "name": "Spring",
        "metadata": '{"a": "b"}',
    }

    form = StripeCouponForm(data, instance=coupon)
    assert form.is_valid(), form.errors
    form.save()

    stored = row_of(coupon)
    assert (stored.name, stored.metadata) == ("Spring", {"a": "b"})
    assert (stored.coupon_id, stored.amount_off, stored.duration) == ("SALE10", 10, "forever")
    assert calls(fake) == [RETRIEVE, UPDATE]
    assert {name for name, field in form.fields.items() if not field.disabled} == {
        "name",
        "metadata",
    }


def test_metadata_that_is_not_a_flat_json_object_is_rejected(coupon, fake):
    for metadata in ("{", "[]", '{"a": {}}'):
        form = StripeCouponForm({"name": "", "metadata": metadata}, instance=row_of(coupon))

        assert set(form.errors) == {"metadata"}


def test_without_commit_nothing_is_sent(fake):
    form = StripeCouponForm(TEN_DOLLARS)

    coupon = form.save(commit=False)

    assert not fake.requests
    coupon.save()
    assert calls(fake) == [CREATE]


def test_a_form_with_fewer_fields_works(fake):
    class Small(StripeCouponForm):
        class Meta(StripeCouponForm.Meta):
            fields = ["percent_off", "duration"]

    form = Small({"percent_off": "5", "duration": "once"})

    assert form.is_valid(), form.errors
    assert form.save().percent_off == 5
