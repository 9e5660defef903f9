"""Storing an event: each database stores any JSON, without client secrets."""

from __future__ import annotations

import json
import logging

import pytest

from aa_stripe.models import StripeWebhook
from tests.webhooks.deliveries import deliver, nested, post_signed
from tests.webhooks.effects import TYPE, effects_of, make_event, write_effect

pytestmark = pytest.mark.django_db

#: JSON as it is sent within an event, and the value that is stored.
VALUES = {
    "NUL": (r'"a\u0000b"', r"a\u0000b"),
    "NUL alone": (r'"\u0000"', r"\u0000"),
    "half a surrogate pair": (r'"a\ud800b"', r"a\ud800b"),
    "the other half": (r'"a\udfff"', r"a\udfff"),
    "two halves in the wrong order": (r'"\udc00\ud800"', r"\udc00\ud800"),
    "a surrogate pair": (r'"\ud83d\ude00"', "😀"),
    "NUL beside a backslash": (r'"\\\u0000"', r"\\\u0000"),
    "what looks like an escaped NUL": (r'"\\u0000"', r"\u0000"),
    "NUL in a key": (r'{"a\u0000b": 1}', {r"a\u0000b": 1}),
    "half a surrogate pair in a key": (r'{"\ud800": {"\udfff": 1}}', {r"\ud800": {r"\udfff": 1}}),
    "NUL in a list": (r'["\u0000", ["\u0000"]]', [r"\u0000", [r"\u0000"]]),
    "NaN": ("NaN", "nan"),
    "Infinity": ("Infinity", "inf"),
    "-Infinity": ("-Infinity", "-inf"),
    "1e400": ("1e400", "inf"),
    "infinite numbers in a list": ("[-1e400, [NaN]]", ["-inf", ["nan"]]),
    "1e22": ("1e22", 1e22),
    "1e-400": ("1e-400", 0.0),
    "an integer beyond 64 bits": ("1" + "0" * 30, 10**30),
    "an integer of 4000 digits": ("9" * 4000, 10**4000 - 1),
    "a fraction": ("0.1", 0.1),
    "true": ("true", True),
    "null": ("null", None),
    "an empty key": ('{"": ""}', {"": ""}),
    "control characters": (r'"\u0001\u001f\u007f\u0085\u2028"', "\x01\x1f\x7f\x85\u2028"),
    "emoji as they are": ('"😀"', "😀"),
    "quotes": (r'"\"\\`"', '"\\`'),
    "a percent sign": ('"100 %s %(a)s %"', "100 %s %(a)s %"),
    "the same key twice": ('{"a": 1, "a": 2}', {"a": 2}),
    "keys that differ by case": ('{"a": 1, "A": 2}', {"a": 1, "A": 2}),
    "a long text": ('"' + "ü" * 100_000 + '"', "ü" * 100_000),
}


def with_data(event, text):
    """Return the event as JSON, with ``text`` as its data."""
    return json.dumps({**event, "data": None}).replace("null", text, 1).encode()


@pytest.mark.parametrize(("text", "stored"), VALUES.values(), ids=VALUES)
def test_an_event_with_any_json_is_stored_and_applied(client, on, text, stored):
    on(TYPE)(write_effect)
    event = make_event(data=None)
    body = with_data(event, text)

    first, second = post_signed(client, body), post_signed(client, body)

    kept = {**event, "data": stored}
    assert [it.status_code for it in (first, second)] == [201, 200]
    webhook = StripeWebhook.objects.get()
    assert webhook.raw_data == kept
    assert webhook.is_parsed
    assert effects_of(webhook) == ["handler"]
    assert [it.json()["raw_data"] for it in (first, second)] == [kept, kept]


@pytest.mark.parametrize("make", [list, dict], ids=["lists", "objects"])
def test_31_levels_are_stored_and_applied(client, on, make):
    on(TYPE)(write_effect)
    text = nested(30) if make is list else '{"a":' * 30 + "1" + "}" * 30
    event = make_event(data=None)

    assert post_signed(client, with_data(event, text)).status_code == 201

    webhook = StripeWebhook.objects.get()
    assert webhook.raw_data == {**event, "data": json.loads(text)}
    assert effects_of(webhook) == ["handler"]


@pytest.mark.parametrize("livemode", [None, ...], ids=["null", "missing"])
def test_an_event_without_a_mode_is_stored_unchanged(client, livemode):
    event = make_event(livemode=livemode)
    if livemode is ...:
        del event["livemode"]

    assert deliver(client, event).status_code == 201

    webhook = StripeWebhook.objects.get()
    assert (webhook.raw_data, webhook.is_wrong_mode) == (event, False)


@pytest.mark.parametrize("missing", ["data", "created", "api_version", "pending_webhooks"])
def test_an_event_needs_no_more_than_an_id_and_a_type(client, missing):
    event = make_event()
    del event[missing]

    assert deliver(client, event).status_code == 201
    assert StripeWebhook.objects.get().raw_data == event


@pytest.mark.parametrize("data", [None, 1, "po_1", [], {}, {"object": None}, {"object": [1]}])
def test_an_event_without_an_object_is_applied(client, on, data):
    objects = []
    on(TYPE)(lambda webhook: objects.append(webhook.stripe_object))

    assert deliver(client, make_event(data=data)).status_code == 201
    assert objects == [{}]


@pytest.mark.parametrize("type", ["ping", "payout\0.paid", "payout.\ud800", "*", "x" * 70_000])
def test_a_type_may_be_any_text(client, type):
    response = deliver(client, make_event(type))

    assert response.status_code == 201
    assert StripeWebhook.objects.get().is_parsed


@pytest.mark.parametrize("id", ["1", "evt_" + "x" * 251, "evt_'\"\\%s/..;--"])
def test_an_id_may_be_255_printable_characters(client, id):
    event = make_event(id=id)

    responses = [deliver(client, event) for _ in range(2)]

    assert [(it.status_code, it.json()["id"]) for it in responses] == [(201, id), (200, id)]
    assert StripeWebhook.objects.get().pk == id


def test_client_secrets_are_neither_stored_nor_returned_nor_passed_to_handlers(client, on):
    given = []
    on(TYPE)(lambda webhook: given.append(webhook.raw_data))
    secret = "pi_1_secret_1"
    with_secret = {"client_secret": secret, "next_action": {"url": f"https://x/?s={secret}"}}
    intent = {"id": "pi_1", "charges": [{"id": "ch_1", **with_secret}], **with_secret}
    event = make_event(data={"object": intent, "previous_attributes": with_secret})

    responses = [deliver(client, event) for _ in range(2)]

    kept = {"id": "pi_1", "charges": [{"id": "ch_1"}]}
    webhook = StripeWebhook.objects.get()
    assert webhook.raw_data["data"] == {"object": kept, "previous_attributes": {}}
    assert given == [webhook.raw_data]
    assert [it.json()["raw_data"] for it in responses] == [webhook.raw_data] * 2
    assert secret not in json.dumps([it.json() for it in responses])


def test_an_error_with_characters_that_no_database_stores_is_escaped(client, on, caplog):
    # The test process of pytest-xdist cannot send such a log record either.
    caplog.set_level(logging.CRITICAL + 1, "aa-stripe")

    @on(TYPE)
    def fail(webhook):
        raise ValueError("a\0b\ud800")

    response = deliver(client, make_event())

    assert response.status_code == 500
    assert StripeWebhook.objects.get().parse_error == r"ValueError: a\u0000b\ud800"
