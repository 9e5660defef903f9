"""``delete()`` deletes at Stripe, and keeps the row."""

from __future__ import annotations

import pytest
import stripe

from aa_stripe import gateway
from aa_stripe.models import StripeCoupon
from aa_stripe.testing import Fault
from tests.support.coupons import DELETE, RETRIEVE, TEN_DOLLARS, at_stripe, make_coupon, rows
from tests.support.requests import calls
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db

LABEL = "aa_stripe.StripeCoupon"


def test_a_coupon_is_deleted_at_stripe_and_its_row_is_kept(coupon, fake):
    assert coupon.delete() == (0, {LABEL: 0})

    assert at_stripe(fake) == []
    assert coupon.is_deleted
    assert row_of(coupon).is_deleted
    assert calls(fake) == [RETRIEVE, DELETE]


def test_the_managers_separate_deleted_coupons(coupon, fake):
    kept = make_coupon(coupon_id="KEPT")
    coupon.delete()

    assert list(StripeCoupon.objects.all()) == [kept]
    assert list(StripeCoupon.objects.deleted()) == [coupon]
    assert set(StripeCoupon.objects.all_with_deleted()) == {coupon, kept}


def test_another_coupon_under_the_same_id_is_not_deleted(coupon, fake):
    stripe.Coupon.delete("SALE10")
    fake.advance(60)
    stripe.Coupon.create(id="SALE10", percent_off=5, duration="once")

    coupon.delete()

    assert len(at_stripe(fake)) == 1
    assert row_of(coupon).is_deleted


def test_a_coupon_that_stripe_does_not_know_is_only_marked(coupon, fake):
    stripe.Coupon.delete("SALE10")
    fake.requests.clear()

    coupon.delete()

    assert row_of(coupon).is_deleted
    assert calls(fake) == [RETRIEVE]


def test_a_coupon_deleted_at_stripe_at_the_same_moment_is_marked(coupon, fake):
    def delete(request):
        if request.method == "DELETE":
            fake.before_request.clear()
            stripe.Coupon.delete("SALE10")

    fake.before_request.append(delete)

    coupon.delete()

    assert row_of(coupon).is_deleted


def test_deleting_twice_does_no_harm(coupon, fake):
    row_of(coupon).delete()

    assert coupon.delete() == (0, {LABEL: 0})

    assert row_of(coupon).is_deleted


@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.ERROR_500_AFTER])
@pytest.mark.parametrize("endpoint", [RETRIEVE, DELETE])
def test_a_failed_deletion_marks_nothing_and_a_retry_finishes_it(coupon, fake, endpoint, fault):
    fake.fail_next(endpoint, fault)
    with pytest.raises(stripe.StripeError):
        coupon.delete()
    assert not row_of(coupon).is_deleted

    row_of(coupon).delete()

    assert row_of(coupon).is_deleted
    assert at_stripe(fake) == []


def test_a_deletion_that_stripe_refuses_raises(coupon, monkeypatch):
    def refuse(coupon_id):
        raise stripe.InvalidRequestError("No.", param=None, http_status=400)

    monkeypatch.setattr(gateway, "delete_coupon", refuse)

    with pytest.raises(stripe.InvalidRequestError):
        coupon.delete()

    assert not row_of(coupon).is_deleted


def test_a_row_that_was_never_at_stripe_is_only_marked(fake, coupon):
    local = StripeCoupon(**{**TEN_DOLLARS, "coupon_id": "LOCAL"}, created=coupon.created)
    local.save_locally()

    local.delete()

    assert row_of(local).is_deleted
    assert not fake.requests


def test_duplicate_rows_of_0_14_are_all_marked(coupon):
    copied = {name: getattr(coupon, name) for name in ("coupon_id", "created", "duration")}
    [twin] = StripeCoupon.objects.bulk_create([StripeCoupon(**copied, is_created_at_stripe=True)])

    coupon.delete()

    assert row_of(twin).is_deleted


# Querysets


def test_each_coupon_of_a_queryset_is_deleted(fake):
    for name in ("A", "B", "C"):
        make_coupon(coupon_id=name)

    deleted = StripeCoupon.objects.exclude(coupon_id="B").delete()

    assert deleted == (2, {LABEL: 2})
    assert [it["id"] for it in at_stripe(fake)] == ["B"]
    assert rows(is_deleted=True).count() == 2


def test_a_queryset_clears_its_cache_after_deleting(coupon):
    coupons = StripeCoupon.objects.all()
    list(coupons)

    coupons.delete()

    assert list(coupons) == []


def test_an_empty_queryset_deletes_nothing(fake, db):
    assert StripeCoupon.objects.all().delete() == (0, {LABEL: 0})


def test_the_manager_itself_cannot_delete():
    assert not hasattr(StripeCoupon.objects, "delete")
