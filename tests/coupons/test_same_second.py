"""A coupon that is deleted and made again within one second: Stripe's times are whole seconds."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest
import stripe
from django.db import connection

from aa_stripe.jobs import refresh_coupons
from aa_stripe.models import StripeCoupon
from aa_stripe.models.coupon.sync import release
from aa_stripe.testing.account import Account
from tests.support.coupons import CREATE, DELETE, at_stripe, make_coupon, rows
from tests.support.requests import when_done
from tests.support.rows import row_of
from tests.support.threads import InThread
from tests.webhooks.account import deliver, events_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def one_second(monkeypatch):
    """Everything at Stripe happens within one second."""
    monkeypatch.setattr(Account, "now", int(time.time()))


@pytest.fixture
def first(coupon):
    """The row of the first coupon, which was deleted here."""
    coupon.delete()
    return row_of(coupon)


def make_elsewhere(**terms):
    """Create the second coupon at Stripe only."""
    return stripe.Coupon.create(id="SALE10", duration="once", percent_off=5, **terms)


def fetch():
    StripeCoupon(coupon_id="SALE10").save(force_retrieve=True)


def assert_two_rows(first, fake):
    """Check that the second coupon has a row of its own, and that the first one is unchanged."""
    old, new = rows()
    [there] = at_stripe(fake)
    assert (old.pk, old.is_deleted, old.amount_off) == (first.pk, True, 10)
    assert (new.is_deleted, new.stripe_response) == (False, there)
    assert old.created == new.created
    assert StripeCoupon.objects.get() == new


def test_a_row_that_another_process_has_restored_keeps_its_identity(coupon):
    identity = coupon.identity
    coupon.is_deleted = True  # as it was read

    release(coupon)

    assert row_of(coupon).identity == coupon.identity == identity


def test_a_coupon_made_again_has_a_row_of_its_own(first, fake):
    make_coupon(amount_off=20)

    assert_two_rows(first, fake)


@pytest.mark.parametrize("store", [fetch, refresh_coupons])
def test_a_coupon_made_again_elsewhere_has_a_row_of_its_own(first, fake, store):
    make_elsewhere()
    rows().update(updated=first.created)  # refresh_coupons skips rows that were just written

    store()

    assert_two_rows(first, fake)


def test_a_coupon_made_again_ten_times_has_ten_rows(coupon, fake):
    for _ in range(9):
        rows().last().delete()
        make_coupon()

    assert rows(is_deleted=True).count() == 9
    assert len(at_stripe(fake)) == StripeCoupon.objects.count() == 1


def test_a_row_that_was_only_marked_is_not_overwritten_by_a_new_coupon(coupon, fake):
    stripe.Coupon.delete("SALE10")
    coupon.save()  # Stripe does not find it

    make_coupon(amount_off=20)

    assert_two_rows(coupon, fake)


@pytest.mark.parametrize(
    "act",
    [
        StripeCoupon.save,
        StripeCoupon.delete,
        StripeCoupon.refresh_from_stripe,
    ],
)
@pytest.mark.parametrize("is_stale", [False, True])
def test_the_deleted_row_does_not_touch_the_second_coupon(coupon, fake, act, is_stale):
    stale = row_of(coupon)
    coupon.delete()
    make_coupon(amount_off=20)
    row = stale if is_stale else row_of(coupon)
    row.metadata = {"a": "b"}

    act(row)

    assert_two_rows(coupon, fake)
    assert at_stripe(fake)[0]["metadata"] == {}
    assert row.is_deleted


def test_setting_is_deleted_of_the_first_does_not_delete_the_second(coupon, fake):
    stale = row_of(coupon)
    coupon.delete()
    make_coupon()

    stale.is_deleted = True
    stale.save()

    assert_two_rows(coupon, fake)


def test_a_refresh_does_not_restore_the_first_row(first, fake):
    make_coupon()
    rows().update(updated=first.created)

    refresh_coupons()

    assert_two_rows(first, fake)


def test_a_coupon_made_while_the_first_is_deleted_has_a_row_of_its_own(transactional_db, fake):
    if not connection.features.has_select_for_update:
        pytest.skip("needs row locks")
    coupon = make_coupon()
    threads, is_made = [], threading.Event()

    def make_it_again():
        when_done(fake, CREATE, is_made.set)
        threads.append(InThread(partial(make_coupon, amount_off=20)))
        assert is_made.wait(10)

    when_done(fake, DELETE, make_it_again)

    row_of(coupon).delete()

    threads[0].join()
    assert_two_rows(coupon, fake)


# Events


def test_events_of_the_first_that_come_late_do_not_change_the_second(coupon, fake):
    stripe.Coupon.delete("SALE10")
    [deleted] = events_of(fake, "coupon.deleted")
    deliver(fake, deleted)
    make_elsewhere()
    created, created_again = events_of(fake, "coupon.created")
    deliver(fake, created_again)
    again = {**deleted, "id": "evt_late"}

    deliver(fake, again, created)

    assert_two_rows(coupon, fake)


def test_the_deletion_of_the_first_that_comes_after_the_creation_of_the_second(coupon, fake):
    stripe.Coupon.delete("SALE10")
    make_elsewhere()
    _, created_again = events_of(fake, "coupon.created")
    [deleted] = events_of(fake, "coupon.deleted")

    deliver(fake, created_again, deleted)

    # Nothing distinguishes the two, so the row, of which no deletion was known, is of the second.
    [row] = rows()
    assert (row.is_deleted, row.percent_off) == (False, 5)
    assert row.stripe_response == at_stripe(fake)[0]


def test_the_deletion_of_the_second_marks_its_row(first, fake):
    make_elsewhere()
    fetch()
    stripe.Coupon.delete("SALE10")

    deliver(fake, *events_of(fake, "coupon.deleted"))

    assert not StripeCoupon.objects.exists()
    assert rows(is_deleted=True).count() == 2
