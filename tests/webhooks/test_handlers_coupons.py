"""What becomes of a coupon's row when Stripe tells of the coupon."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal

import pytest
import stripe
from django.db import connection
from django.utils import timezone

from aa_stripe.models import StripeCoupon
from aa_stripe.models.coupon.terms import to_timestamp
from aa_stripe.testing import Fault
from tests.support.coupons import (
    CREATE,
    RETRIEVE,
    at_stripe,
    make_coupon,
    make_live,
    new_coupon,
    rows,
)
from tests.support.requests import calls, when_done
from tests.support.rows import row_of, values_of
from tests.support.threads import InThread
from tests.webhooks.account import (
    NEW,
    NOT_APPLIED,
    OUTAGES,
    REDELIVERED,
    deliver,
    error_of,
    errors,
    events_of,
    newest,
)

CREATED, UPDATED, DELETED = "coupon.created", "coupon.updated", "coupon.deleted"

ALREADY = "already exists"

pytestmark = pytest.mark.django_db


@pytest.fixture
def coupon(fake):
    """Ten dollars off, here and at Stripe."""
    return make_coupon()


def assert_matches_stripe(fake, coupon_id="SALE10"):
    """There is one live row of the id, equal to Stripe's coupon; none if Stripe has none."""
    known, live = at_stripe(fake, coupon_id), rows(coupon_id=coupon_id, is_deleted=False)
    assert [to_timestamp(it.created) for it in live] == [it["created"] for it in known]
    for row, it in zip(live, known, strict=True):
        assert row.is_created_at_stripe
        assert (row.metadata, row.name) == (it["metadata"], it["name"] or "")
        assert (row.duration, row.currency) == (it["duration"], it["currency"])
        assert row.stripe_response["id"] == it["id"]


# Created


def test_a_coupon_made_in_the_dashboard_is_stored(fake):
    fake.dashboard_create_coupon(
        id="EURO5", amount_off=550, currency="eur", duration="once", metadata={"a": "b"}, name="5!"
    )

    statuses = deliver(fake, newest(fake, CREATED))

    row = rows().get()
    assert statuses == [NEW]
    assert calls(fake) == [RETRIEVE]
    assert_matches_stripe(fake, "EURO5")
    assert (row.amount_off, row.currency, row.duration) == (Decimal("5.5"), "eur", "once")
    assert (row.metadata, row.name, row.valid) == ({"a": "b"}, "5!", True)
    assert row.identity is not None


def test_a_stored_coupon_can_be_edited_here(fake):
    fake.dashboard_create_coupon(id="SALE10", percent_off=10, duration="once")
    deliver(fake, newest(fake, CREATED))
    row = StripeCoupon.objects.get()

    row.metadata = {"a": "b"}
    row.save()

    assert at_stripe(fake)[0]["metadata"] == {"a": "b"}


def test_a_coupon_made_here_is_here_already(coupon, fake):
    before = values_of(coupon)

    statuses = deliver(fake, newest(fake, CREATED))

    assert statuses == [NEW]
    assert calls(fake) == [RETRIEVE]
    assert ALREADY in error_of(newest(fake, CREATED))
    assert values_of(coupon) == before
    assert rows().count() == 1


def test_a_coupon_made_here_without_an_id_is_here_already(fake):
    coupon = make_coupon(coupon_id="")

    deliver(fake, newest(fake, CREATED))

    assert ALREADY in error_of(newest(fake, CREATED))
    assert rows().get() == coupon


def test_two_events_of_one_coupon_store_it_once(fake):
    fake.dashboard_create_coupon(id="SALE10", percent_off=10, duration="once")
    told = newest(fake, CREATED)
    second = {**told, "id": "evt_second"}

    statuses = deliver(fake, told, second, told)

    assert statuses == [NEW, NEW, REDELIVERED]
    assert (error_of(told), ALREADY in error_of(second)) == ("", True)
    assert rows().count() == 1


def test_a_coupon_that_is_gone_by_now_is_not_stored(fake):
    fake.dashboard_create_coupon(id="SALE10", percent_off=10, duration="once")
    fake.dashboard_delete_coupon("SALE10")

    statuses = deliver(fake, newest(fake, CREATED))

    assert statuses == [NEW]
    said = "Coupon with this coupon_id does not exists at Stripe API"
    assert error_of(newest(fake, CREATED)) == said
    assert not rows().exists()


def test_a_row_that_is_marked_as_deleted_is_not_in_the_way(coupon, fake):
    rows().update(is_deleted=True)

    deliver(fake, newest(fake, CREATED))

    assert error_of(newest(fake, CREATED)) == ""
    assert rows().get().pk == coupon.pk
    assert_matches_stripe(fake)


def test_a_coupon_of_the_other_mode_is_another_one(coupon, fake):
    make_live(coupon)

    deliver(fake, newest(fake, CREATED))

    assert error_of(newest(fake, CREATED)) == ""
    assert [it.livemode for it in rows()] == [True, False]


# Updated


def test_what_was_edited_in_the_dashboard_is_taken_over(coupon, fake):
    fake.dashboard_edit_coupon("SALE10", metadata={"a": "b"}, name="Sale")

    statuses = deliver(fake, newest(fake, UPDATED))

    row = row_of(coupon)
    assert statuses == [NEW]
    assert calls(fake) == [RETRIEVE]
    assert (row.metadata, row.name) == ({"a": "b"}, "Sale")
    assert_matches_stripe(fake)


def test_how_often_a_coupon_was_redeemed_is_taken_over_as_well(coupon, fake):
    fake.account.get("coupon", "SALE10").update(times_redeemed=3)
    fake.dashboard_edit_coupon("SALE10", name="Sale")

    deliver(fake, newest(fake, UPDATED))

    assert row_of(coupon).times_redeemed == 3


def test_an_older_edit_that_is_told_of_last_is_not_taken_over(coupon, fake):
    fake.dashboard_edit_coupon("SALE10", metadata={"edit": "1"})
    fake.dashboard_edit_coupon("SALE10", metadata={"edit": "2"})
    first, second = events_of(fake, UPDATED)

    deliver(fake, second, first)

    assert row_of(coupon).metadata == {"edit": "2"}


def test_our_own_edit_is_told_of_too(coupon, fake):
    coupon.metadata = {"a": "b"}
    coupon.save()

    deliver(fake, newest(fake, UPDATED))

    assert row_of(coupon).metadata == {"a": "b"}
    assert_matches_stripe(fake)


@pytest.mark.parametrize("type", [UPDATED, DELETED])
def test_a_coupon_of_nobody_here_asks_nothing(fake, type):
    fake.dashboard_create_coupon(id="SALE10", percent_off=10, duration="once")
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    fake.dashboard_delete_coupon("SALE10")

    statuses = deliver(fake, newest(fake, type))

    assert statuses == [NEW]
    assert calls(fake) == []
    assert not rows().exists()


@pytest.mark.parametrize("type", [UPDATED, DELETED])
def test_a_coupon_of_live_mode_is_not_touched_by_an_event_of_test_mode(coupon, fake, type):
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    fake.dashboard_delete_coupon("SALE10")
    make_live(coupon)
    before = values_of(coupon)

    deliver(fake, newest(fake, type))

    assert calls(fake) == []
    assert values_of(coupon) == before


# Deleted


def test_a_coupon_deleted_in_the_dashboard_is_kept_as_deleted(coupon, fake):
    fake.dashboard_delete_coupon("SALE10")

    statuses = deliver(fake, newest(fake, DELETED))

    assert statuses == [NEW]
    assert calls(fake) == [RETRIEVE]
    assert row_of(coupon).is_deleted
    assert_matches_stripe(fake)


def test_a_coupon_deleted_here_is_deleted_already(coupon, fake):
    coupon.delete()
    before = values_of(coupon)

    deliver(fake, newest(fake, DELETED))

    assert calls(fake) == []
    assert values_of(coupon) == before


def test_an_edit_told_of_after_the_deletion_does_not_bring_it_back(coupon, fake):
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    fake.dashboard_delete_coupon("SALE10")

    deliver(fake, newest(fake, DELETED), newest(fake, UPDATED))

    assert row_of(coupon).is_deleted


def test_an_edit_of_a_coupon_that_is_gone_by_now_marks_it_as_deleted(coupon, fake):
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    fake.dashboard_delete_coupon("SALE10")

    deliver(fake, newest(fake, UPDATED))

    assert row_of(coupon).is_deleted


def give_away_again(fake):
    """Delete the coupon, and let another one have its id, a minute later."""
    fake.dashboard_delete_coupon("SALE10")
    fake.advance(60)
    fake.dashboard_create_coupon(id="SALE10", percent_off=25, duration="once")


def test_a_deleted_id_that_was_given_away_again_is_another_row(coupon, fake):
    give_away_again(fake)

    deliver(fake, newest(fake, CREATED))

    old, new = rows()
    assert error_of(newest(fake, CREATED)) == ""
    assert (old.pk, old.is_deleted, old.amount_off) == (coupon.pk, True, 10)
    assert (new.is_deleted, new.percent_off) == (False, 25)


def test_the_deletion_of_the_old_coupon_leaves_the_new_one_alone(coupon, fake):
    give_away_again(fake)
    deliver(fake, newest(fake, CREATED))

    deliver(fake, newest(fake, DELETED))

    assert calls(fake) == []
    assert_matches_stripe(fake)
    assert row_of(coupon).is_deleted


def test_the_deletion_is_believed_though_the_id_was_given_away_again(coupon, fake):
    give_away_again(fake)

    deliver(fake, newest(fake, DELETED))

    assert calls(fake) == [RETRIEVE]
    assert row_of(coupon).is_deleted
    assert row_of(coupon).amount_off == 10


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_story_of_an_id_may_be_told_in_any_order(fake, order):
    fake.dashboard_create_coupon(id="SALE10", amount_off=1000, currency="usd", duration="once")
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    give_away_again(fake)
    told = events_of(fake, CREATED, UPDATED, DELETED)

    statuses = deliver(fake, *(told[place] for place in order))

    assert statuses == [NEW] * 4
    assert_matches_stripe(fake)
    assert rows(is_deleted=False).get().percent_off == 25


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_story_of_our_own_coupon_may_be_told_in_any_order(fake, order):
    coupon = make_coupon()
    fake.dashboard_edit_coupon("SALE10", metadata={"a": "b"})
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    give_away_again(fake)
    [_, *told] = events_of(fake, CREATED, UPDATED, DELETED)

    statuses = deliver(fake, *(told[place] for place in order))

    assert statuses == [NEW] * 4
    assert errors(fake) == {}
    assert_matches_stripe(fake)
    assert row_of(coupon).is_deleted


# Against our own save()


def test_our_save_adopts_what_the_webhook_has_stored(fake):
    when_done(fake, CREATE, lambda: deliver(fake, newest(fake, CREATED)))

    coupon = make_coupon(metadata={"a": "b"})

    row = rows().get()
    assert error_of(newest(fake, CREATED)) == ""
    assert (coupon.pk, coupon.uuid, coupon.identity) == (row.pk, row.uuid, row.identity)
    assert_matches_stripe(fake)


def test_our_save_without_an_id_adopts_it_too(fake):
    when_done(fake, CREATE, lambda: deliver(fake, newest(fake, CREATED)))

    coupon = make_coupon(coupon_id="")

    assert rows().get().pk == coupon.pk
    assert_matches_stripe(fake, coupon.coupon_id)


def test_a_coupon_whose_answer_was_lost_is_stored_and_then_adopted(fake):
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    coupon = new_coupon()
    with pytest.raises(stripe.APIConnectionError):
        coupon.save()
    deliver(fake, newest(fake, CREATED))

    coupon.save()

    assert len(at_stripe(fake)) == 1
    assert rows().get().pk == coupon.pk
    assert_matches_stripe(fake)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time.")
def test_however_often_and_at_once_it_is_told_there_is_one_row(transactional_db, fake):
    fake.dashboard_create_coupon(id="SALE10", percent_off=10, duration="once")
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    created, updated = newest(fake, CREATED), newest(fake, UPDATED)
    told = [{**created, "id": f"evt_{number}"} for number in range(4)] + [updated]

    deliveries = [InThread(lambda it=it: deliver(fake, it)) for it in told]
    statuses = [it.join() for it in deliveries]

    assert statuses == [[NEW]] * 5
    assert sorted(error_of(it) == "" for it in told) == [False, False, False, True, True]
    assert rows().count() == 1
    assert_matches_stripe(fake)


# Stripe, when it is asked


@pytest.mark.parametrize("fault", OUTAGES, ids=lambda fault: fault.name)
@pytest.mark.parametrize("type", [CREATED, UPDATED, DELETED])
def test_while_stripe_is_down_nothing_changes(fake, type, fault):
    if type != CREATED:
        make_coupon()
        fake.dashboard_edit_coupon("SALE10", name="Sale")
        fake.dashboard_delete_coupon("SALE10")
    else:
        fake.dashboard_create_coupon(id="SALE10", percent_off=10, duration="once")
    told, before = newest(fake, type), list(rows().values())
    fake.fail_next(RETRIEVE, fault)

    statuses = deliver(fake, told)

    assert statuses == [NOT_APPLIED]
    assert list(rows().values()) == before
    assert deliver(fake, told) == [REDELIVERED]
    assert error_of(told) == ""
    assert_matches_stripe(fake)


# The method by itself


def test_refreshing_takes_over_what_stripe_says(coupon, fake):
    fake.dashboard_edit_coupon("SALE10", metadata={"a": "b"})

    coupon.refresh_from_stripe()

    assert coupon.metadata == {"a": "b"}
    assert row_of(coupon).metadata == {"a": "b"}


def test_refreshing_a_coupon_that_is_gone_marks_it_as_deleted(coupon, fake):
    fake.dashboard_delete_coupon("SALE10")

    coupon.refresh_from_stripe()

    assert coupon.is_deleted
    assert row_of(coupon).is_deleted


def test_refreshing_marks_each_row_that_0_14_has_of_a_deleted_coupon(coupon, fake):
    twin = new_coupon(created=coupon.created, is_created_at_stripe=True)
    twin.identity = "another"
    twin.save_locally()
    fake.dashboard_delete_coupon("SALE10")

    coupon.refresh_from_stripe()

    assert rows(is_deleted=False).count() == 0


def test_refreshing_does_not_take_another_coupon_of_the_id_for_it(coupon, fake):
    give_away_again(fake)

    coupon.refresh_from_stripe()

    assert coupon.is_deleted
    assert (coupon.amount_off, coupon.percent_off) == (10, None)


def test_a_refresh_without_an_answer_leaves_the_row_as_it_is(coupon, fake):
    before = values_of(coupon)
    fake.fail_next(RETRIEVE, Fault.REQUEST_LOST)

    with pytest.raises(stripe.APIConnectionError):
        coupon.refresh_from_stripe()

    assert values_of(coupon) == before


def test_a_refresh_is_a_change_of_the_row(coupon, fake):
    moment = timezone.now() - timedelta(days=1)
    rows().update(updated=moment)

    coupon.refresh_from_stripe()

    assert row_of(coupon).updated > moment


def test_a_coupon_in_a_currency_that_cannot_be_counted_is_not_tried_again(db, fake):
    made = fake.dashboard_create_coupon(id="ODD", amount_off=100, currency="usd", duration="once")
    fake.account.get("coupon", made["id"])["currency"] = "zzz"

    statuses = deliver(fake, newest(fake, CREATED))

    assert statuses == [NEW]
    assert not StripeCoupon.objects.exists()
    assert "zzz" in errors(fake)[CREATED].lower()
