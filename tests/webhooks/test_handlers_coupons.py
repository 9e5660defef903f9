"""Events about a coupon."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal

import pytest
import stripe
from django.db import connection
from django.utils import timezone

from aa_stripe.models import StripeCoupon
from aa_stripe.testing import Fault
from aa_stripe.utils import to_timestamp
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

ALREADY_EXISTS = "already exists"

pytestmark = pytest.mark.django_db


@pytest.fixture
def coupon(fake):
    """A coupon of ten dollars off, in the database and at Stripe."""
    return make_coupon()


def assert_matches_stripe(fake, coupon_id="SALE10"):
    """Check that the only undeleted row with the id matches Stripe's coupon.

    There must be no such row if Stripe has no such coupon.
    """
    known, undeleted = at_stripe(fake, coupon_id), rows(coupon_id=coupon_id, is_deleted=False)
    assert [to_timestamp(it.created) for it in undeleted] == [it["created"] for it in known]
    for row, it in zip(undeleted, known, strict=True):
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


def test_a_stored_coupon_can_be_edited(fake):
    fake.dashboard_create_coupon(id="SALE10", percent_off=10, duration="once")
    deliver(fake, newest(fake, CREATED))
    row = StripeCoupon.objects.get()

    row.metadata = {"a": "b"}
    row.save()

    assert at_stripe(fake)[0]["metadata"] == {"a": "b"}


def test_the_event_of_a_coupon_made_here_stores_nothing(coupon, fake):
    before = values_of(coupon)

    statuses = deliver(fake, newest(fake, CREATED))

    assert statuses == [NEW]
    assert calls(fake) == [RETRIEVE]
    assert ALREADY_EXISTS in error_of(newest(fake, CREATED))
    assert values_of(coupon) == before
    assert rows().count() == 1


def test_the_event_of_a_coupon_made_here_without_an_id_stores_nothing(fake):
    coupon = make_coupon(coupon_id="")

    deliver(fake, newest(fake, CREATED))

    assert ALREADY_EXISTS in error_of(newest(fake, CREATED))
    assert rows().get() == coupon


def test_two_events_of_one_coupon_store_it_once(fake):
    fake.dashboard_create_coupon(id="SALE10", percent_off=10, duration="once")
    event = newest(fake, CREATED)
    second = {**event, "id": "evt_second"}

    statuses = deliver(fake, event, second, event)

    assert statuses == [NEW, NEW, REDELIVERED]
    assert (error_of(event), ALREADY_EXISTS in error_of(second)) == ("", True)
    assert rows().count() == 1


def test_a_coupon_that_was_deleted_meanwhile_is_not_stored(fake):
    fake.dashboard_create_coupon(id="SALE10", percent_off=10, duration="once")
    fake.dashboard_delete_coupon("SALE10")

    statuses = deliver(fake, newest(fake, CREATED))

    assert statuses == [NEW]
    message = "Coupon with this coupon_id does not exists at Stripe API"
    assert error_of(newest(fake, CREATED)) == message
    assert not rows().exists()


def test_a_coupon_is_stored_although_its_row_is_marked_as_deleted(coupon, fake):
    rows().update(is_deleted=True)

    deliver(fake, newest(fake, CREATED))

    assert error_of(newest(fake, CREATED)) == ""
    assert rows().get().pk == coupon.pk
    assert_matches_stripe(fake)


def test_a_coupon_of_live_mode_is_another_coupon(coupon, fake):
    make_live(coupon)

    deliver(fake, newest(fake, CREATED))

    assert error_of(newest(fake, CREATED)) == ""
    assert [it.livemode for it in rows()] == [True, False]


# Updated


def test_an_edit_in_the_dashboard_updates_the_row(coupon, fake):
    fake.dashboard_edit_coupon("SALE10", metadata={"a": "b"}, name="Sale")

    statuses = deliver(fake, newest(fake, UPDATED))

    row = row_of(coupon)
    assert statuses == [NEW]
    assert calls(fake) == [RETRIEVE]
    assert (row.metadata, row.name) == ({"a": "b"}, "Sale")
    assert_matches_stripe(fake)


def test_the_number_of_redemptions_is_updated(coupon, fake):
    fake.account.get("coupon", "SALE10").update(times_redeemed=3)
    fake.dashboard_edit_coupon("SALE10", name="Sale")

    deliver(fake, newest(fake, UPDATED))

    assert row_of(coupon).times_redeemed == 3


def test_an_older_edit_that_is_delivered_last_is_not_recorded(coupon, fake):
    fake.dashboard_edit_coupon("SALE10", metadata={"edit": "1"})
    fake.dashboard_edit_coupon("SALE10", metadata={"edit": "2"})
    first, second = events_of(fake, UPDATED)

    deliver(fake, second, first)

    assert row_of(coupon).metadata == {"edit": "2"}


def test_the_event_of_our_own_edit_changes_nothing(coupon, fake):
    coupon.metadata = {"a": "b"}
    coupon.save()

    deliver(fake, newest(fake, UPDATED))

    assert row_of(coupon).metadata == {"a": "b"}
    assert_matches_stripe(fake)


@pytest.mark.parametrize("type", [UPDATED, DELETED])
def test_events_of_an_unknown_coupon_make_no_request(fake, type):
    fake.dashboard_create_coupon(id="SALE10", percent_off=10, duration="once")
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    fake.dashboard_delete_coupon("SALE10")

    statuses = deliver(fake, newest(fake, type))

    assert statuses == [NEW]
    assert calls(fake) == []
    assert not rows().exists()


@pytest.mark.parametrize("type", [UPDATED, DELETED])
def test_an_event_of_test_mode_does_not_change_a_coupon_of_live_mode(coupon, fake, type):
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    fake.dashboard_delete_coupon("SALE10")
    make_live(coupon)
    before = values_of(coupon)

    deliver(fake, newest(fake, type))

    assert calls(fake) == []
    assert values_of(coupon) == before


# Deleted


def test_a_coupon_deleted_in_the_dashboard_is_marked_as_deleted(coupon, fake):
    fake.dashboard_delete_coupon("SALE10")

    statuses = deliver(fake, newest(fake, DELETED))

    assert statuses == [NEW]
    assert calls(fake) == [RETRIEVE]
    assert row_of(coupon).is_deleted
    assert_matches_stripe(fake)


def test_the_event_of_a_coupon_deleted_here_changes_nothing(coupon, fake):
    coupon.delete()
    before = values_of(coupon)

    deliver(fake, newest(fake, DELETED))

    assert calls(fake) == []
    assert values_of(coupon) == before


def test_an_edit_delivered_after_the_deletion_does_not_restore_the_coupon(coupon, fake):
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    fake.dashboard_delete_coupon("SALE10")

    deliver(fake, newest(fake, DELETED), newest(fake, UPDATED))

    assert row_of(coupon).is_deleted


def test_an_edit_of_a_coupon_that_was_deleted_meanwhile_marks_it_as_deleted(coupon, fake):
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    fake.dashboard_delete_coupon("SALE10")

    deliver(fake, newest(fake, UPDATED))

    assert row_of(coupon).is_deleted


def reuse_id(fake):
    """Delete the coupon; a minute later, create another one with its id."""
    fake.dashboard_delete_coupon("SALE10")
    fake.advance(60)
    fake.dashboard_create_coupon(id="SALE10", percent_off=25, duration="once")


def test_a_new_coupon_with_a_deleted_id_is_another_row(coupon, fake):
    reuse_id(fake)

    deliver(fake, newest(fake, CREATED))

    old, new = rows()
    assert error_of(newest(fake, CREATED)) == ""
    assert (old.pk, old.is_deleted, old.amount_off) == (coupon.pk, True, 10)
    assert (new.is_deleted, new.percent_off) == (False, 25)


def test_the_deletion_of_the_old_coupon_does_not_change_the_new_one(coupon, fake):
    reuse_id(fake)
    deliver(fake, newest(fake, CREATED))

    deliver(fake, newest(fake, DELETED))

    assert calls(fake) == []
    assert_matches_stripe(fake)
    assert row_of(coupon).is_deleted


def test_a_deleted_coupon_is_marked_although_its_id_was_reused(coupon, fake):
    reuse_id(fake)

    deliver(fake, newest(fake, DELETED))

    assert calls(fake) == [RETRIEVE]
    assert row_of(coupon).is_deleted
    assert row_of(coupon).amount_off == 10


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_events_of_an_id_may_arrive_in_any_order(fake, order):
    fake.dashboard_create_coupon(id="SALE10", amount_off=1000, currency="usd", duration="once")
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    reuse_id(fake)
    events = events_of(fake, CREATED, UPDATED, DELETED)

    statuses = deliver(fake, *(events[index] for index in order))

    assert statuses == [NEW] * 4
    assert_matches_stripe(fake)
    assert rows(is_deleted=False).get().percent_off == 25


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_events_of_our_own_coupon_may_arrive_in_any_order(fake, order):
    coupon = make_coupon()
    fake.dashboard_edit_coupon("SALE10", metadata={"a": "b"})
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    reuse_id(fake)
    [_, *events] = events_of(fake, CREATED, UPDATED, DELETED)

    statuses = deliver(fake, *(events[index] for index in order))

    assert statuses == [NEW] * 4
    assert errors(fake) == {}
    assert_matches_stripe(fake)
    assert row_of(coupon).is_deleted


# Saving at the same time


def test_save_adopts_the_row_that_the_webhook_stored(fake):
    when_done(fake, CREATE, lambda: deliver(fake, newest(fake, CREATED)))

    coupon = make_coupon(metadata={"a": "b"})

    row = rows().get()
    assert error_of(newest(fake, CREATED)) == ""
    assert (coupon.pk, coupon.uuid, coupon.identity) == (row.pk, row.uuid, row.identity)
    assert_matches_stripe(fake)


def test_save_without_an_id_adopts_the_row_that_the_webhook_stored(fake):
    when_done(fake, CREATE, lambda: deliver(fake, newest(fake, CREATED)))

    coupon = make_coupon(coupon_id="")

    assert rows().get().pk == coupon.pk
    assert_matches_stripe(fake, coupon.coupon_id)


def test_a_second_save_after_a_lost_response_adopts_the_row_of_the_webhook(fake):
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
def test_simultaneous_events_of_one_coupon_store_one_row(transactional_db, fake):
    fake.dashboard_create_coupon(id="SALE10", percent_off=10, duration="once")
    fake.dashboard_edit_coupon("SALE10", name="Sale")
    created, updated = newest(fake, CREATED), newest(fake, UPDATED)
    events = [{**created, "id": f"evt_{number}"} for number in range(4)] + [updated]

    deliveries = [InThread(lambda it=it: deliver(fake, it)) for it in events]
    statuses = [it.join() for it in deliveries]

    assert statuses == [[NEW]] * 5
    assert sorted(error_of(it) == "" for it in events) == [False, False, False, True, True]
    assert rows().count() == 1
    assert_matches_stripe(fake)


# Outages of Stripe


@pytest.mark.parametrize("fault", OUTAGES, ids=lambda fault: fault.name)
@pytest.mark.parametrize("type", [CREATED, UPDATED, DELETED])
def test_a_coupon_is_not_changed_during_an_outage(fake, type, fault):
    if type != CREATED:
        make_coupon()
        fake.dashboard_edit_coupon("SALE10", name="Sale")
        fake.dashboard_delete_coupon("SALE10")
    else:
        fake.dashboard_create_coupon(id="SALE10", percent_off=10, duration="once")
    event, before = newest(fake, type), list(rows().values())
    fake.fail_next(RETRIEVE, fault)

    statuses = deliver(fake, event)

    assert statuses == [NOT_APPLIED]
    assert list(rows().values()) == before
    assert deliver(fake, event) == [REDELIVERED]
    assert error_of(event) == ""
    assert_matches_stripe(fake)


# The method refresh_from_stripe()


def test_refreshing_updates_the_row_from_stripe(coupon, fake):
    fake.dashboard_edit_coupon("SALE10", metadata={"a": "b"})

    coupon.refresh_from_stripe()

    assert coupon.metadata == {"a": "b"}
    assert row_of(coupon).metadata == {"a": "b"}


def test_refreshing_a_deleted_coupon_marks_it_as_deleted(coupon, fake):
    fake.dashboard_delete_coupon("SALE10")

    coupon.refresh_from_stripe()

    assert coupon.is_deleted
    assert row_of(coupon).is_deleted


def test_refreshing_a_deleted_coupon_marks_its_duplicate_rows_of_version_0_14(coupon, fake):
    duplicate = new_coupon(created=coupon.created, is_created_at_stripe=True)
    duplicate.identity = "another"
    duplicate.save_locally()
    fake.dashboard_delete_coupon("SALE10")

    coupon.refresh_from_stripe()

    assert rows(is_deleted=False).count() == 0


def test_refreshing_ignores_a_new_coupon_with_the_same_id(coupon, fake):
    reuse_id(fake)

    coupon.refresh_from_stripe()

    assert coupon.is_deleted
    assert (coupon.amount_off, coupon.percent_off) == (10, None)


def test_a_refresh_without_a_response_does_not_change_the_row(coupon, fake):
    before = values_of(coupon)
    fake.fail_next(RETRIEVE, Fault.REQUEST_LOST)

    with pytest.raises(stripe.APIConnectionError):
        coupon.refresh_from_stripe()

    assert values_of(coupon) == before


def test_a_refresh_sets_the_time_of_the_last_update(coupon, fake):
    moment = timezone.now() - timedelta(days=1)
    rows().update(updated=moment)

    coupon.refresh_from_stripe()

    assert row_of(coupon).updated > moment


def test_a_coupon_in_an_unknown_currency_is_not_redelivered(db, fake):
    made = fake.dashboard_create_coupon(id="ODD", amount_off=100, currency="usd", duration="once")
    fake.account.get("coupon", made["id"])["currency"] = "zzz"

    statuses = deliver(fake, newest(fake, CREATED))

    assert statuses == [NEW]
    assert not StripeCoupon.objects.exists()
    assert "zzz" in errors(fake)[CREATED].lower()
