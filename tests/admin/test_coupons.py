"""Coupons in the admin."""

from __future__ import annotations

import pytest

from aa_stripe.models import StripeCoupon
from aa_stripe.testing import Fault
from tests.admin.conftest import list_url, row_url


@pytest.fixture
def form_input():
    """The form input that creates a coupon."""
    return {
        "coupon_id": "SALE10",
        "name": "Sale",
        "percent_off": "12.5",
        "duration": "once",
        "metadata": "{}",
    }


def add(client, form_input):
    return client.post(list_url("stripecoupon") + "add/", form_input)


def errors_of(page):
    return page.context["adminform"].form.non_field_errors()


def test_a_coupon_is_created_at_stripe(admin_client, fake, form_input):
    assert add(admin_client, form_input).status_code == 302

    coupon = StripeCoupon.objects.get()
    assert coupon.is_created_at_stripe
    assert fake.account.get("coupon", "SALE10")["percent_off"] == 12.5


@pytest.mark.parametrize("coupon_id", ["A sale", "a/sale", "Rabatt für Ärzte"])
def test_any_id_can_be_created_opened_and_deleted(admin_client, fake, form_input, coupon_id):
    add(admin_client, {**form_input, "coupon_id": coupon_id})
    coupon = StripeCoupon.objects.get(coupon_id=coupon_id)

    assert admin_client.get(row_url("stripecoupon", coupon.pk)).status_code == 200
    admin_client.post(row_url("stripecoupon", coupon.pk, "delete"), {"post": "yes"})

    assert StripeCoupon.objects.deleted().get().coupon_id == coupon_id
    assert fake.account.all("coupon") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"percent_off": ""},
        {"amount_off": "5", "currency": "usd"},
        {"percent_off": "101"},
        {"percent_off": "", "amount_off": "5"},
        {"duration": "repeating"},
        {"duration_in_months": "3"},
        {"coupon_id": "x" * 256},
        {"redeem_by_0": "2001-01-01", "redeem_by_1": "00:00:00"},
    ],
)
def test_the_form_rejects_input_that_stripe_would_refuse(admin_client, fake, form_input, wrong):
    page = add(admin_client, {**form_input, **wrong})

    assert page.status_code == 200
    assert page.context["adminform"].form.errors
    assert not StripeCoupon.objects.all_with_deleted().exists()
    assert fake.requests == []


@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.RATE_LIMITED, Fault.ERROR_500_BEFORE])
def test_a_failure_at_stripe_is_shown_in_the_form(admin_client, fake, form_input, fault):
    fake.fail_next("POST /v1/coupons", fault, times=2)

    page = add(admin_client, form_input)

    assert page.status_code == 200
    assert errors_of(page)
    assert page.context["adminform"].form["name"].value() == "Sale"
    assert not StripeCoupon.objects.all_with_deleted().exists()


def test_a_failed_creation_can_be_retried(admin_client, fake, form_input):
    fake.fail_next("POST /v1/coupons", Fault.ANSWER_LOST)
    assert errors_of(add(admin_client, form_input))

    assert add(admin_client, form_input).status_code == 302

    assert len(fake.account.all("coupon")) == 1
    assert StripeCoupon.objects.get().coupon_id == "SALE10"


@pytest.fixture
def coupon(db, fake):
    return StripeCoupon.objects.create(coupon_id="SALE10", duration="once", percent_off=10)


def test_only_the_name_and_the_metadata_can_be_changed(admin_client, fake, coupon):
    admin_client.post(
        row_url("stripecoupon", coupon.pk),
        {"name": "New", "metadata": '{"a": "b"}', "percent_off": "50", "duration": "once"},
    )

    at_stripe = fake.account.get("coupon", "SALE10")
    assert (at_stripe["name"], at_stripe["metadata"]) == ("New", {"a": "b"})
    assert StripeCoupon.objects.get().percent_off == 10


def test_a_deleted_coupon_is_listed_and_read_only(admin_client, coupon):
    coupon.delete()

    assert b"SALE10" in admin_client.get(list_url("stripecoupon")).content
    page = admin_client.get(row_url("stripecoupon", coupon.pk))
    assert b'name="_save"' not in page.content
    assert admin_client.post(row_url("stripecoupon", coupon.pk, "delete")).status_code == 403


def test_several_coupons_can_be_deleted_together(admin_client, fake, coupon):
    StripeCoupon.objects.create(coupon_id="B", duration="once", percent_off=10)

    delete_selected(admin_client)

    assert fake.account.all("coupon") == []
    assert StripeCoupon.objects.deleted().count() == 2


def delete_selected(client):
    keys = list(StripeCoupon.objects.values_list("pk", flat=True))
    chosen = {"action": "delete_selected", "_selected_action": keys, "post": "yes"}
    return client.post(list_url("stripecoupon"), chosen, follow=True)


@pytest.mark.parametrize("action", ["one", "several"])
def test_a_failed_deletion_is_reported_and_the_coupon_is_kept(admin_client, fake, coupon, action):
    fake.fail_next("*", Fault.ERROR_500_BEFORE, times=None)

    if action == "one":
        url = row_url("stripecoupon", coupon.pk, "delete")
        page = admin_client.post(url, {"post": "yes"}, follow=True)
    else:
        page = delete_selected(admin_client)

    assert [message.level_tag for message in page.context["messages"]] == ["error"]
    assert StripeCoupon.objects.get() == coupon
