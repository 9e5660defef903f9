"""Rejected deliveries: the response names the reason, and nothing is stored."""

from __future__ import annotations

import json
import time
from io import BytesIO

import pytest
from django.core.handlers.asgi import ASGIRequest

from aa_stripe.api import WebhookAPI
from aa_stripe.models import StripeWebhook
from tests.webhooks.deliveries import (
    SECRET,
    URL,
    body_of,
    deliver,
    nested,
    nothing_stored,
    post,
    post_over_asgi,
    post_signed,
    signature_of,
)
from tests.webhooks.effects import TYPE, effects_of, make_event, stored_event, write_effect

NOT_SIGNED = "The signature is missing, wrong or too old."
NOT_UTF8 = "The body is not UTF-8."
NO_JSON = "The body is not valid JSON."
NO_EVENT = "The body is not a Stripe snapshot event."
NO_ID = "The event has no id."
NO_TYPE = "The event has no type."
TOO_DEEP = "The event is nested too deeply."
TOO_LARGE = "Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE."

EXAMPLE = b'{"id": "evt_1", "object": "event", "type": "payout.paid", "data": {"object": {}}}'


pytestmark = pytest.mark.django_db


def now():
    return int(time.time())


def v1(body=EXAMPLE, secret=SECRET, timestamp=None):
    """Return the signature ``v1`` without its time."""
    return signature_of(body, secret, timestamp).partition("v1=")[2]


# Signatures

#: The headers ``Stripe-Signature`` that are sent with ``EXAMPLE``.
SIGNATURES = {
    "missing": lambda: None,
    "empty": lambda: "",
    "of another secret": lambda: signature_of(EXAMPLE, "whsec_other"),
    "of an empty secret": lambda: signature_of(EXAMPLE, ""),
    "of two other secrets": lambda: signature_of(EXAMPLE, ["whsec_a", "whsec_b"]),
    "of another body": lambda: signature_of(EXAMPLE + b" "),
    "of an empty body": lambda: signature_of(b""),
    "forged": lambda: f"t={now()},v1={'0' * 64}",
    "forged and empty": lambda: f"t={now()},v1=",
    "of another time": lambda: f"t={now()},v1={v1(timestamp=now() - 1)}",
    "too old": lambda: signature_of(EXAMPLE, timestamp=now() - 301),
    "a year old": lambda: signature_of(EXAMPLE, timestamp=now() - 365 * 24 * 3600),
    "of 1970": lambda: signature_of(EXAMPLE, timestamp=0),
    "of before 1970": lambda: signature_of(EXAMPLE, timestamp=-1),
    "of long before 1970": lambda: signature_of(EXAMPLE, timestamp=-(10**400)),
    "of the future, forged": lambda: f"t={10**400},v1={'0' * 64}",
    "of a time of 5000 digits": lambda: f"t={'9' * 5000},v1={v1()}",
    "in milliseconds": lambda: f"t={now() * 1000},v1={v1()}",
    "without a time": lambda: f"v1={v1()}",
    "with an empty time": lambda: f"t=,v1={v1()}",
    "with a time that is no number": lambda: f"t=noon,v1={v1()}",
    "with a fraction of a second": lambda: f"t={now()}.5,v1={v1()}",
    "without v1": lambda: f"t={now()}",
    "v0 only": lambda: signature_of(EXAMPLE).replace("v1=", "v0="),
    "V1": lambda: signature_of(EXAMPLE).replace("v1=", "V1="),
    "half a signature": lambda: signature_of(EXAMPLE)[:-32],
    "one digit more": lambda: signature_of(EXAMPLE) + "0",
    "in capitals": lambda: signature_of(EXAMPLE).replace(v1(), v1().upper()),
    "other separators": lambda: signature_of(EXAMPLE).replace(",", ";"),
    "no pairs": lambda: "t,v1",
    "commas": lambda: ",,,",
    "garbage": lambda: "Basic d2hzZWNfdGVzdA==",
    "the secret": lambda: SECRET,
    "not ASCII": lambda: f"t={now()},v1=é",
    "not ASCII beside a valid one": lambda: signature_of(EXAMPLE) + ",é=ü",
    "half a surrogate pair": lambda: f"t={now()},v1=\udcff",
    "digits that are not ASCII": lambda: f"t=١٢٣,v1={v1()}",
    "NUL": lambda: "\0",
    "NUL within": lambda: signature_of(EXAMPLE).replace("v1=", "v1=\0"),
    "huge": lambda: f"t={now()}" + ",v1=0" * 100_000,
    "huge and without pairs": lambda: "=" * 1_000_000,
}


@pytest.mark.parametrize("make_signature", SIGNATURES.values(), ids=SIGNATURES)
def test_a_body_that_stripe_has_not_signed_is_rejected(client, make_signature):
    response = post(client, EXAMPLE, make_signature())

    assert (response.status_code, response.json()) == (400, {"detail": NOT_SIGNED})
    assert nothing_stored()


def test_the_same_body_is_stored_when_it_is_signed(client):
    """Check the body of the other tests: only its signature may be the reason for a rejection."""
    assert post(client, EXAMPLE, signature_of(EXAMPLE)).status_code == 201


#: Changes to ``EXAMPLE`` after it was signed.
CHANGES = {
    "cut off": EXAMPLE[:-10],
    "a byte less": EXAMPLE[:-1],
    "a byte more": EXAMPLE + b"\n",
    "another id": EXAMPLE.replace(b"evt_1", b"evt_2"),
    "formatted differently": json.dumps(json.loads(EXAMPLE), indent=1).encode(),
    "with a BOM": b"\xef\xbb\xbf" + EXAMPLE,
    "in UTF-16": EXAMPLE.decode().encode("utf-16"),
    "nothing": b"",
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_a_body_that_was_changed_after_signing_is_rejected(client, changed):
    response = post(client, changed, signature_of(EXAMPLE))

    assert response.status_code == 400
    assert nothing_stored()


def test_a_replayed_delivery_is_rejected_when_its_signature_is_too_old(client, monkeypatch):
    signature = signature_of(EXAMPLE, timestamp=now() - 290)
    first = post(client, EXAMPLE, signature)
    start = time.time()
    monkeypatch.setattr("time.time", lambda: start + 20)

    replayed = post(client, EXAMPLE, signature)

    assert (first.status_code, replayed.status_code) == (201, 400)


def test_a_rejected_delivery_does_not_apply_a_stored_event(client, on):
    webhook = stored_event()
    on(TYPE)(write_effect)

    response = deliver(client, webhook.raw_data, secret="whsec_other")

    webhook.refresh_from_db()
    assert response.status_code == 400
    assert (webhook.is_parsed, webhook.attempts, effects_of(webhook)) == (False, 0, [])


def test_a_rejection_is_logged_without_the_body(client, caplog):
    post(client, b'{"number": "4242424242424242"}', "t=1,v1=guessed")

    [record] = (it for it in caplog.records if it.name == "aa-stripe")
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("Webhook rejected: The signature is wrong: ")
    assert "4242" not in record.getMessage()


@pytest.mark.parametrize(
    ("make_signature", "logged"),
    [
        (lambda: None, "missing"),
        (lambda: signature_of(EXAMPLE, "whsec_other"), "wrong"),
        (lambda: signature_of(EXAMPLE, timestamp=now() - 4000), "too old"),
    ],
)
def test_the_log_names_the_reason_that_the_sender_is_not_given(
    client, caplog, make_signature, logged
):
    response = post(client, EXAMPLE, make_signature())

    [record] = (it for it in caplog.records if it.name == "aa-stripe")
    assert record.getMessage().startswith(f"Webhook rejected: The signature is {logged}: ")
    assert response.json() == {"detail": NOT_SIGNED}


class ReadTheStream:
    """A middleware that reads the body from the stream, such as one that logs requests."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.read()
        return self.get_response(request)


def test_a_body_that_a_middleware_has_read_is_rejected(client, settings, caplog):
    settings.MIDDLEWARE = [f"{__name__}.ReadTheStream"]

    response = post_signed(client, EXAMPLE)

    assert (response.status_code, response.json()) == (400, {"detail": "The body was read before."})
    [record] = (it for it in caplog.records if it.name == "aa-stripe")
    assert "A middleware has called request.read()" in record.getMessage()
    assert nothing_stored()


# Bodies


def example_with(**fields):
    """Return the example with these fields changed; a field that is ``...`` is removed."""
    changed = {**json.loads(EXAMPLE), **fields}
    return json.dumps({name: it for name, it in changed.items() if it is not ...}).encode()


def with_data(text):
    """Return the example with ``text`` as the JSON of its data."""
    return EXAMPLE.replace(b'{"object": {}}', text.encode())


#: Bodies with a valid signature, and the expected error; ``None`` for any.
BODIES = {
    "empty": (b"", NO_JSON),
    "blank": (b" \n", NO_JSON),
    "not UTF-8": (EXAMPLE.replace(b"evt_1", b"evt_\xff"), NOT_UTF8),
    "half a surrogate pair in UTF-8": (EXAMPLE.replace(b"evt_1", b"evt_\xed\xa0\x80"), NOT_UTF8),
    "UTF-8, cut off": (EXAMPLE + "ü".encode()[:1], NOT_UTF8),
    "UTF-16": (EXAMPLE.decode().encode("utf-16"), NOT_UTF8),
    "UTF-16 without a BOM": (EXAMPLE.decode().encode("utf-16-le"), NO_JSON),
    "UTF-8 with a BOM": (b"\xef\xbb\xbf" + EXAMPLE, NO_JSON),
    "NUL": (b"\0", NO_JSON),
    "no JSON": (b"stripe", NO_JSON),
    "a form": (b"id=evt_1&object=event&type=payout.paid", NO_JSON),
    "XML": (b"<event><id>evt_1</id></event>", NO_JSON),
    "half an event": (EXAMPLE[:40], NO_JSON),
    "two events": (EXAMPLE * 2, NO_JSON),
    "a line break within a text": (EXAMPLE.replace(b"evt_1", b"evt_\n1"), NO_JSON),
    "an integer of 5000 digits": (with_data("9" * 5000), NO_JSON),
    "100,000 levels": (nested(100_000).encode(), NO_JSON),
    "100,000 levels of an object": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, NO_JSON),
    "100,000 levels in an event": (with_data(nested(100_000)), NO_JSON),
    "100,000 levels without an end": (with_data("[" * 100_000), NO_JSON),
    "900 levels": (with_data(nested(900)), None),
    "40 levels": (with_data(nested(39)), TOO_DEEP),
    "32 levels": (with_data(nested(31)), TOO_DEEP),
    "null": (b"null", NO_EVENT),
    "true": (b"true", NO_EVENT),
    "a number": (b"17", NO_EVENT),
    "NaN": (b"NaN", NO_EVENT),
    "a text": (b'"evt_1"', NO_EVENT),
    "a list": (b"[" + EXAMPLE + b"]", NO_EVENT),
    "an empty object": (b"{}", NO_EVENT),
    "another object": (example_with(object="charge"), NO_EVENT),
    "no object": (example_with(object=...), NO_EVENT),
    "object is null": (example_with(object=None), NO_EVENT),
    "object is a list": (example_with(object=["event"]), NO_EVENT),
    "object is an object": (example_with(object={"event": "event"}), NO_EVENT),
    "a thin event": (example_with(object="v2.core.event"), NO_EVENT),
    "an event in an envelope": (b'{"detail": ' + EXAMPLE + b"}", NO_EVENT),
    "no id": (example_with(id=...), NO_ID),
    "id is null": (example_with(id=None), NO_ID),
    "id is a number": (example_with(id=1), NO_ID),
    "id is a boolean": (example_with(id=True), NO_ID),
    "id is a list": (example_with(id=["evt_1"]), NO_ID),
    "id is an object": (example_with(id={"id": "evt_1"}), NO_ID),
    "id is empty": (example_with(id=""), NO_ID),
    "id of 256 characters": (example_with(id="evt_" + "x" * 252), NO_ID),
    "id with NUL": (example_with(id="evt_\0"), NO_ID),
    "id with a space": (example_with(id="evt_1 "), NO_ID),
    "id with a line break": (example_with(id="evt_1\n"), NO_ID),
    "id with an umlaut": (example_with(id="evt_ü"), NO_ID),
    "id with half a surrogate pair": (example_with(id="evt_\ud800"), NO_ID),
    "two ids": (EXAMPLE.replace(b'"type"', b'"id": 1, "type"'), NO_ID),
    "no type": (example_with(type=...), NO_TYPE),
    "type is null": (example_with(type=None), NO_TYPE),
    "type is empty": (example_with(type=""), NO_TYPE),
    "type is a number": (example_with(type=1), NO_TYPE),
    "type is a list": (example_with(type=[TYPE]), NO_TYPE),
    "type is an object": (example_with(type={}), NO_TYPE),
}


@pytest.mark.parametrize(("body", "detail"), BODIES.values(), ids=BODIES)
def test_a_signed_body_that_is_no_event_is_rejected(client, body, detail):
    response = post_signed(client, body)

    assert response.status_code == 400
    assert detail is None or response.json() == {"detail": detail}
    assert nothing_stored()


@pytest.mark.parametrize("number", range(0, len(EXAMPLE), 7))
def test_an_event_that_was_cut_off_before_signing_is_rejected(client, number):
    assert post_signed(client, EXAMPLE[:number]).status_code == 400
    assert nothing_stored()


# Size


def test_a_body_over_djangos_limit_is_too_large(client):
    body = with_data('"' + "x" * 2_621_440 + '"')

    response = post_signed(client, body)

    assert (response.status_code, response.json()) == (413, {"detail": TOO_LARGE})
    assert nothing_stored()


def test_a_body_over_the_projects_limit_is_too_large(client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(EXAMPLE) - 1

    response = post_signed(client, EXAMPLE)

    assert (response.status_code, response.json()) == (413, {"detail": TOO_LARGE})
    assert nothing_stored()


@pytest.mark.parametrize("limit", [len(EXAMPLE), None])
def test_a_body_within_the_limit_is_not_too_large(client, settings, limit):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = limit

    assert post_signed(client, EXAMPLE).status_code == 201


@pytest.mark.parametrize("signature", [None, "", "t=1,v1=0"])
def test_a_body_that_is_too_large_is_rejected_before_its_signature_is_checked(
    client, settings, signature
):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(EXAMPLE) - 1

    assert post(client, EXAMPLE, signature).status_code == 413


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("length", [None, b"", b"0", b"5"])
def test_a_body_that_is_too_large_is_rejected_with_any_content_length(settings, length):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(EXAMPLE) - 1
    headers = [] if length is None else [(b"content-length", length)]

    # Under ASGI the header Content-Length does not limit the body.
    status = post_over_asgi(
        EXAMPLE[:50], EXAMPLE[50:], signature=signature_of(EXAMPLE), headers=headers
    )

    assert status == 413
    assert nothing_stored()


class Pipe(BytesIO):
    """A body whose size is unknown before it is read."""

    def seekable(self):
        return False


def test_a_body_that_is_too_large_is_rejected_if_its_size_is_unknown(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(EXAMPLE) - 1
    headers = [(b"stripe-signature", signature_of(EXAMPLE).encode())]
    scope = {"type": "http", "method": "POST", "path": URL, "headers": headers}

    response = WebhookAPI.as_view()(ASGIRequest(scope, Pipe(EXAMPLE)))

    assert response.status_code == 413
    assert nothing_stored()


def test_a_content_length_over_the_limit_is_too_large_for_any_body(client):
    response = post_signed(client, EXAMPLE, CONTENT_LENGTH="99999999")

    assert response.status_code == 413


@pytest.mark.parametrize("length", ["", "0", "1", "-1", "50", "many", "1e3", "٣", "9" * 5000])
def test_a_body_is_rejected_if_its_content_length_is_wrong(client, length):
    response = post_signed(
        client, EXAMPLE, CONTENT_LENGTH=length, **{"wsgi.input": BytesIO(EXAMPLE)}
    )

    assert response.status_code == 400
    assert nothing_stored()


# A client that disconnects


class Broken(BytesIO):
    """The body of a request whose connection is lost."""

    def read(self, size=-1):
        raise ConnectionResetError("Connection reset by peer.")


class BrokenLater(BytesIO):
    """A body that ends after the first bytes."""

    def read(self, size=-1):
        return super().read(20 if size < 0 else min(size, 20))


@pytest.mark.parametrize(
    ("stream", "detail"), [(Broken, "The body did not arrive."), (BrokenLater, NOT_SIGNED)]
)
def test_a_body_that_does_not_arrive_completely_is_rejected(client, stream, detail):
    response = post_signed(client, EXAMPLE, **{"wsgi.input": stream(EXAMPLE)})

    assert (response.status_code, response.json()) == (400, {"detail": detail})
    assert nothing_stored()


def test_an_event_whose_delivery_broke_off_is_applied_when_it_is_redelivered(client, on):
    on(TYPE)(write_effect)
    event = make_event()
    body = body_of(event)
    deliver(client, event, **{"wsgi.input": Broken(body)})

    assert deliver(client, event).status_code == 201
    assert effects_of(StripeWebhook.objects.get()) == ["handler"]
