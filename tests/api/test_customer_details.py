"""GET, PUT and PATCH aa-stripe/customers/<id>: the payer's customer, and another card for it."""

from __future__ import annotations

import pytest

from aa_stripe.models import StripeCharge, StripeCustomer
from aa_stripe.testing import Fault
from tests.api.requests import (
    NOT_USABLE,
    SETUP_INTENTS,
    TRY_AGAIN,
    begin_confirming,
    confirm,
    of,
    patch_card,
    sent_to,
)
from tests.support.builders import make_customer, make_user
from tests.support.clients import signed_in
from tests.support.replica import lagging_replica

SHOWN = {
    "id",
    "user",
    "stripe_customer_id",
    "is_active",
    "sources",
    "default_source",
    "default_source_data",
}

UNKNOWN_OUTCOMES = [
    Fault.REQUEST_LOST,
    Fault.ANSWER_LOST,
    Fault.RATE_LIMITED,
    Fault.CONFLICT,
    Fault.GARBAGE,
]


@pytest.fixture
def customer(api, payer):
    """The payer's customer, with a Visa card."""
    return make_customer(payer)


def default_brand(fake, customer):
    """Return the brand of the card that Stripe has as the customer's default."""
    at_stripe = fake.account.find("customer", customer.stripe_customer_id)
    method = at_stripe["invoice_settings"]["default_payment_method"]
    return fake.account.find("payment_method", method)["card"]["brand"]


def test_the_payer_sees_the_customer(api, payer, customer):
    response = api.get(of(customer))

    assert response.status_code == 200
    assert response.json().keys() == SHOWN
    assert response.json() == {
        "id": customer.pk,
        "user": payer.pk,
        "stripe_customer_id": customer.stripe_customer_id,
        "is_active": True,
        "sources": customer.sources,
        "default_source": customer.default_source,
        "default_source_data": customer.sources[0],
    }


def test_an_inactive_customer_is_shown_as_such(api, customer):
    StripeCustomer.objects.update(is_active=False)

    assert api.get(of(customer)).json()["is_active"] is False


def test_reading_does_not_call_stripe(api, customer, fake):
    before = len(fake.requests)

    api.get(of(customer))

    assert len(fake.requests) == before


@pytest.mark.parametrize("method", ["put", "patch"])
@pytest.mark.parametrize("card", ["tok_mastercard", "pm_card_mastercard"])
def test_another_card_becomes_the_default(api, customer, fake, method, card):
    data = {"stripe_js_response": {"id": card}}

    response = getattr(api, method)(of(customer), data, format="json")

    assert response.status_code == 200
    assert response.json().keys() == SHOWN
    assert response.json()["default_source_data"]["card"]["brand"] == "mastercard"
    assert len(response.json()["sources"]) == 2
    assert default_brand(fake, customer) == "mastercard"
    customer.refresh_from_db()
    assert customer.stripe_js_response == {"id": card}


def test_the_next_charge_uses_the_new_card(api, payer, customer):
    patch_card(api, customer)

    charge = StripeCharge.objects.create(user=payer, amount=500)
    paid = charge.charge()

    assert paid.payment_method_details.card.brand == "mastercard"


def test_a_card_saved_with_a_setup_intent_becomes_the_default(api, customer, fake):
    intent = api.post(SETUP_INTENTS).json()["id"]
    confirm(fake, intent)

    response = patch_card(api, customer, intent)

    assert response.status_code == 200
    assert response.json()["default_source_data"]["card"]["last4"] == "3155"
    assert len(response.json()["sources"]) == 2


def test_an_unfinished_setup_intent_is_rejected(api, customer):
    intent = api.post(SETUP_INTENTS).json()["id"]
    begin_confirming(intent)

    response = patch_card(api, customer, intent)

    assert response.status_code == 400
    assert response.json() == {"stripe_error": "The card was not saved: it is not confirmed yet."}


def test_client_secrets_are_not_stored(api, customer):
    data = {"stripe_js_response": {"id": "tok_visa", "client_secret": "seti_1_secret_2"}}

    api.patch(of(customer), data, format="json")

    customer.refresh_from_db()
    assert customer.stripe_js_response == {"id": "tok_visa"}


@pytest.mark.parametrize(
    "card", ["tok_chargeDeclined", "tok_unknown", "pm_unknown", "seti_unknown", "nonsense"]
)
def test_a_refused_card_changes_nothing(api, customer, fake, card):
    before = StripeCustomer.objects.values().get()

    response = patch_card(api, customer, card)

    assert response.status_code == 400
    assert response.json().keys() == {"stripe_error"}
    assert response.json()["stripe_error"]
    assert StripeCustomer.objects.values().get() == before
    assert default_brand(fake, customer) == "visa"


def test_a_customer_that_a_replica_does_not_have_yet_gets_a_card(api, customer):
    with lagging_replica():
        response = patch_card(api, customer)

    assert response.status_code == 200


def test_a_card_of_another_customer_is_refused(api, customer):
    other = make_customer(card="tok_mastercard")

    response = patch_card(api, customer, other.default_source)

    assert (response.status_code, response.json()) == (400, NOT_USABLE)


@pytest.mark.parametrize(
    "endpoint",
    [
        "POST /v1/payment_methods",
        "POST /v1/payment_methods/*/attach",
        "POST /v1/customers/*",
        "GET /v1/customers/*",
        "GET /v1/customers/*/payment_methods",
    ],
)
@pytest.mark.parametrize("fault", UNKNOWN_OUTCOMES, ids=lambda fault: fault.name)
def test_a_retry_after_an_unknown_outcome_saves_one_card(api, customer, fake, endpoint, fault):
    token = fake.create_token("5555555555554444")
    fake.fail_next(endpoint, fault)

    failed = patch_card(api, customer, token)
    repeated = patch_card(api, customer, token)

    assert (failed.status_code, failed.json()) == (503, TRY_AGAIN)
    assert repeated.status_code == 200
    assert repeated.json()["default_source_data"]["card"]["brand"] == "mastercard"
    assert len(repeated.json()["sources"]) == 2


def test_a_refused_api_key_gives_a_503_response_without_the_key(api, customer, settings):
    settings.STRIPE_API_KEY = "revoked"

    response = patch_card(api, customer)

    assert (response.status_code, response.json()) == (503, TRY_AGAIN)
    assert "revoked" not in response.content.decode()


@pytest.mark.parametrize("card", ["tok_mastercard", "pm_card_mastercard"])
def test_a_customer_deleted_at_stripe_is_reported_and_becomes_inactive(api, customer, fake, card):
    fake.dashboard_delete_customer(customer.stripe_customer_id)

    response = patch_card(api, customer, card)

    assert response.status_code == 400
    assert response.json() == {"stripe_error": "The customer was deleted at Stripe."}
    assert not api.get(of(customer)).json()["is_active"]


def test_the_same_with_a_card_that_a_setup_intent_has_saved(api, customer, fake):
    intent = api.post(SETUP_INTENTS).json()["id"]
    confirm(fake, intent)
    fake.dashboard_delete_customer(customer.stripe_customer_id)

    response = patch_card(api, customer, intent)

    assert response.status_code == 400
    assert response.json() == {"stripe_error": "The customer was deleted at Stripe."}
    assert not api.get(of(customer)).json()["is_active"]


@pytest.mark.parametrize("method", ["get", "put", "patch"])
def test_a_customer_of_another_user_is_not_found(api, fake, method):
    others = make_customer()
    before = len(fake.requests)

    response = getattr(api, method)(
        of(others), {"stripe_js_response": {"id": "tok_visa"}}, format="json"
    )

    assert response.status_code == 404
    assert len(fake.requests) == before


def test_the_newest_of_two_rows_for_one_customer_is_returned(api, payer, customer):
    newer = StripeCustomer.objects.create(
        user=payer, stripe_customer_id=customer.stripe_customer_id, is_created_at_stripe=True
    )

    assert api.get(of(customer)).json()["id"] == newer.pk


def test_another_users_row_for_the_same_customer_is_ignored(api, customer):
    StripeCustomer.objects.create(
        user=make_user(), stripe_customer_id=customer.stripe_customer_id, is_created_at_stripe=True
    )

    assert api.get(of(customer)).json()["id"] == customer.pk


def test_a_customer_cannot_be_deleted_or_posted_to(api, customer):
    assert api.delete(of(customer)).status_code == 405
    assert api.post(of(customer)).status_code == 405


def test_the_browsable_api_shows_the_customer(api, customer):
    response = api.get(of(customer), HTTP_ACCEPT="text/html")

    assert response.status_code == 200
    assert customer.stripe_customer_id in response.content.decode()


def test_another_card_takes_five_requests(api, customer, fake):
    before = len(fake.requests)

    patch_card(api, customer)

    at = f"/v1/customers/{customer.stripe_customer_id}"
    made, attached, *rest = sent_to(fake)[before:]
    assert made == "POST /v1/payment_methods"
    assert attached.endswith("/attach")
    assert rest == [f"POST {at}", f"GET {at}", f"GET {at}/payment_methods"]


def test_another_user_does_not_find_the_customer(customer):
    assert signed_in(make_user()).get(of(customer)).status_code == 404
