"""``delete()`` deletes at Stripe, and keeps the row."""

from __future__ import annotations

import pytest
import stripe
from django.db import transaction

from aa_stripe import gateway
from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models import StripeCoupon
from aa_stripe.testing import Fault
from tests.support.coupons import (
    DELETE,
    RETRIEVE,
    TEN_DOLLARS,
    at_stripe,
    make_coupon,
    make_live,
    rows,
)
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


# save() with is_deleted, as in 0.14


@pytest.mark.parametrize("options", [{}, {"update_fields": ["is_deleted"]}])
def test_saving_is_deleted_deletes_the_coupon_at_stripe(coupon, fake, options):
    kept = make_coupon(coupon_id="KEPT")
    fake.requests.clear()
    coupon = row_of(coupon)

    coupon.is_deleted = True
    coupon.save(**options)

    assert at_stripe(fake, "SALE10") == []
    assert coupon.is_deleted
    assert row_of(coupon).is_deleted
    assert calls(fake) == [RETRIEVE, DELETE]
    assert (row_of(kept).is_deleted, len(at_stripe(fake, "KEPT"))) == (False, 1)


@pytest.mark.django_db(transaction=True)
def test_saving_is_deleted_deletes_a_coupon_that_the_transaction_created(fake):
    with transaction.atomic():
        coupon = make_coupon()
        coupon.is_deleted = True
        coupon.save()

    assert at_stripe(fake) == []
    assert row_of(coupon).is_deleted


def test_is_deleted_is_not_saved_if_update_fields_leaves_it_out(coupon, fake):
    coupon.is_deleted, coupon.name = True, "Spring"

    coupon.save(update_fields=["name"])

    assert at_stripe(fake)[0]["name"] == "Spring"
    assert not row_of(coupon).is_deleted
    coupon.save()
    assert at_stripe(fake) == []
    assert row_of(coupon).is_deleted


def test_saving_a_deleted_coupon_again_only_looks_for_it(coupon, fake):
    coupon.is_deleted = True
    coupon.save()
    fake.requests.clear()

    coupon.save()
    row_of(coupon).save()

    assert calls(fake) == [RETRIEVE, RETRIEVE]
    assert row_of(coupon).is_deleted


@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.ERROR_500_AFTER])
def test_a_saved_deletion_that_fails_can_be_saved_again(coupon, fake, fault):
    coupon.is_deleted = True
    fake.fail_next(DELETE, fault)
    with pytest.raises(stripe.StripeError):
        coupon.save()
    assert not row_of(coupon).is_deleted

    coupon.save()

    assert row_of(coupon).is_deleted
    assert at_stripe(fake) == []


def test_saving_is_deleted_does_not_delete_another_coupon_under_the_same_id(coupon, fake):
    stripe.Coupon.delete("SALE10")
    fake.advance(60)
    stripe.Coupon.create(id="SALE10", percent_off=5, duration="once")

    coupon.is_deleted = True
    coupon.save()

    assert len(at_stripe(fake)) == 1
    assert row_of(coupon).is_deleted


def test_saving_is_deleted_of_a_live_mode_coupon_needs_a_live_key(coupon, fake):
    coupon = make_live(coupon)
    coupon.is_deleted = True

    with pytest.raises(StripeMethodNotAllowed, match="live mode"):
        coupon.save()

    assert not row_of(coupon).is_deleted
    assert not fake.requests


def test_a_deleted_coupon_does_not_come_back_because_is_deleted_was_unset(coupon, fake):
    coupon.delete()
    coupon = row_of(coupon)

    coupon.is_deleted = False
    coupon.save()

    assert at_stripe(fake) == []
    assert coupon.is_deleted
    assert row_of(coupon).is_deleted


def test_is_deleted_can_be_unset_if_stripe_has_the_coupon(coupon):
    rows().update(is_deleted=True)
    coupon = row_of(coupon)

    coupon.is_deleted = False
    coupon.save()

    assert not row_of(coupon).is_deleted


def test_a_row_that_was_never_at_stripe_is_marked_by_saving_is_deleted(fake, coupon):
    local = StripeCoupon(**{**TEN_DOLLARS, "coupon_id": "LOCAL"}, created=coupon.created)
    local.save_locally()

    local.is_deleted = True
    local.save()

    assert row_of(local).is_deleted
    assert not fake.requests


def test_a_new_row_that_is_deleted_is_not_created_at_stripe(fake):
    coupon = StripeCoupon.objects.create(**TEN_DOLLARS, is_deleted=True)

    assert at_stripe(fake) == []
    assert (row_of(coupon).is_deleted, row_of(coupon).is_created_at_stripe) == (True, False)


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
