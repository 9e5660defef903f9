"""Calls to Stripe, and the meaning of its errors."""

from __future__ import annotations

import re
import time
from decimal import Decimal

import pytest
import requests
import responses
import stripe

from aa_stripe import gateway
from aa_stripe.gateway import Meaning
from aa_stripe.testing import signed

INTENTS = "https://api.stripe.com/v1/payment_intents"
EVENTS = "https://api.stripe.com/v1/events"


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


def test_the_address_of_the_api_can_be_overridden(settings, stripe_api):
    settings.STRIPE_API_BASE = "http://127.0.0.1:12111"
    stripe_api.get(
        "http://127.0.0.1:12111/v1/payment_intents/pi_1",
        json={"id": "pi_1", "object": "payment_intent"},
    )

    assert gateway.retrieve_payment_intent("pi_1").id == "pi_1"


def test_a_call_without_a_key_is_rejected_before_it_is_sent(settings):
    settings.STRIPE_API_KEY = ""

    with pytest.raises(stripe.AuthenticationError, match="STRIPE_API_KEY"):
        gateway.retrieve_payment_intent("pi_1")


def test_the_sdk_retries_as_often_as_the_setting_allows(settings, stripe_api):
    settings.STRIPE_MAX_NETWORK_RETRIES = 1
    stripe_api.post(INTENTS, status=503, json={"error": {"type": "api_error"}})
    stripe_api.post(INTENTS, json={"id": "pi_1", "object": "payment_intent"})

    gateway.create_payment_intent({"amount": 500, "currency": "usd"}, idempotency_key="row-1")

    keys = {call.request.headers["Idempotency-Key"] for call in stripe_api.calls}
    assert (len(stripe_api.calls), keys) == (2, {"row-1"})


def test_an_object_is_retrieved_again_after_a_replayed_response(stripe_api):
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


def failed(status, **error):
    return {"status": status, "json": {"error": error}}


@pytest.mark.parametrize(
    ("response", "meaning"),
    [
        (failed(402, type="card_error", code="card_declined"), Meaning.DECLINED),
        (failed(402, type="card_error", code="authentication_required"), Meaning.DECLINED),
        (failed(400, type="invalid_request_error"), Meaning.REFUSED),
        (failed(400, type="invalid_request_error", code="resource_missing"), Meaning.REFUSED),
        (
            failed(400, type="invalid_request_error", code="payment_intent_unexpected_state"),
            Meaning.OUTDATED,
        ),
        (failed(404, type="invalid_request_error", code="resource_missing"), Meaning.OUTDATED),
        (failed(400, type="idempotency_error"), Meaning.OUTDATED),
        (failed(401, type="invalid_request_error"), Meaning.MISCONFIGURED),
        (failed(403, type="invalid_request_error"), Meaning.MISCONFIGURED),
        (failed(409, type="invalid_request_error"), Meaning.UNKNOWN),
        (failed(429, type="invalid_request_error", code="lock_timeout"), Meaning.UNKNOWN),
        (failed(500, type="api_error"), Meaning.UNKNOWN),
        (failed(503, type="api_error"), Meaning.UNKNOWN),
        (failed(418, type="invalid_request_error"), Meaning.UNKNOWN),
        ({"status": 200, "body": "<html>"}, Meaning.UNKNOWN),
        ({"status": 502, "body": "<html>"}, Meaning.UNKNOWN),
        ({"body": ConnectionError("gone")}, Meaning.UNKNOWN),
    ],
)
def test_each_error_of_the_sdk_has_a_meaning(stripe_api, response, meaning):
    stripe_api.get(f"{INTENTS}/pi_1", **response)

    with pytest.raises(stripe.StripeError) as raised:
        gateway.retrieve_payment_intent("pi_1")

    assert gateway.meaning_of(raised.value) is meaning


# Repeated requests


@pytest.fixture
def repeated(settings, stripe_api, monkeypatch):
    """``repeated(method, act, first, second)``: the error of ``act()``, which is sent twice."""
    settings.STRIPE_MAX_NETWORK_RETRIES = 1
    monkeypatch.setattr(stripe.HTTPClient, "_sleep_time_seconds", lambda *args, **kwargs: 0)

    def repeated(method, act, first, second):
        for response in (first, second):
            stripe_api.add(method, ADDRESSES[method], **response)
        with pytest.raises(stripe.StripeError) as raised:
            act()
        return raised.value

    return repeated


LOST = {"body": requests.Timeout("no response")}
ADDRESSES = {"POST": f"{INTENTS}/pi_1/cancel", "GET": f"{EVENTS}/evt_1"}


def cancel():
    return gateway.cancel_payment_intent("pi_1")


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize("first", [LOST, failed(500), failed(503)], ids=["lost", "500", "503"])
def test_a_refusal_of_the_second_copy_of_a_request_proves_nothing(repeated, first, status):
    error = repeated("POST", cancel, first, failed(status))

    assert gateway.meaning_of(error) is Meaning.UNKNOWN


def test_a_refusal_after_a_response_that_proves_that_nothing_happened_is_one(repeated):
    error = repeated("POST", cancel, failed(409), failed(400))

    assert gateway.meaning_of(error) is Meaning.REFUSED


def test_a_refusal_that_stripe_repeats_for_the_key_is_one(repeated):
    replayed = {**failed(400), "headers": {"Idempotent-Replayed": "true"}}

    error = repeated("POST", cancel, LOST, replayed)

    assert gateway.meaning_of(error) is Meaning.REFUSED


def test_a_declined_card_is_declined_in_any_copy(repeated):
    error = repeated("POST", cancel, LOST, failed(402, type="card_error", code="card_declined"))

    assert gateway.meaning_of(error) is Meaning.DECLINED


def test_a_read_that_is_repeated_means_what_stripe_responds(repeated):
    error = repeated("GET", lambda: gateway.retrieve_event("evt_1"), LOST, failed(404))

    assert gateway.meaning_of(error) is Meaning.OUTDATED


# The parts of an error


def test_the_code_of_an_error_without_one_is_its_type():
    error = stripe.InvalidRequestError(
        "No.", param=None, json_body={"error": {"type": "invalid_request_error"}}
    )

    assert gateway.error_code(error) == "invalid_request_error"


def test_the_body_of_an_error_without_one_is_empty():
    assert gateway.error_body(stripe.APIConnectionError("gone")) == {}


def test_an_error_code_that_a_database_rejects_is_escaped():
    error = stripe.CardError("declined", None, "a\0b")

    assert gateway.error_code(error) == "a\\u0000b"


def test_client_secrets_are_removed_at_every_level():
    value = {"a": [{"client_secret": "cs", "id": "pi_1"}], "client_secret": "cs"}

    assert gateway.without_secrets(value) == {"a": [{"id": "pi_1"}]}


def test_decimals_are_converted_to_text():
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


def test_the_projects_own_settings_of_the_sdk_are_kept(untouched_sdk, settings, monkeypatch):
    settings.STRIPE_API_KEY = "sk_test_ours"
    settings.STRIPE_API_BASE = "http://127.0.0.1:12111"
    monkeypatch.setattr(stripe, "api_key", "sk_test_theirs")
    monkeypatch.setattr(stripe, "api_base", "https://proxy.example")

    gateway.configure_sdk()

    assert (stripe.api_key, stripe.api_base) == ("sk_test_theirs", "https://proxy.example")


# Events


def respond_with_events(stripe_api, *ids, has_more=False):
    events = [{"id": id, "object": "event", "type": "payout.paid"} for id in ids]
    listing = {"object": "list", "url": "/v1/events", "data": events, "has_more": has_more}
    stripe_api.get(EVENTS, json=listing)


def test_the_events_of_a_period_are_requested_in_pages(stripe_api):
    respond_with_events(stripe_api, "evt_2", "evt_1")

    events = list(gateway.events(1_800_000_000, 1_800_003_600))

    assert [event["id"] for event in events] == ["evt_2", "evt_1"]
    assert stripe_api.calls[0].request.params == {
        "created[gte]": "1800000000",
        "created[lte]": "1800003600",
        "limit": "100",
    }


def test_the_types_of_events_are_sent_to_stripe(stripe_api):
    respond_with_events(stripe_api)

    assert list(gateway.events(1, 2, ("payout.paid", "coupon.*"))) == []

    assert stripe_api.calls[0].request.params == {
        "created[gte]": "1",
        "created[lte]": "2",
        "limit": "100",
        "types[0]": "payout.paid",
        "types[1]": "coupon.*",
    }


def test_the_next_page_of_events_is_requested_after_the_last_one(stripe_api):
    respond_with_events(stripe_api, "evt_3", "evt_2", has_more=True)
    respond_with_events(stripe_api, "evt_1")

    events = list(gateway.events(1, 2, ["payout.paid"]))

    assert [event["id"] for event in events] == ["evt_3", "evt_2", "evt_1"]
    first, second = (call.request.params for call in stripe_api.calls)
    assert second == {**first, "starting_after": "evt_2"}


def test_a_page_of_events_is_requested_only_when_it_is_needed(stripe_api):
    respond_with_events(stripe_api, "evt_2", has_more=True)

    assert next(gateway.events(1, 2))["id"] == "evt_2"

    assert len(stripe_api.calls) == 1


LISTING = '{"object": "list", "has_more": false, "data": %s}'


@pytest.mark.parametrize(
    "body",
    [
        *["", "<html>", b"\xff", "[" * 100_000, "NaN"],
        *["[]", "7", "null", "{}", '{"data": []}', '{"object": "list", "data": []}'],
        '{"object": "customer", "has_more": false, "data": []}',
        *[LISTING % data for data in ("null", "{}", "[1]", "[{}]", '[{"id": ""}]', '[{"id": 7}]')],
    ],
)
def test_a_response_that_is_no_page_is_an_error_of_the_api(stripe_api, body):
    stripe_api.get(EVENTS, body=body)

    with pytest.raises(stripe.APIError, match="not a page of a list"):
        list(gateway.events(1, 2))


def test_an_empty_page_ends_a_listing_whatever_it_says(stripe_api):
    respond_with_events(stripe_api, has_more=True)

    assert list(gateway.events(1, 2)) == []

    assert len(stripe_api.calls) == 1


def test_the_objects_of_a_listing_are_as_the_response_has_them(stripe_api):
    respond_with_events(stripe_api, "evt_1")

    [event] = gateway.events(1, 2)

    assert event == {"id": "evt_1", "object": "event", "type": "payout.paid"}


def test_a_listing_that_is_refused_raises_the_errors_of_the_sdk(stripe_api):
    stripe_api.get(EVENTS, status=403, json={"error": {"message": "Not allowed."}})

    with pytest.raises(stripe.PermissionError, match="Not allowed"):
        list(gateway.events(1, 2))


def test_an_event_is_retrieved_by_its_id(stripe_api):
    event = {"id": "evt_1", "object": "event", "type": "payout.paid", "data": {"object": {}}}
    stripe_api.get(f"{EVENTS}/evt_1", json=event)

    assert gateway.to_json(gateway.retrieve_event("evt_1")) == event


def test_an_event_that_stripe_no_longer_keeps_is_a_404(stripe_api):
    stripe_api.get(
        f"{EVENTS}/evt_1", **failed(404, type="invalid_request_error", code="resource_missing")
    )

    with pytest.raises(stripe.InvalidRequestError) as raised:
        gateway.retrieve_event("evt_1")

    assert raised.value.http_status == 404


# Signatures

BODY = '{"id": "evt_1", "text": "ü"}'


def signature(secret="whsec_1", body=BODY, age=0):
    return signed(body, secret, int(time.time()) - age)["Stripe-Signature"]


def problem(body, header, secrets):
    """Return why the signature is not accepted, ``None`` if it is."""
    try:
        gateway.check_signature(body, header, secrets)
    except gateway.SignatureProblem as error:
        return str(error)
    return None


def is_signed(body, header, secrets):
    return problem(body, header, secrets) is None


@pytest.mark.parametrize(
    ("secret", "secrets"),
    [
        ("whsec_1", ["whsec_1"]),
        ("whsec_1", ("whsec_0", "whsec_1")),
        (["whsec_0", "whsec_1"], ["whsec_1"]),
        (["whsec_1", "whsec_2"], ["whsec_0", "whsec_1"]),
        ("schlüssel", ["schlüssel"]),
        ("whsec_1", ["", "  ", "whsec_1"]),
    ],
)
def test_a_signature_with_one_of_the_secrets_is_accepted(secret, secrets):
    assert is_signed(BODY, signature(secret), secrets)


def test_the_signature_of_another_body_is_rejected():
    assert not is_signed(BODY + " ", signature(), ["whsec_1"])


@pytest.mark.parametrize("secret", ["whsec_2", "whsec_", "WHSEC_1", "whsec_1 ", ""])
def test_a_signature_with_another_secret_is_rejected(secret):
    assert not is_signed(BODY, signature(secret), ["whsec_1"])


@pytest.mark.parametrize("secrets", [[], (), [""], ["", " "], ["\t\n"]])
@pytest.mark.parametrize("secret", ["", " ", "\t\n"])
def test_a_signature_with_an_empty_secret_is_rejected(secret, secrets):
    assert not is_signed(BODY, signature(secret), secrets)


@pytest.mark.parametrize(("age", "is_fresh"), [(0, True), (290, True), (301, False), (-60, True)])
def test_a_signature_is_valid_for_five_minutes(age, is_fresh):
    assert is_signed(BODY, signature(age=age), ["whsec_1"]) is is_fresh


@pytest.mark.parametrize(
    "header",
    ["", " ", ",", "=", "t", "v1", "t,v1", "t=1", "v1=0", "t=,v1=", "t=a,v1=0", "ü", "t=1,v1=é"],
)
def test_an_invalid_header_is_rejected(header):
    assert not is_signed(BODY, header, ["whsec_1"])


@pytest.mark.parametrize(
    ("made", "beginning"),
    [
        ({"secret": "whsec_2"}, "The signature is wrong: "),
        ({"body": BODY + " "}, "The signature is wrong: "),
        ({"secret": "whsec_2", "age": 3700}, "The signature is wrong: "),
        ({"age": 3700}, "The signature is too old: "),
    ],
)
def test_the_problem_of_a_signature_is_named(made, beginning):
    assert problem(BODY, signature(**made), ["whsec_0", "whsec_1"]).startswith(beginning)


def test_a_missing_signature_is_named():
    assert problem(BODY, "", ["whsec_1"]).startswith("The signature is missing: ")


def test_the_problem_of_an_old_signature_names_the_difference_of_the_clocks(monkeypatch):
    header = signature(age=0)
    start = int(time.time())
    monkeypatch.setattr("time.time", lambda: start + 3700)

    text = problem(BODY, header, ["whsec_1"])

    assert re.search(r"it was made 370[01] seconds ago, and at most 300 are allowed", text)


def test_a_header_with_other_characters_than_ascii_is_rejected():
    assert not is_signed(BODY, signature() + ",v1=é", ["whsec_1"])
