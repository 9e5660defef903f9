"""Another process does the same between a request and its response, or at the same time."""

from __future__ import annotations

import threading
from functools import partial

import pytest
import stripe
from django.db import connection, transaction

from aa_stripe.exceptions import StripeCouponAlreadyExists, StripeInProgress
from aa_stripe.jobs import refresh_coupons
from aa_stripe.models import StripeCoupon
from aa_stripe.models.coupon import queryset
from tests.support.coupons import (
    CREATE,
    RETRIEVE,
    TEN_DOLLARS,
    UPDATE,
    at_stripe,
    make_coupon,
    new_coupon,
    rows,
)
from tests.support.requests import before, when_done
from tests.support.rows import row_of
from tests.support.threads import InThread


def fetch(coupon_id="SALE10"):
    """Fetch a coupon as the handler of ``coupon.created`` does."""
    StripeCoupon(coupon_id=coupon_id).save(force_retrieve=True)


@pytest.mark.parametrize("other_process", [fetch, refresh_coupons])
def test_save_adopts_the_row_that_another_process_stored(db, fake, other_process):
    when_done(fake, CREATE, other_process)

    coupon = make_coupon()

    [row] = rows()
    assert (coupon.pk, coupon.uuid) == (row.pk, row.uuid)
    coupon.metadata = {"a": "b"}
    coupon.save()
    assert row_of(coupon).metadata == {"a": "b"}


def test_the_second_of_two_fetches_raises(db, fake):
    stripe.Coupon.create(id="SALE10", duration="once", percent_off=5)
    when_done(fake, RETRIEVE, fetch)

    with pytest.raises(StripeCouponAlreadyExists):
        fetch()

    assert rows().count() == 1


def test_save_adopts_the_row_inside_a_transaction(transactional_db, fake):
    """A row committed after the transaction began is found at any isolation level."""

    def elsewhere():
        def work():
            try:
                fetch()
            finally:
                connection.close()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    when_done(fake, CREATE, elsewhere)
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    with transaction.atomic():
        if connection.vendor != "sqlite":  # SQLite would lock out the other thread
            assert not rows().exists()
        coupon = make_coupon()

    assert rows().get().pk == coupon.pk
    connection.close()


def test_the_later_of_two_edits_wins_on_both_sides(coupon, fake):
    def edit():
        row = row_of(coupon)
        row.metadata = {"by": "the other"}
        row.save()

    when_done(fake, RETRIEVE, edit)

    coupon.metadata = {"by": "us"}
    coupon.save()

    assert at_stripe(fake)[0]["metadata"] == row_of(coupon).metadata == {"by": "us"}


def test_an_edit_after_ours_at_stripe_is_not_overwritten(coupon, fake):
    def edit():
        row = row_of(coupon)
        row.metadata = {"by": "the other"}
        row.save()

    when_done(fake, UPDATE, edit)

    coupon.metadata = {"by": "us"}
    coupon.save()

    assert at_stripe(fake)[0]["metadata"] == {"by": "the other"}
    assert row_of(coupon).metadata == coupon.metadata == {"by": "the other"}


def test_a_deletion_during_an_edit_is_not_overwritten(coupon, fake):
    when_done(fake, UPDATE, lambda: row_of(coupon).delete())

    coupon.metadata = {"a": "b"}
    coupon.save()

    assert row_of(coupon).is_deleted
    assert at_stripe(fake) == []


def in_threads(*acts):
    """Run all at once; return the errors that they raised."""
    errors, barrier = [], threading.Barrier(len(acts))

    def work(act):
        try:
            barrier.wait(30)
            act()
        except Exception as error:  # noqa: BLE001 (the test checks it)
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


@pytest.mark.parametrize("time", range(3))
def test_threads_that_make_the_same_coupon_make_one(transactional_db, fake, time):
    errors = in_threads(*[make_coupon] * 6)

    assert {type(error) for error in errors} <= {StripeCouponAlreadyExists}
    assert len(errors) < 6
    assert len(at_stripe(fake)) == rows().count() == 1


@pytest.mark.parametrize("time", range(3))
def test_threads_that_get_or_create_the_same_coupon_get_one_row(transactional_db, fake, time):
    results = []

    def work():
        results.append(StripeCoupon.objects.get_or_create(coupon_id="SALE10", defaults=TEN_DOLLARS))

    errors = in_threads(*[work] * 8)

    assert errors == []
    assert {coupon.pk for coupon, _ in results} == {rows().get().pk}
    assert sorted(is_new for _, is_new in results) == [False] * 7 + [True]
    assert len(at_stripe(fake)) == 1


@pytest.mark.parametrize("time", range(3))
def test_threads_that_update_or_create_the_same_coupon_have_one_row(transactional_db, fake, time):
    results = []

    def work(number):
        defaults = {**TEN_DOLLARS, "metadata": {f"by {number}": "1"}}
        results.append(StripeCoupon.objects.update_or_create(coupon_id="SALE10", defaults=defaults))

    errors = in_threads(*(partial(work, number) for number in range(8)))

    # Without locks of rows, a thread may find the row changed again and again.
    has_locks = connection.features.has_select_for_update
    assert {type(error) for error in errors} <= (set() if has_locks else {StripeInProgress})
    assert {coupon.pk for coupon, _ in results} == {rows().get().pk}
    assert sum(is_new for _, is_new in results) == 1
    assert len(at_stripe(fake)) == 1
    if has_locks:
        assert rows().get().metadata == at_stripe(fake)[0]["metadata"]


@pytest.mark.parametrize("endpoint", [CREATE, RETRIEVE])
@pytest.mark.parametrize("other_process", [make_coupon, fetch, refresh_coupons])
def test_get_or_create_gets_the_row_that_another_process_stored(db, fake, endpoint, other_process):
    if endpoint == RETRIEVE:  # the coupon is there, but its row is not stored yet
        stripe.Coupon.create(id="SALE10", duration="forever", amount_off=1000, currency="usd")
    when_done(fake, endpoint, other_process)

    coupon, is_new = StripeCoupon.objects.get_or_create(coupon_id="SALE10", defaults=TEN_DOLLARS)

    assert rows().get() == coupon
    assert not is_new
    assert len(at_stripe(fake)) == 1


def test_get_or_create_gets_a_coupon_that_another_process_made_on_other_terms(db, fake):
    before(fake, CREATE, partial(make_coupon, amount_off=20))

    coupon, is_new = StripeCoupon.objects.get_or_create(coupon_id="SALE10", defaults=TEN_DOLLARS)

    assert (coupon, coupon.amount_off, is_new) == (rows().get(), 20, False)


def test_get_or_create_waits_for_the_row_of_a_coupon_that_exists_at_stripe(transactional_db, fake):
    stripe.Coupon.create(id="SALE10", duration="once", percent_off=5)
    threads = []
    when_done(fake, RETRIEVE, lambda: threads.append(InThread(fetch)))

    coupon, is_new = StripeCoupon.objects.get_or_create(coupon_id="SALE10", defaults=TEN_DOLLARS)

    threads[0].join()
    assert (coupon, coupon.percent_off, is_new) == (rows().get(), 5, False)


def test_get_or_create_raises_if_only_stripe_has_a_coupon_on_other_terms(db, fake, monkeypatch):
    monkeypatch.setattr(queryset, "PATIENCE", 0)
    stripe.Coupon.create(id="SALE10", duration="once", percent_off=5)

    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        StripeCoupon.objects.get_or_create(coupon_id="SALE10", defaults=TEN_DOLLARS)

    assert not rows().exists()


def test_get_or_create_sends_no_request_inside_a_transaction(transactional_db, fake):
    """A request takes seconds, during which the database would keep its locks."""
    were_open = []
    fake.before_request.append(lambda _: were_open.append(connection.in_atomic_block))

    StripeCoupon.objects.update_or_create(coupon_id="SALE10", defaults=TEN_DOLLARS)

    assert were_open == [False]


@pytest.mark.parametrize("time", range(3))
def test_a_coupon_that_many_threads_store_at_once_has_one_row(transactional_db, fake, time):
    stripe.Coupon.create(id="SALE10", duration="forever", amount_off=1000, currency="usd")

    errors = in_threads(*[fetch] * 3, *[refresh_coupons] * 3, *[make_coupon] * 2)

    assert {type(error) for error in errors} <= {StripeCouponAlreadyExists}
    assert rows().count() == 1
    assert not rows(is_deleted=True).exists()


def test_threads_that_edit_one_coupon_leave_the_row_and_stripe_equal(transactional_db, fake):
    coupon = make_coupon()

    def edit(number):
        row = row_of(coupon)
        row.metadata = {"by": str(number)}
        row.save()

    errors = in_threads(*(partial(edit, number) for number in range(5)))

    assert errors == []
    if connection.features.has_select_for_update:
        assert row_of(coupon).metadata == at_stripe(fake)[0]["metadata"]


def test_coupons_made_while_others_refresh_are_all_kept(transactional_db, fake):
    def make_some(prefix):
        for number in range(10):
            new_coupon(coupon_id=f"{prefix}{number}").save()

    def refresh_some():
        for _ in range(5):
            assert not refresh_coupons().failed

    errors = in_threads(partial(make_some, "A"), partial(make_some, "B"), refresh_some)

    assert errors == []
    assert rows(is_deleted=False).count() == len(at_stripe(fake)) == rows().count() == 20
