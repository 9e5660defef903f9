"""``save()`` creates or edits the coupon at Stripe and stores the response."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
import stripe
from django.core.exceptions import FieldError, ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone as django_timezone

from aa_stripe import gateway
from aa_stripe.exceptions import StripeCouponAlreadyExists, StripeMethodNotAllowed
from aa_stripe.models import StripeCoupon
from aa_stripe.money import StripeMoneyError
from tests.support.coupons import (
    CREATE,
    RETRIEVE,
    TEN_DOLLARS,
    UPDATE,
    at_stripe,
    make_coupon,
    make_live,
    new_coupon,
    rows,
)
from tests.support.requests import calls, requests_to
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db


# New coupons


def test_a_new_coupon_is_created_at_stripe_with_one_request(fake):
    coupon = StripeCoupon.objects.create(**TEN_DOLLARS)

    [there] = at_stripe(fake)
    assert (there["id"], there["amount_off"], there["currency"]) == ("SALE10", 1000, "usd")
    assert calls(fake) == [CREATE]
    assert coupon.is_created_at_stripe


def test_a_new_coupon_has_the_values_of_stripe(fake):
    coupon = row_of(make_coupon())

    [there] = at_stripe(fake)
    assert coupon.created == datetime.fromtimestamp(there["created"], tz=timezone.utc)
    assert (coupon.valid, coupon.times_redeemed, coupon.livemode) == (True, 0, False)
    assert (coupon.amount_off, coupon.percent_off) == (Decimal(10), None)
    assert coupon.stripe_response == there
    assert not coupon.is_deleted


def test_all_terms_of_a_coupon_are_sent(fake):
    redeem_by = django_timezone.now().replace(microsecond=0) + timedelta(days=30)

    coupon = make_coupon(
        coupon_id="HALF",
        amount_off=None,
        currency=None,
        percent_off=Decimal("12.5"),
        duration=StripeCoupon.DURATION_REPEATING,
        duration_in_months=3,
        max_redemptions=20,
        redeem_by=redeem_by,
        metadata={"campaign": "spring"},
        name="Spring",
    )

    [there] = at_stripe(fake)
    assert there["percent_off"] == 12.5
    assert (there["duration"], there["duration_in_months"]) == ("repeating", 3)
    assert (there["max_redemptions"], there["redeem_by"]) == (20, redeem_by.timestamp())
    assert (there["metadata"], there["name"]) == ({"campaign": "spring"}, "Spring")
    stored = row_of(coupon)
    assert (stored.percent_off, stored.redeem_by) == (Decimal("12.5"), redeem_by)


def test_stripe_chooses_the_id_when_none_is_given(fake):
    coupon = make_coupon(coupon_id="")

    [there] = at_stripe(fake)
    assert coupon.coupon_id == there["id"] != ""
    assert str(row_of(coupon)) == there["id"]


def test_a_currency_in_capitals_is_stored_in_lower_case(fake):
    assert row_of(make_coupon(currency="USD")).currency == "usd"


def test_a_percentage_needs_no_currency_and_sends_none(fake):
    make_coupon(amount_off=None, percent_off=25)

    assert "currency" not in fake.requests[0].params


@pytest.mark.parametrize("percent", [33.3, "33.3", Decimal("33.3")])
def test_a_percentage_may_be_a_float_or_a_string(fake, percent):
    coupon = make_coupon(amount_off=None, percent_off=percent)

    assert at_stripe(fake)[0]["percent_off"] == 33.3
    assert row_of(coupon).percent_off == Decimal("33.3")


def test_older_rows_with_the_same_id_are_marked_as_deleted(fake):
    old = make_coupon()
    stripe.Coupon.delete("SALE10")
    fake.advance(60)

    new = make_coupon()

    assert row_of(old).is_deleted
    assert list(StripeCoupon.objects.all()) == [new]


def test_older_rows_of_another_id_or_mode_are_kept(fake):
    kept = make_coupon(coupon_id="sale10")
    live = make_coupon()
    make_live(live)
    stripe.Coupon.delete("SALE10")
    fake.advance(60)

    make_coupon()

    assert not row_of(kept).is_deleted
    assert not row_of(live).is_deleted


def test_a_coupon_can_be_made_again_within_a_second(fake):
    coupon = make_coupon()
    coupon.delete()

    again = make_coupon()

    assert not row_of(again).is_deleted
    assert len(at_stripe(fake)) == 1


def test_get_or_create_and_update_or_create_work(fake):
    first, is_new = StripeCoupon.objects.get_or_create(coupon_id="SALE10", defaults=TEN_DOLLARS)
    second, is_newer = StripeCoupon.objects.get_or_create(coupon_id="SALE10", defaults=TEN_DOLLARS)
    third, _ = StripeCoupon.objects.update_or_create(
        coupon_id="SALE10", defaults={"metadata": {"a": "b"}}
    )

    assert (is_new, is_newer) == (True, False)
    assert first == second == third
    assert at_stripe(fake)[0]["metadata"] == row_of(first).metadata == {"a": "b"}


def test_get_or_create_takes_what_django_takes(fake):
    terms = {**TEN_DOLLARS, "name": lambda: "Spring"}

    first, is_new = StripeCoupon.objects.get_or_create(coupon_id__iexact="sale10", defaults=terms)
    second, is_newer = StripeCoupon.objects.filter(currency="usd").get_or_create(
        coupon_id__iexact="sale10", defaults=terms
    )

    assert (first, first.name) == (second, "Spring")
    assert (is_new, is_newer) == (True, False)
    with pytest.raises(FieldError):
        StripeCoupon.objects.get_or_create(coupon_id="OTHER", defaults={"unknown": 1})


def test_update_or_create_has_other_values_for_a_new_coupon(fake):
    options = {"defaults": {"name": "Changed"}, "create_defaults": {**TEN_DOLLARS, "name": "New"}}

    first, is_new = StripeCoupon.objects.update_or_create(coupon_id="SALE10", **options)
    second, is_newer = StripeCoupon.objects.update_or_create(coupon_id="SALE10", **options)

    assert (is_new, is_newer) == (True, False)
    assert (first.name, second.name) == ("New", "Changed")
    assert at_stripe(fake)[0]["name"] == "Changed"


def test_a_new_row_has_the_time_of_its_update(fake):
    before = django_timezone.now()

    coupon = make_coupon()

    assert before <= row_of(coupon).updated <= django_timezone.now()


# Existing coupons


def test_metadata_and_name_are_sent(coupon, fake):
    coupon.metadata, coupon.name = {"campaign": "spring"}, "Spring"

    coupon.save()

    [there] = at_stripe(fake)
    assert (there["metadata"], there["name"]) == ({"campaign": "spring"}, "Spring")
    assert calls(fake) == [RETRIEVE, UPDATE]
    assert row_of(coupon).stripe_response["name"] == "Spring"


def test_removed_metadata_is_removed_at_stripe_too(fake):
    coupon = make_coupon(metadata={"a": "1", "b": "2"})

    coupon.metadata = {"b": 3}
    coupon.save()

    assert at_stripe(fake)[0]["metadata"] == row_of(coupon).metadata == {"b": "3"}


def test_a_name_can_be_removed(fake):
    coupon = row_of(make_coupon(name="Spring"))

    coupon.name = ""
    coupon.save()

    assert at_stripe(fake)[0]["name"] is None
    assert row_of(coupon).name == ""


def test_a_name_that_the_row_lacks_is_kept_at_stripe(fake):
    coupon = make_coupon(name="Spring")
    rows().update(name="")  # as in a row of 0.14

    coupon = row_of(coupon)
    coupon.metadata = {"a": "b"}
    coupon.save()

    assert at_stripe(fake)[0]["name"] == row_of(coupon).name == "Spring"


@pytest.fixture
def edited_in_the_dashboard(fake):
    """A coupon whose metadata and name the Dashboard has changed since it was read."""
    coupon = make_coupon(metadata={"kept": "1", "old": "1"}, name="Ours")
    fake.dashboard_edit_coupon("SALE10", metadata={"theirs": "1", "kept": "2"}, name="Theirs")
    return row_of(coupon)


def metadata_and_name(fake, coupon):
    """Return the two of the row, which are those of Stripe."""
    [there], row = at_stripe(fake), row_of(coupon)
    assert (row.metadata, row.name) == (there["metadata"], there["name"] or "")
    return row.metadata, row.name


def test_saving_without_a_change_keeps_what_the_dashboard_changed(edited_in_the_dashboard, fake):
    fake.requests.clear()

    edited_in_the_dashboard.save()

    assert metadata_and_name(fake, edited_in_the_dashboard) == (
        {"kept": "2", "old": "1", "theirs": "1"},
        "Theirs",
    )
    assert calls(fake) == [RETRIEVE]


@pytest.mark.parametrize("options", [{}, {"update_fields": ["name"]}])
def test_saving_the_name_keeps_the_metadata_of_the_dashboard(
    edited_in_the_dashboard, fake, options
):
    edited_in_the_dashboard.name = "New"

    edited_in_the_dashboard.save(**options)

    assert metadata_and_name(fake, edited_in_the_dashboard) == (
        {"kept": "2", "old": "1", "theirs": "1"},
        "New",
    )


def test_only_the_changed_keys_are_sent(edited_in_the_dashboard, fake):
    edited_in_the_dashboard.metadata["new"] = 1
    edited_in_the_dashboard.metadata["old"] = "3"

    edited_in_the_dashboard.save()

    assert metadata_and_name(fake, edited_in_the_dashboard) == (
        {"kept": "2", "old": "3", "theirs": "1", "new": "1"},
        "Theirs",
    )
    assert requests_to(fake, UPDATE)[-1].params == {"metadata": {"new": "1", "old": "3"}}


@pytest.mark.parametrize("empty", [None, ""])
def test_only_the_removed_keys_are_removed(edited_in_the_dashboard, fake, empty):
    edited_in_the_dashboard.metadata = {"kept": "1", "old": empty}

    edited_in_the_dashboard.save()

    assert metadata_and_name(fake, edited_in_the_dashboard)[0] == {"kept": "2", "theirs": "1"}


def test_all_keys_that_were_read_can_be_removed_at_once(edited_in_the_dashboard, fake):
    edited_in_the_dashboard.metadata.clear()

    edited_in_the_dashboard.save()

    assert metadata_and_name(fake, edited_in_the_dashboard)[0] == {"theirs": "1"}


def test_changes_that_update_fields_leaves_out_are_sent_by_the_next_save(coupon, fake):
    coupon.name, coupon.metadata = "New", {"a": "b"}

    coupon.save(update_fields=["name"])

    assert (at_stripe(fake)[0]["metadata"], row_of(coupon).metadata) == ({}, {})
    coupon.save()
    assert metadata_and_name(fake, coupon) == ({"a": "b"}, "New")


def test_changes_are_found_again_after_each_save(coupon, fake):
    for metadata in ({"a": "1"}, {"a": "1", "b": "2"}, {"b": "2"}, {}):
        coupon.metadata = metadata
        coupon.save()

        assert metadata_and_name(fake, coupon)[0] == metadata


@pytest.mark.django_db(transaction=True)
def test_changes_are_found_again_after_each_save_in_a_transaction(fake):
    with transaction.atomic():
        coupon = make_coupon(metadata={"a": "1"}, name="Ours")
        coupon.metadata, coupon.name = {"b": "2"}, ""
        coupon.save()
        stripe.Coupon.modify("SALE10", metadata={"theirs": "1"})
        coupon.refresh_from_stripe()
        coupon.metadata = {"b": "2"}
        coupon.save()

    assert metadata_and_name(fake, coupon) == ({"b": "2"}, "")


@pytest.mark.django_db(transaction=True)
def test_what_was_sent_in_a_transaction_is_not_sent_again_after_its_rollback(fake):
    coupon = make_coupon()
    coupon.metadata = {"a": "1"}
    with transaction.atomic():
        coupon.save()
        transaction.set_rollback(True)
    fake.dashboard_edit_coupon("SALE10", metadata={"a": "2"})

    coupon.save()

    assert metadata_and_name(fake, coupon)[0] == {"a": "2"}


def test_an_object_that_was_never_read_removes_nothing(edited_in_the_dashboard, fake):
    row = edited_in_the_dashboard
    names = ("pk", "coupon_id", "created", "duration", "is_created_at_stripe", "uuid")

    StripeCoupon(**{name: getattr(row, name) for name in names}, metadata={"a": "b"}).save()

    assert at_stripe(fake)[0]["metadata"] == {"kept": "2", "old": "1", "theirs": "1", "a": "b"}


def test_saving_without_a_change_only_reads(coupon, fake):
    coupon.save()

    assert calls(fake) == [RETRIEVE]


def test_edits_of_other_fields_are_reverted(coupon, fake):
    coupon.amount_off, coupon.duration, coupon.max_redemptions = 3, "once", 7

    coupon.save()

    stored = row_of(coupon)
    for row in (coupon, stored):
        assert (row.amount_off, row.duration, row.max_redemptions) == (10, "forever", None)


def test_changes_at_stripe_are_stored(coupon, fake):
    there = fake.account.find("coupon", "SALE10")
    there.update(times_redeemed=5, max_redemptions=5)

    coupon.save()

    stored = row_of(coupon)
    assert (stored.times_redeemed, stored.valid) == (5, False)


def test_an_expired_coupon_can_still_be_edited(fake):
    coupon = make_coupon(redeem_by=django_timezone.now() + timedelta(days=1))
    there = fake.account.find("coupon", "SALE10")
    there["redeem_by"] -= 3 * 24 * 60 * 60

    coupon.metadata = {"a": "b"}
    coupon.save()
    coupon.save()

    assert row_of(coupon).redeem_by < django_timezone.now()
    assert at_stripe(fake)[0]["metadata"] == {"a": "b"}


def test_saving_some_fields_updates_the_others_from_stripe_too(coupon, fake):
    fake.account.find("coupon", "SALE10")["times_redeemed"] = 5

    coupon.metadata = {"a": "b"}
    coupon.save(update_fields=["metadata"])

    stored = row_of(coupon)
    assert (stored.metadata, stored.times_redeemed) == ({"a": "b"}, 5)


def test_save_sets_updated(coupon):
    rows().update(updated=coupon.updated - timedelta(days=1))
    coupon = row_of(coupon)

    coupon.save()

    assert row_of(coupon).updated > django_timezone.now() - timedelta(hours=1)


def test_a_coupon_unknown_at_stripe_is_marked_as_deleted(coupon, fake):
    stripe.Coupon.delete("SALE10")

    coupon.metadata = {"a": "b"}
    coupon.save()

    assert coupon.is_deleted
    assert row_of(coupon).is_deleted
    assert not StripeCoupon.objects.exists()


def test_a_coupon_deleted_at_stripe_while_it_is_saved_is_marked_as_deleted(coupon, fake):
    def delete(request):
        if request.method == "POST":
            fake.before_request.clear()
            stripe.Coupon.delete("SALE10")

    fake.before_request.append(delete)

    coupon.metadata = {"a": "b"}
    coupon.save()

    assert row_of(coupon).is_deleted


def test_another_coupon_under_the_same_id_is_not_changed(coupon, fake):
    stripe.Coupon.delete("SALE10")
    fake.advance(60)
    stripe.Coupon.create(id="SALE10", percent_off=5, duration="once")

    coupon.metadata = {"a": "b"}
    coupon.save()

    assert row_of(coupon).is_deleted
    assert row_of(coupon).amount_off == 10
    assert at_stripe(fake)[0]["metadata"] == {}


def test_a_coupon_marked_as_deleted_that_stripe_still_has_is_restored(coupon, fake):
    rows().update(is_deleted=True)

    coupon = row_of(coupon)
    coupon.save()

    assert not row_of(coupon).is_deleted


@pytest.mark.django_db(transaction=True)
def test_a_removed_row_is_not_created_again(coupon, fake):
    rows()._raw_delete("default")

    with pytest.raises(StripeCoupon.DoesNotExist):
        coupon.save()

    assert not rows().exists()
    assert fake.requests == []


@pytest.mark.parametrize("metadata", [["a"], "text", {"a": {"b": 1}}, {"a": "\0"}])
def test_invalid_metadata_is_rejected_before_anything_is_sent(coupon, fake, metadata):
    coupon.metadata = metadata

    with pytest.raises(ValidationError) as raised:
        coupon.save()

    assert set(raised.value.message_dict) == {"metadata"}
    assert not fake.requests


def test_a_name_that_is_too_long_is_rejected_before_anything_is_sent(coupon, fake):
    coupon.name = "x" * 41

    with pytest.raises(ValidationError, match="name"):
        coupon.save()

    assert not fake.requests


def test_a_name_that_cannot_be_stored_is_rejected_before_anything_is_sent(coupon, fake):
    coupon.name = "a\0b"

    with pytest.raises(ValidationError, match="name"):
        coupon.save()

    assert not fake.requests


def test_no_metadata_is_empty_metadata(coupon, fake):
    coupon.metadata = None

    coupon.save()

    assert row_of(coupon).metadata == {}


def test_an_edit_that_stripe_refuses_raises(coupon, fake):
    coupon.metadata = {str(number): "x" for number in range(51)}

    with pytest.raises(stripe.InvalidRequestError):
        coupon.save()

    assert not row_of(coupon).is_deleted
    assert row_of(coupon).metadata == {}


# Live and test mode


@pytest.mark.parametrize("act", [StripeCoupon.save, StripeCoupon.delete])
def test_a_live_mode_coupon_cannot_be_changed_with_a_test_key(coupon, fake, act):
    coupon = make_live(coupon)

    with pytest.raises(StripeMethodNotAllowed, match="live mode"):
        act(coupon)

    assert not row_of(coupon).is_deleted
    assert not fake.requests


def test_a_test_mode_coupon_cannot_be_changed_with_a_live_key(coupon, fake, settings):
    settings.STRIPE_API_KEY = "rk_live_key"

    with pytest.raises(StripeMethodNotAllowed, match="test mode"):
        coupon.delete()

    assert not fake.requests


@pytest.mark.parametrize(
    ("key", "is_live"),
    [
        ("sk_test_1", False),
        ("rk_test_live_", False),
        ("", False),
        ("sk_live_1", True),
        ("rk_live_1", True),
        ("sk_org_live_1", True),
    ],
)
def test_the_mode_is_that_of_the_key(settings, key, is_live):
    settings.STRIPE_API_KEY = key

    assert gateway.is_live() is is_live


# Fetching


def test_a_coupon_made_at_stripe_can_be_fetched(fake):
    stripe.Coupon.create(id="FROM_STRIPE", percent_off=12.5, duration="once", name="Theirs")

    coupon = StripeCoupon(coupon_id="FROM_STRIPE")
    fake.requests.clear()
    coupon.save(force_retrieve=True)

    stored = row_of(coupon)
    assert (stored.percent_off, stored.duration, stored.name) == (Decimal("12.5"), "once", "Theirs")
    assert stored.is_created_at_stripe
    assert calls(fake) == [RETRIEVE]


def test_fetching_a_coupon_that_has_a_row_raises(coupon):
    twin = StripeCoupon(coupon_id="SALE10")

    with pytest.raises(StripeCouponAlreadyExists):
        twin.save(force_retrieve=True)

    assert rows().count() == 1
    assert not twin.is_created_at_stripe


def test_fetching_marks_older_rows_of_the_id_as_deleted(coupon, fake):
    stripe.Coupon.delete("SALE10")
    fake.advance(60)
    stripe.Coupon.create(id="SALE10", percent_off=5, duration="once")

    new = StripeCoupon(coupon_id="SALE10")
    new.save(force_retrieve=True)

    assert row_of(coupon).is_deleted
    assert StripeCoupon.objects.get() == new


def test_fetching_a_coupon_wrongly_marked_as_deleted_restores_it(coupon):
    rows().update(is_deleted=True)

    StripeCoupon(coupon_id="SALE10").save(force_retrieve=True)

    assert not row_of(coupon).is_deleted
    assert rows().count() == 1


def test_a_coupon_that_cannot_be_read_can_be_fetched_again(fake):
    stripe.Coupon.create(id="STRANGE", amount_off=500, currency="usd", duration="once")
    fake.account.find("coupon", "STRANGE")["currency"] = "xyz"
    coupon = StripeCoupon(coupon_id="STRANGE")
    with pytest.raises(StripeMoneyError):
        coupon.save(force_retrieve=True)
    fake.account.find("coupon", "STRANGE")["currency"] = "usd"

    coupon.save(force_retrieve=True)

    assert rows().get() == coupon
    assert (coupon.amount_off, coupon.is_created_at_stripe) == (5, True)


def test_fetching_an_unknown_coupon_raises_and_stores_nothing(fake):
    with pytest.raises(stripe.InvalidRequestError, match="No such coupon"):
        StripeCoupon(coupon_id="UNKNOWN").save(force_retrieve=True)

    assert not rows().exists()


def test_fetching_needs_an_id(fake):
    with pytest.raises(ValidationError, match="coupon_id"):
        StripeCoupon().save(force_retrieve=True)

    assert not fake.requests


def test_a_row_that_cannot_be_inserted_for_another_reason_raises(coupon):
    stripe.Coupon.create(id="THEIRS", percent_off=5, duration="once")
    theirs = StripeCoupon(coupon_id="THEIRS", uuid=coupon.uuid)

    with pytest.raises(IntegrityError):
        theirs.save(force_retrieve=True)

    assert not theirs.is_created_at_stripe


def test_force_retrieve_saves_an_existing_row_as_usual(coupon, fake):
    coupon.metadata = {"a": "b"}

    coupon.save(force_retrieve=True)

    assert at_stripe(fake)[0]["metadata"] == {"a": "b"}


# Without Stripe


def test_save_locally_sends_nothing_to_stripe(coupon, fake):
    coupon.metadata = {"a": "b"}

    coupon.save_locally()

    assert row_of(coupon).metadata == {"a": "b"}
    assert not fake.requests


def test_a_new_row_can_be_stored_locally_once(coupon, fake):
    twin = {"is_created_at_stripe": True, "created": coupon.created, **TEN_DOLLARS}

    with pytest.raises(IntegrityError):
        StripeCoupon(**twin).save_locally()

    assert not fake.requests


def test_a_row_that_was_stored_locally_is_created_at_stripe_by_save(fake):
    coupon = new_coupon(created=django_timezone.now())
    coupon.save_locally()

    row_of(coupon).save()

    stored = row_of(coupon)
    assert stored.is_created_at_stripe
    assert stored.created.timestamp() == at_stripe(fake)[0]["created"]
    assert rows().count() == 1


# Stripe's data from another source


def test_stripes_data_is_copied_and_stored(coupon, fake):
    data = dict(at_stripe(fake)[0], times_redeemed=3, valid=False, metadata={"a": "b"})
    fake.requests.clear()

    altered = coupon.update_from_stripe_data(data)

    stored = row_of(coupon)
    assert altered == 1
    assert (stored.times_redeemed, stored.valid, stored.metadata) == (3, False, {"a": "b"})
    assert stored.stripe_response["times_redeemed"] == 3
    assert not fake.requests


def test_an_object_of_the_sdk_is_accepted(coupon, fake):
    stripe.Coupon.modify("SALE10", metadata={"a": "b"})

    assert coupon.update_from_stripe_data(stripe.Coupon.retrieve("SALE10")) == 1

    assert row_of(coupon).metadata == {"a": "b"}


def test_fields_can_be_excluded(coupon, fake):
    data = dict(at_stripe(fake)[0], times_redeemed=3, metadata={"a": "b"})

    coupon.update_from_stripe_data(data, exclude_fields=["metadata"])

    stored = row_of(coupon)
    assert (stored.times_redeemed, stored.metadata) == (3, {})


def test_without_commit_nothing_is_written(coupon, fake):
    data = dict(at_stripe(fake)[0], times_redeemed=3)

    assert coupon.update_from_stripe_data(data, commit=False) is None

    assert coupon.times_redeemed == 3
    assert row_of(coupon).times_redeemed == 0


def test_a_row_marked_as_deleted_is_updated_and_a_removed_one_is_not(coupon, fake):
    [data] = at_stripe(fake)
    rows().update(is_deleted=True)

    assert coupon.update_from_stripe_data(data) == 1
    rows()._raw_delete("default")
    assert coupon.update_from_stripe_data(data) == 0


def test_fields_that_the_data_lacks_are_not_changed(coupon, fake):
    coupon.update_from_stripe_data({"times_redeemed": 2, "valid": True})

    stored = row_of(coupon)
    assert (stored.amount_off, stored.times_redeemed) == (10, 2)


def test_an_amount_in_an_unknown_currency_raises(coupon, fake):
    data = dict(at_stripe(fake)[0], currency="xyz")

    with pytest.raises(StripeMoneyError, match="xyz"):
        coupon.update_from_stripe_data(data)

    assert row_of(coupon).currency == "usd"


def test_a_percentage_is_rounded_to_the_stored_digits(coupon, fake):
    data = dict(at_stripe(fake)[0], amount_off=None, currency=None, percent_off=33.333333)

    coupon.update_from_stripe_data(data)

    assert coupon.percent_off == row_of(coupon).percent_off == Decimal("33.3333")


def test_stripe_fields_are_those_of_0_14_and_the_name():
    assert StripeCoupon.STRIPE_FIELDS - {"name"} == {
        "amount_off",
        "created",
        "currency",
        "duration",
        "duration_in_months",
        "livemode",
        "max_redemptions",
        "metadata",
        "percent_off",
        "redeem_by",
        "times_redeemed",
        "valid",
    }
