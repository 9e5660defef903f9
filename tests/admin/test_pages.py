"""Every model can be viewed, and only coupons can be changed."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from aa_stripe.admin.base import money, user_search_fields
from aa_stripe.models import StripeCharge, StripeJobRun, StripeWebhook
from tests.admin.conftest import list_url, row_url
from tests.support.builders import make_charge, make_customer, make_subscription, make_user

MODELS = [
    "stripecustomer",
    "stripecharge",
    "striperefund",
    "stripesubscriptionplan",
    "stripesubscription",
    "stripecoupon",
    "stripewebhook",
    "stripejobrun",
]
READ_ONLY = [model for model in MODELS if model != "stripecoupon"]


@pytest.mark.parametrize("model", MODELS)
def test_the_rows_are_listed(admin_client, rows, model):
    page = admin_client.get(list_url(model))

    assert page.status_code == 200
    assert str(rows[model].pk) in page.content.decode()


@pytest.mark.parametrize("model", MODELS)
def test_a_row_can_be_viewed(admin_client, rows, model):
    page = admin_client.get(row_url(model, rows[model].pk))

    assert page.status_code == 200


@pytest.mark.parametrize("model", READ_ONLY)
def test_a_row_cannot_be_changed(admin_client, rows, model):
    url = row_url(model, rows[model].pk)

    assert b'name="_save"' not in admin_client.get(url).content
    assert admin_client.post(url, {}).status_code == 403


@pytest.mark.parametrize("model", READ_ONLY)
def test_a_row_cannot_be_deleted(admin_client, rows, model):
    assert admin_client.post(row_url(model, rows[model].pk, "delete")).status_code == 403


@pytest.mark.parametrize("model", READ_ONLY)
def test_no_row_can_be_added(admin_client, rows, model):
    url = list_url(model) + "add/"

    assert admin_client.get(url).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_staff_without_a_permission_cannot_view_the_rows(client, rows, model):
    client.force_login(make_user(is_staff=True))

    assert client.get(list_url(model)).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_staff_with_the_view_permission_can_view_the_rows(client, rows, model):
    staff = make_user(is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename=f"view_{model}"))
    client.force_login(staff)

    assert client.get(list_url(model)).status_code == 200
    page = client.get(row_url(model, rows[model].pk))
    assert page.status_code == 200
    assert b'name="_save"' not in page.content


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("stripecustomer", "stripe_customer_id"),
        ("stripecharge", "stripe_charge_id"),
        ("stripecharge", "stripe_payment_intent_id"),
        ("stripecharge", "stripe_refund_id"),
        ("striperefund", "stripe_refund_id"),
        ("stripesubscriptionplan", "stripe_plan_id"),
        ("stripesubscription", "stripe_subscription_id"),
        ("stripecoupon", "coupon_id"),
        ("stripewebhook", "id"),
    ],
)
def test_a_row_is_found_by_stripes_id(admin_client, rows, model, name):
    found = admin_client.get(list_url(model), {"q": getattr(rows[model], name)})
    missed = admin_client.get(list_url(model), {"q": "nothing-of-the-kind"})

    assert list(found.context["cl"].queryset) == [rows[model]]
    assert list(missed.context["cl"].queryset) == []


@pytest.mark.parametrize("model", ["stripecustomer", "stripecharge", "stripesubscription"])
def test_a_row_is_found_by_its_user(admin_client, rows, model):
    page = admin_client.get(list_url(model), {"q": rows[model].user.username})

    assert list(page.context["cl"].queryset) == [rows[model]]


@pytest.mark.parametrize("model", MODELS)
def test_the_number_of_statements_does_not_grow_with_the_rows(admin_client, rows, model, make_more):
    with CaptureQueriesContext(connection) as few:
        admin_client.get(list_url(model))
    make_more[model]()

    with CaptureQueriesContext(connection) as many:
        page = admin_client.get(list_url(model))

    assert page.context["cl"].result_count > 1
    assert len(many) == len(few)


@pytest.fixture
def make_more(rows, fake):
    def more_charges():
        charge = make_charge(make_customer())
        charge.charge()
        charge.refund(100)

    def more_coupons():
        type(rows["stripecoupon"]).objects.create(duration="once", percent_off=5)

    return {
        "stripecustomer": make_customer,
        "stripecharge": more_charges,
        "striperefund": more_charges,
        "stripesubscriptionplan": lambda: make_subscription().create_at_stripe(),
        "stripesubscription": lambda: make_subscription().create_at_stripe(),
        "stripecoupon": more_coupons,
        "stripewebhook": lambda: StripeWebhook.objects.create(id="evt_2", raw_data=[]),
        "stripejobrun": lambda: StripeJobRun.remember("refresh_coupons", ended_well=timezone.now()),
    }


def test_amounts_are_formatted_for_people(admin_client, rows):
    page = admin_client.get(list_url("stripecharge")).content.decode()

    assert "10.00 USD" in page
    assert "4.00 USD" in page


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [(None, "usd", "-"), (1050, "usd", "10.50 USD"), (5, "???", "5 ??? (smallest unit)")],
)
def test_an_amount_is_shown_for_any_value_of_the_row(amount, currency, shown):
    assert money(amount, currency) == shown


def test_no_secret_is_shown(admin_client, rows):
    StripeCharge.objects.update(stripe_response={"payment_intent": {"client_secret": "cs_1"}})

    page = admin_client.get(row_url("stripecharge", rows["stripecharge"].pk))

    assert b"cs_1" not in page.content
    assert b"payment_intent" in page.content


def test_a_customer_without_a_card_is_listed(admin_client, fake, db):
    make_customer(card=None)

    assert admin_client.get(list_url("stripecustomer")).status_code == 200


def test_users_are_searched_by_the_fields_that_they_have():
    assert user_search_fields() == ["user__email", "user__username"]
