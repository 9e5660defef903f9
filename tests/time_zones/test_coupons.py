"""Coupons, with and without ``USE_TZ``, in each time zone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from aa_stripe.models import StripeCoupon
from tests.admin.conftest import list_url, row_url
from tests.jobs.conftest import run  # noqa: F401 (a fixture)
from tests.support.clients import signed_in
from tests.support.coupons import at_stripe, make_coupon, rows
from tests.support.rows import row_of
from tests.time_zones.conftest import stored_time
from tests.webhooks.account import NEW, deliver, errors, events_of

pytestmark = pytest.mark.django_db

YEAR = 365 * 24 * 3600


def created_at(fake):
    return stored_time(at_stripe(fake)[0]["created"])


def test_a_new_coupon_has_the_times_of_stripe(fake, moment):
    redeem_by = stored_time(moment + YEAR)

    coupon = make_coupon(redeem_by=redeem_by)

    row = row_of(coupon)
    assert row.created == coupon.created == created_at(fake)
    assert row.redeem_by == redeem_by
    assert stored_time(at_stripe(fake)[0]["redeem_by"]) == redeem_by


def test_a_date_in_the_past_is_refused(fake):
    with pytest.raises(ValidationError):
        make_coupon(redeem_by=stored_time(fake.now - 60))
    make_coupon(redeem_by=stored_time(fake.now + 3600))


def test_a_coupon_of_the_dashboard_is_fetched_edited_and_deleted(fake, moment):
    fake.dashboard_create_coupon(id="A", duration="once", percent_off=5, redeem_by=moment + YEAR)
    coupon = StripeCoupon(coupon_id="A")
    coupon.save(force_retrieve=True)
    coupon = row_of(coupon)

    coupon.metadata = {"key": "value"}
    coupon.save()

    assert not row_of(coupon).is_deleted
    assert at_stripe(fake)[0]["metadata"] == {"key": "value"}
    assert (row_of(coupon).created, row_of(coupon).redeem_by) == (
        created_at(fake),
        stored_time(moment + YEAR),
    )
    coupon.delete()
    assert at_stripe(fake) == []
    assert row_of(coupon).is_deleted


def test_each_event_of_a_coupon_is_applied(fake, moment):
    fake.dashboard_create_coupon(id="A", duration="once", percent_off=5, redeem_by=moment + YEAR)
    fake.dashboard_edit_coupon("A", metadata={"key": "value"})
    expected = created_at(fake)
    statuses = deliver(fake, *events_of(fake))

    row = rows().get()
    assert (set(statuses), errors(fake)) == ({NEW}, {})
    assert (row.created, row.redeem_by) == (expected, stored_time(moment + YEAR))
    assert row.metadata == {"key": "value"}

    fake.dashboard_delete_coupon("A")
    deliver(fake, events_of(fake)[-1])
    assert rows().get().is_deleted


def test_refresh_coupons_finds_the_row_of_each_coupon(fake, run, moment):  # noqa: F811
    fake.dashboard_create_coupon(id="A", duration="once", percent_off=5, redeem_by=moment + YEAR)

    outputs = [run("refresh_coupons").stdout for _ in range(2)]

    assert outputs == ["created: 1\n", "unchanged: 1\n"]
    assert rows().get().created == created_at(fake)
    fake.dashboard_delete_coupon("A")
    run("refresh_coupons")
    assert rows().get().is_deleted


def test_a_coupon_made_again_with_the_id_is_another_one(fake, run):  # noqa: F811
    for _ in range(2):
        fake.dashboard_create_coupon(id="A", duration="once", percent_off=5)
        run("refresh_coupons")
        fake.dashboard_delete_coupon("A")
        fake.advance(60)

    assert rows().count() == 2
    assert rows().last().created - rows().first().created >= timedelta(seconds=60)


def test_the_endpoint_shows_the_stored_time(fake, admin_user, use_tz):
    coupon = make_coupon(redeem_by=stored_time(fake.now + YEAR))

    data = signed_in(admin_user).get(f"/aa-stripe/coupons/{coupon.coupon_id}").json()

    shown = coupon.redeem_by if not use_tz else coupon.redeem_by.astimezone()
    assert data["redeem_by"].removesuffix("Z").startswith(shown.isoformat()[:16])


def test_a_coupon_is_saved_in_the_admin_with_its_local_date(fake, admin_client):
    redeem_by = stored_time(fake.now + YEAR).replace(microsecond=0)
    local = redeem_by.astimezone().replace(tzinfo=None) if redeem_by.tzinfo else redeem_by

    response = admin_client.post(
        f"{list_url('stripecoupon')}add/",
        {
            "coupon_id": "A",
            "duration": "once",
            "percent_off": "5",
            "metadata": "{}",
            "redeem_by_0": local.date().isoformat(),
            "redeem_by_1": local.time().isoformat(),
        },
    )

    assert response.status_code == 302
    assert rows().get().redeem_by == redeem_by
    page = admin_client.get(row_url("stripecoupon", rows().get().pk))
    assert page.status_code == 200
