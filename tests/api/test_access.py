"""Authentication, payers and throttling of the endpoints."""

from __future__ import annotations

from base64 import b64encode

import pytest
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.urls import resolve, reverse
from rest_framework.test import APIClient
from rest_framework.throttling import ScopedRateThrottle

from aa_stripe import api as views
from aa_stripe.models import StripeCustomer
from tests.api.requests import CUSTOMERS, SETUP_INTENTS, charge_url, of, post_card
from tests.support.builders import make_charge, make_customer, make_user

UUID = "0c5ac6a0-5ef5-4c9d-8e9c-0c7ec1a1a2b3"

ENDPOINTS = [
    ("post", CUSTOMERS),
    ("get", f"{CUSTOMERS}/cus_1"),
    ("put", f"{CUSTOMERS}/cus_1"),
    ("patch", f"{CUSTOMERS}/cus_1"),
    ("post", SETUP_INTENTS),
    ("get", f"/aa-stripe/charges/{UUID}"),
]

VIEWS = [
    views.CustomersAPI,
    views.CustomerDetailsAPI,
    views.SetupIntentsAPI,
    views.ChargeDetailsAPI,
]


@pytest.mark.parametrize(
    ("name", "kwargs", "path", "view"),
    [
        ("stripe-customers", {}, CUSTOMERS, views.CustomersAPI),
        (
            "stripe-customer-details",
            {"stripe_customer_id": "cus_1"},
            f"{CUSTOMERS}/cus_1",
            views.CustomerDetailsAPI,
        ),
        ("stripe-setup-intents", {}, SETUP_INTENTS, views.SetupIntentsAPI),
        (
            "stripe-charge-details",
            {"uuid": UUID},
            f"/aa-stripe/charges/{UUID}",
            views.ChargeDetailsAPI,
        ),
    ],
)
def test_each_endpoint_has_a_name_and_a_path(name, kwargs, path, view):
    assert reverse(name, kwargs=kwargs) == path
    assert resolve(path).func.cls is view


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_an_anonymous_request_is_rejected(db, fake, method, path):
    response = getattr(APIClient(), method)(path, {}, format="json")

    # 403, not 401: the first authentication class uses sessions and sends no challenge.
    assert response.status_code == 403
    assert response.json() == {"detail": "Authentication credentials were not provided."}
    assert not fake.requests


def test_a_wrong_password_is_rejected(db):
    credentials = b64encode(b"guest:guessed").decode()

    response = APIClient().post(CUSTOMERS, HTTP_AUTHORIZATION=f"Basic {credentials}")

    assert response.status_code in (401, 403)


def test_a_session_needs_its_csrf_token(payer, fake):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(payer)

    response = post_card(client)

    assert response.status_code == 403
    assert not StripeCustomer.objects.exists()


def test_a_signed_in_session_is_enough(payer, fake):
    client = APIClient()
    client.force_login(payer)

    assert post_card(client).status_code == 201


def test_the_project_can_choose_the_payer(api, settings):
    settings.STRIPE_PAYER_FROM_REQUEST = "tests.api.payers.office"
    office = make_user()
    office.username = "office"
    office.save()

    posted = post_card(api)
    customer = StripeCustomer.objects.get()
    charge = make_charge(customer)

    assert posted.status_code == 201
    assert customer.user == office
    assert api.get(of(customer)).status_code == 200
    assert api.get(charge_url(charge)).status_code == 200
    assert api.post(SETUP_INTENTS).json()["stripe_customer_id"] == customer.stripe_customer_id


def test_the_users_own_customer_is_not_found_if_another_user_pays(api, payer, settings):
    own = make_customer(payer)
    settings.STRIPE_PAYER_FROM_REQUEST = "tests.api.payers.office"
    office = make_user()
    office.username = "office"
    office.save()

    assert api.get(of(own)).status_code == 404


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_a_request_without_a_payer_is_rejected(api, fake, settings, method, path):
    settings.STRIPE_PAYER_FROM_REQUEST = "tests.api.payers.no_payer"

    card = {"stripe_js_response": {"id": "tok_visa"}}
    response = getattr(api, method)(path, card, format="json")

    assert response.status_code == 403
    assert response.json() == {"detail": "There is no payer for this request."}
    assert not fake.requests


def test_a_payer_of_the_wrong_type_raises(api, settings):
    settings.STRIPE_PAYER_FROM_REQUEST = "tests.api.payers.name_only"

    with pytest.raises(ImproperlyConfigured, match=r"is a str, not a auth\.User"):
        post_card(api)


@pytest.mark.parametrize("view", VIEWS)
def test_each_endpoint_is_throttled_by_its_scope(view):
    assert view.throttle_scope == "stripe"


def test_more_requests_than_the_rate_allows_are_rejected(api, fake, monkeypatch):
    cache.clear()
    monkeypatch.setattr(views.StripeAPI, "throttle_classes", [ScopedRateThrottle])
    monkeypatch.setattr(ScopedRateThrottle, "THROTTLE_RATES", {"stripe": "2/hour"})

    statuses = [api.post(SETUP_INTENTS).status_code for _ in range(3)]

    assert statuses == [201, 201, 429]
    assert len(fake.requests) == 2


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_no_response_is_cached(api, method, path):
    response = getattr(api, method)(path, {}, format="json")

    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize(
    "path", [CUSTOMERS, f"{CUSTOMERS}/cus_1", SETUP_INTENTS, f"/aa-stripe/charges/{UUID}"]
)
def test_each_endpoint_supports_the_options_method(api, path):
    assert api.options(path).status_code == 200
