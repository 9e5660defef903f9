"""How Stripe is called, and what its errors mean."""

from __future__ import annotations

from decimal import Decimal

import pytest
import responses
import stripe

from aa_stripe import gateway
from aa_stripe.gateway import Meaning

INTENTS = "https://api.stripe.com/v1/payment_intents"


@pytest.fixture
def stripe_api():
    with responses.RequestsMock() as stripe_api:
        yield stripe_api


def test_each_call_carries_its_own_key_version_and_idempotency_key(settings, stripe_api):
    settings.STRIPE_API_KEY = "sk_test_tenant"
    stripe_api.post(INTENTS, json={"id": "pi_1", "object": "payment_intent"})

    gateway.create_payment_intent({"amount": 500, "currency": "usd"}, idempotency_key="row-1")

    sent = stripe_api.calls[0].request.headers
    assert sent["Authorization"] == "Bearer sk_test_tenant"
    assert sent["Stripe-Version"] == "2026-08-26.dahlia"
    assert sent["Idempotency-Key"] == "row-1"


def test_the_api_version_can_be_overridden(settings, stripe_api):
    settings.STRIPE_API_VERSION = "2027-01-01.test"
    stripe_api.get(f"{INTENTS}/pi_1", json={"id": "pi_1", "object": "payment_intent"})

    gateway.retrieve_payment_intent("pi_1")

    assert stripe_api.calls[0].request.headers["Stripe-Version"] == "2027-01-01.test"


def test_another_address_can_be_called(settings, stripe_api):
    settings.STRIPE_API_BASE = "http://127.0.0.1:12111"
    stripe_api.get(
        "http://127.0.0.1:12111/v1/payment_intents/pi_1",
        json={"id": "pi_1", "object": "payment_intent"},
    )

    assert gateway.retrieve_payment_intent("pi_1").id == "pi_1"


def test_a_call_without_a_key_is_refused_before_it_is_made(settings):
    settings.STRIPE_API_KEY = ""

    with pytest.raises(stripe.AuthenticationError, match="STRIPE_API_KEY"):
        gateway.retrieve_payment_intent("pi_1")


def test_the_sdk_repeats_what_got_no_answer_as_often_as_the_setting_says(settings, stripe_api):
    settings.STRIPE_MAX_NETWORK_RETRIES = 1
    stripe_api.post(INTENTS, status=503, json={"error": {"type": "api_error"}})
    stripe_api.post(INTENTS, json={"id": "pi_1", "object": "payment_intent"})

    gateway.create_payment_intent({"amount": 500, "currency": "usd"}, idempotency_key="row-1")

    keys = {call.request.headers["Idempotency-Key"] for call in stripe_api.calls}
    assert (len(stripe_api.calls), keys) == (2, {"row-1"})


def test_a_replayed_answer_is_not_believed(stripe_api):
    stripe_api.post(
        INTENTS,
        json={"id": "pi_1", "object": "payment_intent", "status": "requires_payment_method"},
        headers={"Idempotent-Replayed": "true"},
    )
    stripe_api.get(
        f"{INTENTS}/pi_1",
        json={"id": "pi_1", "object": "payment_intent", "status": "succeeded"},
    )

    intent = gateway.create_payment_intent(
        {"amount": 500, "currency": "usd"}, idempotency_key="row-1"
    )

    assert intent.status == "succeeded"


def answered(status, **error):
    return {"status": status, "json": {"error": error}}


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (answered(402, type="card_error", code="card_declined"), Meaning.DECLINED),
        (answered(402, type="card_error", code="authentication_required"), Meaning.DECLINED),
        (answered(400, type="invalid_request_error"), Meaning.REFUSED),
        (answered(400, type="invalid_request_error", code="resource_missing"), Meaning.REFUSED),
        (
            answered(400, type="invalid_request_error", code="payment_intent_unexpected_state"),
            Meaning.OUTDATED,
        ),
        (answered(404, type="invalid_request_error", code="resource_missing"), Meaning.OUTDATED),
        (answered(400, type="idempotency_error"), Meaning.OUTDATED),
        (answered(401, type="invalid_request_error"), Meaning.MISCONFIGURED),
        (answered(403, type="invalid_request_error"), Meaning.MISCONFIGURED),
        (answered(409, type="invalid_request_error"), Meaning.UNKNOWN),
        (answered(429, type="invalid_request_error", code="lock_timeout"), Meaning.UNKNOWN),
        (answered(500, type="api_error"), Meaning.UNKNOWN),
        (answered(503, type="api_error"), Meaning.UNKNOWN),
        (answered(418, type="invalid_request_error"), Meaning.UNKNOWN),
        ({"status": 200, "body": "<html>"}, Meaning.UNKNOWN),
        ({"status": 502, "body": "<html>"}, Meaning.UNKNOWN),
        ({"body": ConnectionError("gone")}, Meaning.UNKNOWN),
    ],
)
def test_each_error_of_the_sdk_has_a_meaning(stripe_api, answer, meaning):
    stripe_api.get(f"{INTENTS}/pi_1", **answer)

    with pytest.raises(stripe.StripeError) as raised:
        gateway.retrieve_payment_intent("pi_1")

    assert gateway.meaning_of(raised.value) is meaning


def test_the_code_of_an_error_without_one_is_its_type():
    error = stripe.InvalidRequestError(
        "No.", param=None, json_body={"error": {"type": "invalid_request_error"}}
    )

    assert gateway.error_code(error) == "invalid_request_error"


def test_an_error_without_a_body_has_an_empty_one():
    assert gateway.error_body(stripe.APIConnectionError("gone")) == {}


def test_client_secrets_are_left_out_however_deep():
    value = {"a": [{"client_secret": "cs", "id": "pi_1"}], "client_secret": "cs"}

    assert gateway.without_secrets(value) == {"a": [{"id": "pi_1"}]}


def test_decimals_become_text():
    coupon = stripe.StripeObject.construct_from({"percent_off": Decimal("12.5")}, "sk_test")

    assert gateway.to_json(coupon) == {"percent_off": "12.5"}


@pytest.fixture
def untouched_sdk(monkeypatch):
    monkeypatch.setattr(stripe, "api_key", None)
    monkeypatch.setattr(stripe, "api_base", stripe.DEFAULT_API_BASE)


def test_the_sdks_own_functions_get_our_key_and_address(untouched_sdk, settings):
    settings.STRIPE_API_KEY = "sk_test_ours"
    settings.STRIPE_API_BASE = "http://127.0.0.1:12111"

    gateway.configure_sdk()

    assert (stripe.api_key, stripe.api_base) == ("sk_test_ours", "http://127.0.0.1:12111")


def test_what_a_project_set_up_in_the_sdk_is_left_alone(untouched_sdk, settings, monkeypatch):
    settings.STRIPE_API_KEY = "sk_test_ours"
    settings.STRIPE_API_BASE = "http://127.0.0.1:12111"
    monkeypatch.setattr(stripe, "api_key", "sk_test_theirs")
    monkeypatch.setattr(stripe, "api_base", "https://proxy.example")

    gateway.configure_sdk()

    assert (stripe.api_key, stripe.api_base) == ("sk_test_theirs", "https://proxy.example")
