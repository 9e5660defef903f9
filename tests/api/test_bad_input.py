"""Invalid input gets a clear response, never a 500, and is not partly stored."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from aa_stripe.models import StripeCustomer
from aa_stripe.testing import signed
from tests.api.requests import CUSTOMERS, SETUP_INTENTS, customers_at, of
from tests.support.builders import make_customer

NOT_STRIPE_JS = {"stripe_js_response": ["This field must contain JSON data from Stripe JS."]}
REQUIRED = {"stripe_js_response": ["This field is required."]}
UNSTORABLE = {
    "stripe_js_response": ["This field contains characters or numbers that cannot be stored."]
}
TOO_DEEP = {"stripe_js_response": ["This field is nested too deeply."]}
TOO_LONG = {"stripe_js_response": ["This field is too long."]}

#: Values posted as ``stripe_js_response``, and the errors of the response.
FIELDS = {
    "null": ("null", {"stripe_js_response": ["This field may not be null."]}),
    "text": ('"tok_visa"', NOT_STRIPE_JS),
    "JSON within text": (json.dumps('{"id": "tok_visa"}'), NOT_STRIPE_JS),
    "list": ('[{"id": "tok_visa"}]', NOT_STRIPE_JS),
    "number": ("5", NOT_STRIPE_JS),
    "empty": ("{}", NOT_STRIPE_JS),
    "no id": ('{"token": "tok_visa"}', NOT_STRIPE_JS),
    "error of Stripe.js": ('{"error": {"code": "incorrect_cvc"}}', NOT_STRIPE_JS),
    "id is null": ('{"id": null}', NOT_STRIPE_JS),
    "id is a number": ('{"id": 5}', NOT_STRIPE_JS),
    "id is a boolean": ('{"id": true}', NOT_STRIPE_JS),
    "id is empty": ('{"id": ""}', NOT_STRIPE_JS),
    "id is an object": ('{"id": {"a": 1}}', NOT_STRIPE_JS),
    "id is a list": ('{"id": ["tok_visa"]}', NOT_STRIPE_JS),
    "id is too long": (json.dumps({"id": "tok_" + "x" * 252}), NOT_STRIPE_JS),
    "id with NUL": (r'{"id": "tok_\u0000"}', NOT_STRIPE_JS),
    "id with half a surrogate pair": (r'{"id": "tok_\ud800"}', NOT_STRIPE_JS),
    "id with a line break": (r'{"id": "tok_visa\r\nX-Evil: 1"}', NOT_STRIPE_JS),
    "id is not ASCII": ('{"id": "tok_ü"}', NOT_STRIPE_JS),
    "id is a card's number": ('{"id": "4242424242424242"}', NOT_STRIPE_JS),
    "NUL": (r'{"id": "tok_visa", "name": "a\u0000b"}', UNSTORABLE),
    "NUL in a key": (r'{"id": "tok_visa", "a\u0000b": 1}', UNSTORABLE),
    "half a surrogate pair": (r'{"id": "tok_visa", "name": ["\ud800"]}', UNSTORABLE),
    "infinite": ('{"id": "tok_visa", "n": 1e400}', None),
    "integer beyond floats": ('{"id": "tok_visa", "n": 1' + "0" * 400 + "}", UNSTORABLE),
    "21 levels": ('{"id": "tok_visa", "n": ' + "[" * 20 + "]" * 20 + "}", TOO_DEEP),
    "500 levels": ('{"id": "tok_visa", "n": ' + "[" * 500 + "]" * 500 + "}", TOO_DEEP),
    "long": (json.dumps({"id": "tok_visa", "n": "x" * 70_000}), TOO_LONG),
}

#: Whole bodies, and the errors of the response; ``None`` where the message is DRF's own.
BODIES = {
    "nothing": (b"", REQUIRED),
    "no JSON": (b"stripe", None),
    "half of it": (b'{"stripe_js_response": {"id": "tok_vi', None),
    "not UTF-8": (b'{"stripe_js_response": {"id": "tok_\xff"}}', None),
    "NaN": (b'{"stripe_js_response": {"id": "tok_visa", "n": NaN}}', None),
    "integer of 5000 digits": (b'{"stripe_js_response": ' + b"1" * 5000 + b"}", None),
    "too deep": (b"[" * 100_000 + b"]" * 100_000, None),
    "too deep inside": (
        b'{"stripe_js_response": ' + b'{"id": ' * 100_000 + b"1" + b"}" * 100_001,
        None,
    ),
    "null": (b"null", {"non_field_errors": ["No data provided"]}),
    "list": (b"[]", {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
    "text": (b'"a"', {"non_field_errors": ["Invalid data. Expected a dictionary, but got str."]}),
    "number": (b"1", {"non_field_errors": ["Invalid data. Expected a dictionary, but got int."]}),
    "other field": (b'{"stripe_js_responses": {"id": "tok_visa"}}', REQUIRED),
}


@pytest.fixture(params=["post", "patch", "put"])
def send(request, api, payer):
    """A function that sends a body to create or change a customer, and returns the response."""
    if request.param == "post":
        return lambda body, **kwargs: raw(api.post, CUSTOMERS, body, **kwargs)
    url = of(make_customer(payer))
    return lambda body, **kwargs: raw(getattr(api, request.param), url, body, **kwargs)


@pytest.fixture
def unchanged(fake):
    """A function that takes a snapshot; at the end nothing may differ, here or at Stripe."""
    before = None

    def remember():
        nonlocal before
        before = snapshot(fake)

    yield remember
    assert snapshot(fake) == before


def snapshot(fake):
    return (
        list(StripeCustomer.objects.order_by("pk").values()),
        customers_at(fake),
        fake.account.all("payment_method"),
    )


def raw(method, url, body, content_type="application/json"):
    return method(url, data=body, content_type=content_type)


@pytest.mark.parametrize(("field", "errors"), FIELDS.values(), ids=FIELDS)
def test_a_field_that_is_not_a_response_of_stripe_js_is_rejected(send, unchanged, field, errors):
    unchanged()

    response = send(f'{{"stripe_js_response": {field}}}'.encode())

    assert response.status_code == 400
    assert errors is None or response.json() == errors


@pytest.mark.parametrize(("body", "errors"), BODIES.values(), ids=BODIES)
def test_an_invalid_body_is_rejected(send, unchanged, body, errors):
    unchanged()

    response = send(body)

    assert response.status_code == 400
    assert response.json()
    assert errors is None or response.json() == errors


@pytest.mark.parametrize(
    "charset", ["utf-16", "rot13", "hex", "zlib", "idna", "nonsense", "undefined", "utf-8-sig"]
)
def test_an_unusual_charset_is_rejected(send, unchanged, charset):
    unchanged()

    response = send(
        b'{"stripe_js_response": 1}', content_type=f"application/json; charset={charset}"
    )

    assert response.status_code == 400


def test_a_body_of_another_type_is_rejected(send, unchanged):
    unchanged()

    assert send(b"<id>tok_visa</id>", content_type="application/xml").status_code == 415


def test_a_form_may_contain_the_json_as_text(api):
    posted = json.dumps({"id": "tok_visa"})

    response = api.post(CUSTOMERS, {"stripe_js_response": posted}, format="multipart")

    assert response.status_code == 201
    assert response.json()["stripe_js_response"] == {"id": "tok_visa"}


@pytest.mark.parametrize(
    "posted",
    ["tok_visa", "[" * 100_000, '{"id": "tok_visa", "n": 1e400}', '{"id": 5}', ""],
    ids=["no JSON", "too deep", "infinite", "no id", "empty"],
)
def test_a_form_that_contains_anything_else_is_rejected(api, unchanged, posted):
    unchanged()

    response = api.post(CUSTOMERS, {"stripe_js_response": posted}, format="multipart")

    assert response.status_code == 400


def test_20_levels_are_stored(api):
    nested = json.loads("[" * 18 + "]" * 18)

    response = api.post(
        CUSTOMERS, {"stripe_js_response": {"id": "tok_visa", "n": {"n": nested}}}, format="json"
    )

    assert response.status_code == 201
    assert StripeCustomer.objects.get().stripe_js_response["n"] == {"n": nested}


def test_an_id_of_255_characters_is_sent_to_stripe(api):
    posted = {"id": "pm_" + "x" * 252}

    response = api.post(CUSTOMERS, {"stripe_js_response": posted}, format="json")

    assert response.status_code == 400
    assert response.json().keys() == {"stripe_error"}


def test_a_setup_intent_with_an_invalid_body_is_rejected(api, fake):
    response = raw(api.post, SETUP_INTENTS, b"[" * 100_000)

    assert response.status_code == 400
    assert not fake.requests


@pytest.mark.parametrize(
    "customer_id",
    ["cus_unknown", "cus_\0", "\0", "cus_ü", "cus_" + "x" * 300, "cus_ ", "..", "cus_%", "4242"],
)
@pytest.mark.parametrize("method", ["get", "put", "patch"])
def test_an_unknown_customer_is_not_found(api, customer_id, method):
    data = {"stripe_js_response": {"id": "tok_visa"}}

    response = getattr(api, method)(f"{CUSTOMERS}/{quote(customer_id)}", data, format="json")

    assert response.status_code == 404


@pytest.mark.parametrize("path", ["cus_1/2", "cus_1%2F2", "%FF", ""])
def test_an_unknown_path_is_not_found(api, path):
    assert api.get(f"{CUSTOMERS}/{path}").status_code == 404


@pytest.mark.parametrize(
    "uuid", ["", "5", "nonsense", "00000000-0000-0000-0000-000000000000", "\0"]
)
def test_an_unknown_charge_is_not_found(api, uuid):
    assert api.get(f"/aa-stripe/charges/{quote(uuid)}").status_code == 404


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    posted=json_values
    | st.builds(lambda rest: {**rest, "id": "tok_visa"}, st.dictionaries(st.text(), json_values))
)
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_json_is_either_stored_or_rejected(api, posted):
    StripeCustomer.objects.all().delete()

    response = raw(api.post, CUSTOMERS, json.dumps({"stripe_js_response": posted}).encode())

    assert response.status_code in (201, 400)
    assert StripeCustomer.objects.count() == (1 if response.status_code == 201 else 0)


# Large bodies, and the format in the path

TOO_LARGE = {"detail": "The request body is too large."}


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"],
)
def test_a_body_over_the_projects_limit_is_too_large(send, settings, content_type):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    response = send(b"x" * 1001, content_type=content_type)

    assert (response.status_code, response.json()) == (413, TOO_LARGE)


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_that_is_too_large_has_the_same_response_after_a_login(
    client, payer, settings, content_type
):
    client.force_login(payer)
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    response = client.post(SETUP_INTENTS, b"x" * 1001, content_type)

    assert (response.status_code, response.json()) == (413, TOO_LARGE)


@pytest.mark.parametrize("length", ["many", "9" * 5000])
def test_a_length_that_is_no_number_is_none(api, length):
    response = api.post(CUSTOMERS, {}, format="json", CONTENT_LENGTH=length)

    assert response.status_code == 400


@pytest.mark.urls("tests.api.suffixes")
@pytest.mark.parametrize(("suffix", "status"), [("json", 201), ("xml", 404)])
def test_a_setup_intent_may_be_asked_for_in_a_format(api, fake, suffix, status):
    assert api.post(f"{SETUP_INTENTS}.{suffix}").status_code == status


@pytest.mark.urls("tests.api.suffixes")
@pytest.mark.parametrize(("suffix", "status"), [("json", 201), ("xml", 404)])
def test_an_event_may_be_sent_in_a_format(db, client, settings, suffix, status):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = "whsec_test"
    body = json.dumps({"id": "evt_1", "object": "event", "type": "payout.paid"})

    response = client.post(
        f"/aa-stripe/webhooks.{suffix}",
        body,
        content_type="application/json",
        headers=signed(body, "whsec_test"),
    )

    assert response.status_code == status
