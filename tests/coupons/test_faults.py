"""A failed request leaves no incomplete coupon, and a retry creates no second one."""

from __future__ import annotations

import pytest
import stripe

from aa_stripe.exceptions import StripeCouponAlreadyExists
from aa_stripe.models import StripeCoupon
from aa_stripe.testing import Fault
from tests.support.coupons import CREATE, RETRIEVE, UPDATE, at_stripe, make_coupon, new_coupon, rows
from tests.support.requests import requests_to
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db

DAY = 24 * 60 * 60

TOOK_EFFECT = [Fault.ANSWER_LOST, Fault.ERROR_500_AFTER, Fault.GARBAGE]
NOTHING_HAPPENED = [
    Fault.REQUEST_LOST,
    Fault.ERROR_500_BEFORE,
    Fault.RATE_LIMITED,
    Fault.CONFLICT,
]


def fail(coupon, fake, fault, endpoint=CREATE):
    fake.fail_next(endpoint, fault)
    with pytest.raises(stripe.StripeError):
        coupon.save()


def is_complete(coupon, fake):
    """Return whether there is one coupon, the same here and at Stripe."""
    [there] = at_stripe(fake)
    [row] = rows()
    return (
        row.pk == coupon.pk
        and row.coupon_id == there["id"]
        and row.created.timestamp() == there["created"]
        and row.is_created_at_stripe
        and not row.is_deleted
        and row.identity is not None
        and row.uuid == coupon.uuid
    )


@pytest.mark.parametrize("fault", TOOK_EFFECT + NOTHING_HAPPENED)
def test_a_coupon_whose_creation_fails_is_not_stored(fake, fault):
    coupon = new_coupon()

    fail(coupon, fake, fault)

    assert not rows().exists()
    assert coupon.pk is None
    assert not coupon.is_created_at_stripe


@pytest.mark.parametrize("fault", TOOK_EFFECT + NOTHING_HAPPENED)
def test_saving_again_creates_one_coupon(fake, fault):
    coupon = new_coupon()
    fail(coupon, fake, fault)

    coupon.save()

    assert is_complete(coupon, fake)


@pytest.mark.parametrize("fault", TOOK_EFFECT + NOTHING_HAPPENED)
def test_creating_the_same_coupon_again_makes_one(fake, fault):
    fail(new_coupon(metadata={"n": 1}, name="Spring"), fake, fault)

    coupon = make_coupon(metadata={"n": 1}, name="Spring")

    assert is_complete(coupon, fake)


@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.REQUEST_LOST, Fault.GARBAGE])
def test_saving_again_creates_one_coupon_if_stripe_chooses_the_id(fake, fault):
    coupon = new_coupon(coupon_id="")
    fail(coupon, fake, fault)

    coupon.save()

    assert is_complete(coupon, fake)


@pytest.mark.parametrize(("fault", "made"), [("ERROR_500_BEFORE", 1), ("ERROR_500_AFTER", 2)])
def test_a_500_does_not_block_the_next_save_if_stripe_chooses_the_id(fake, fault, made):
    coupon = new_coupon(coupon_id="")
    fail(coupon, fake, Fault[fault])

    coupon.save()

    # A coupon that no customer knows does no harm.
    assert len(at_stripe(fake)) == made
    assert row_of(coupon).coupon_id == at_stripe(fake)[-1]["id"]
    assert len(requests_to(fake, CREATE)) == 3  # Stripe repeats the response to the first key


def test_a_change_after_a_lost_response_is_sent_if_stripe_chooses_the_id(fake):
    coupon = new_coupon(coupon_id="")
    fail(coupon, fake, Fault.ANSWER_LOST)
    coupon.amount_off = 20

    coupon.save()

    assert row_of(coupon).amount_off == 20
    assert len(at_stripe(fake)) == 2


def test_saving_again_works_after_stripe_has_discarded_the_key(fake):
    coupon = new_coupon()
    fail(coupon, fake, Fault.ANSWER_LOST)
    fake.advance(2 * DAY)

    coupon.save()

    assert is_complete(coupon, fake)


def test_saving_again_stores_what_was_changed_at_stripe_meanwhile(fake):
    coupon = new_coupon()
    fail(coupon, fake, Fault.ANSWER_LOST)
    stripe.Coupon.modify("SALE10", name="Spring")

    coupon.save()

    assert is_complete(coupon, fake)
    assert row_of(coupon).name == "Spring"


def test_a_coupon_that_the_webhook_stored_after_a_lost_response_is_adopted(fake):
    coupon = new_coupon()
    fail(coupon, fake, Fault.ANSWER_LOST)
    StripeCoupon(coupon_id="SALE10").save(force_retrieve=True)

    coupon.save()

    assert is_complete(coupon, fake)


@pytest.mark.parametrize(
    "different",
    [
        {"amount_off": 11},
        {"currency": "eur"},
        {"amount_off": None, "currency": None, "percent_off": 10},
        {"duration": "once"},
        {"duration": "repeating", "duration_in_months": 2},
        {"max_redemptions": 5},
        {"metadata": {"a": "b"}},
        {"name": "Spring"},
    ],
)
def test_a_coupon_at_stripe_with_other_terms_is_not_adopted(fake, different):
    stripe.Coupon.create(id="SALE10", duration="forever", currency="usd", amount_off=1000)
    coupon, there = new_coupon(**different), at_stripe(fake)[0].copy()

    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        coupon.save()

    assert not rows().exists()
    assert at_stripe(fake) == [there]


def test_a_coupon_at_stripe_with_the_same_terms_is_adopted(fake):
    stripe.Coupon.create(
        id="HALF", duration="repeating", duration_in_months=2, percent_off=33.3, max_redemptions=4
    )

    coupon = make_coupon(
        coupon_id="HALF",
        duration="repeating",
        duration_in_months=2,
        amount_off=None,
        percent_off="33.30",
        max_redemptions=4,
    )

    assert is_complete(coupon, fake)


def test_a_coupon_that_has_a_row_is_not_created_again(coupon, fake):
    with pytest.raises(StripeCouponAlreadyExists) as raised:
        make_coupon()

    assert rows().count() == len(at_stripe(fake)) == 1
    assert raised.value.__cause__ is not None


def test_a_refused_coupon_can_be_saved_once_its_id_is_free(fake):
    stripe.Coupon.create(id="SALE10", duration="once", percent_off=5)
    coupon = new_coupon()
    with pytest.raises(stripe.InvalidRequestError):
        coupon.save()

    stripe.Coupon.delete("SALE10")
    coupon.save()

    assert is_complete(coupon, fake)


def test_a_change_after_a_lost_response_is_not_ignored(fake):
    coupon = new_coupon()
    fail(coupon, fake, Fault.ANSWER_LOST)
    coupon.amount_off = 20

    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        coupon.save()

    assert not rows().exists()
    assert [it["amount_off"] for it in at_stripe(fake)] == [1000]


def test_a_change_after_a_lost_request_is_sent(fake):
    coupon = new_coupon()
    fail(coupon, fake, Fault.REQUEST_LOST)
    coupon.amount_off = 20

    coupon.save()

    assert is_complete(coupon, fake)
    assert at_stripe(fake)[0]["amount_off"] == 2000


def test_a_coupon_can_be_saved_after_a_refused_api_key(fake, settings):
    settings.STRIPE_API_KEY = "sk_wrong"
    coupon = new_coupon()
    with pytest.raises(stripe.AuthenticationError):
        coupon.save()

    settings.STRIPE_API_KEY = "sk_test_right"
    coupon.save()

    assert is_complete(coupon, fake)


@pytest.mark.parametrize("fault", TOOK_EFFECT + NOTHING_HAPPENED)
def test_a_stored_row_whose_creation_fails_is_created_by_the_next_save(fake, coupon, fault):
    local = new_coupon(coupon_id="LOCAL", created=coupon.created)
    local.save_locally()
    fail(local, fake, fault)
    assert not row_of(local).is_created_at_stripe

    row_of(local).save()

    assert row_of(local).is_created_at_stripe
    assert len(at_stripe(fake, "LOCAL")) == rows(coupon_id="LOCAL").count() == 1


@pytest.mark.parametrize("fault", TOOK_EFFECT + NOTHING_HAPPENED)
@pytest.mark.parametrize("endpoint", [RETRIEVE, UPDATE])
def test_an_edit_that_fails_can_be_saved_again(coupon, fake, endpoint, fault):
    coupon.metadata = {"a": "b"}
    fail(coupon, fake, fault, endpoint)
    stored = row_of(coupon)
    assert (stored.metadata, stored.is_deleted) == ({}, False)

    coupon.save()

    assert at_stripe(fake)[0]["metadata"] == row_of(coupon).metadata == {"a": "b"}


@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.RATE_LIMITED])
def test_a_failed_retrieval_does_not_mark_a_coupon_as_deleted(coupon, fake, fault):
    fail(coupon, fake, fault, RETRIEVE)

    assert not coupon.is_deleted
    assert not row_of(coupon).is_deleted


def test_a_failed_fetch_stores_nothing(fake):
    stripe.Coupon.create(id="THEIRS", percent_off=5, duration="once")
    fake.fail_next(RETRIEVE, Fault.ERROR_500_BEFORE)
    coupon = StripeCoupon(coupon_id="THEIRS")
    with pytest.raises(stripe.APIError):
        coupon.save(force_retrieve=True)
    assert not rows().exists()

    coupon.save(force_retrieve=True)

    assert is_complete(coupon, fake)
