from __future__ import annotations

import base64

import pytest
import stripe

from aa_stripe.testing.http.api import Api
from aa_stripe.testing.http.request import Request
from tests.testing.conftest import intent_params


def with_key(fake, key):
    return stripe.StripeClient(key, http_client=fake.http_client).v1


def response_to(fake, authorization, path="/v1/customers", method="GET"):
    api = Api(fake.account)
    return api.handle(Request(method, path, headers={"authorization": authorization}))


@pytest.mark.parametrize("key", ["sk_test_anything", "rk_test_anything"])
def test_any_test_key_is_accepted(fake, key):
    assert with_key(fake, key).customers.list().data == []


@pytest.mark.parametrize("key", ["sk_live_123", "rk_live_123", "pk_live_123"])
def test_a_live_key_is_rejected(fake, key):
    with pytest.raises(stripe.AuthenticationError, match="rejects live API keys"):
        with_key(fake, key).customers.list()


def test_an_invalid_key_is_refused(fake):
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided: whsec_t"):
        with_key(fake, "whsec_test").customers.list()


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Basic !", "Basic gA==", "Digest x"])
def test_the_status_is_401_without_a_key(fake, authorization):
    response = response_to(fake, authorization)

    assert response.status == 401
    assert "You did not provide an API key" in response.json()["error"]["message"]


def test_a_key_can_be_sent_with_basic_authentication(fake):
    encoded = base64.b64encode(b"sk_test_1:").decode()

    assert response_to(fake, f"Basic {encoded}").status == 200


def test_a_401_is_not_kept_under_the_key(fake, api):
    params = {"description": "twice"}
    with pytest.raises(stripe.AuthenticationError):
        with_key(fake, "nonsense").customers.create(params, {"idempotency_key": "k"})

    assert api.customers.create(params, {"idempotency_key": "k"}).description == "twice"


def test_a_publishable_key_may_create_payment_methods(fake):
    method = with_key(fake, "pk_test_1").payment_methods.create(
        {"type": "card", "card": {"token": "tok_visa"}}
    )

    assert method.id.startswith("pm_")


def test_a_publishable_key_may_not_list_customers(fake):
    with pytest.raises(stripe.PermissionError) as caught:
        with_key(fake, "pk_test_1").customers.list()

    assert caught.value.error.code == "secret_key_required"


def test_a_publishable_key_needs_the_client_secret_of_an_intent(fake, api):
    browser = with_key(fake, "pk_test_1")
    intent = api.payment_intents.create(intent_params())
    secret = {"client_secret": intent.client_secret}

    assert browser.payment_intents.retrieve(intent.id, secret).id == intent.id
    with pytest.raises(stripe.InvalidRequestError, match="client_secret provided does not match"):
        browser.payment_intents.retrieve(intent.id, {"client_secret": "guessed"})


def test_a_browser_confirms_with_the_client_secret(fake, api):
    browser = with_key(fake, "pk_test_1")
    intent = api.setup_intents.create(
        {"automatic_payment_methods": intent_params()["automatic_payment_methods"]}
    )

    confirmed = browser.setup_intents.confirm(
        intent.id, {"client_secret": intent.client_secret, "payment_method": "pm_card_visa"}
    )

    assert confirmed.status == "succeeded"
