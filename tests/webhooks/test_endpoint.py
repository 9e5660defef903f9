"""Deliveries that Stripe has signed: what is stored and applied, and the response."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor

import django
import pytest
from django.contrib.auth.models import Group
from django.core import serializers
from django.db import IntegrityError, OperationalError, connection
from django.db.models.signals import post_save, pre_save
from django.test import Client
from django.urls import resolve, reverse
from django.utils import timezone
from rest_framework.permissions import BasePermission
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from aa_stripe.api import WebhookAPI
from aa_stripe.exceptions import StripeWebhookParseError
from aa_stripe.models import StripeWebhook
from tests.webhooks.deliveries import (
    URL,
    body_of,
    deliver,
    nothing_stored,
    post,
    post_over_asgi,
    post_signed,
    signature_of,
)
from tests.webhooks.effects import (
    TYPE,
    WentWrong,
    effects_of,
    make_event,
    only_webhook,
    stored_event,
    write_effect,
)

REDELIVER = {"detail": "The event could not be applied yet; please send it again."}


@pytest.fixture
def handled(on):
    on(TYPE)(write_effect)


@pytest.fixture
def failing_once(on):
    """A handler whose first call fails after it has written."""
    calls = []

    @on(TYPE)
    def fail_once(webhook):
        write_effect(webhook)
        calls.append(webhook.pk)
        if len(calls) == 1:
            raise WentWrong("The books are closed.")


# Ids


def test_events_whose_ids_differ_in_letter_case_are_two_events(db, client, handled):
    ids = ["evt_1aB", "evt_1Ab"]

    statuses = [deliver(client, make_event(id=it)).status_code for it in [*ids, *ids]]

    assert statuses == [201, 201, 200, 200]
    assert {it.pk: it.raw_data["id"] for it in StripeWebhook.objects.all()} == {
        it: it for it in ids
    }
    assert sorted(it.name.split()[0] for it in Group.objects.all()) == sorted(ids)


# The URL


@pytest.mark.parametrize("path", [URL, f"{URL}/"])
def test_the_url_may_end_with_a_slash(db, client, path):
    response = deliver(client, make_event(), path=path)

    assert response.status_code == 201


def test_the_endpoint_has_a_name():
    assert reverse("stripe-webhooks") == URL
    assert resolve(URL).func.view_class is WebhookAPI


@pytest.mark.parametrize("path", ["/aa-stripe/webhooks//", "/aa-stripe/webhooks/evt_1"])
def test_there_is_nothing_below_the_url(db, client, path):
    assert deliver(client, make_event(), path=path).status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_only_post_is_allowed(db, client, method):
    body = body_of(make_event())

    response = client.generic(method, URL, body, HTTP_STRIPE_SIGNATURE=signature_of(body))

    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert nothing_stored()


# New and redelivered events


def test_a_new_event_is_stored_applied_and_returned(db, client, handled):
    event = make_event()

    response = deliver(client, event)

    assert response.status_code == 201
    assert response.json() == {"id": event["id"], "raw_data": event}
    webhook = only_webhook()
    assert (webhook.pk, webhook.raw_data) == (event["id"], event)
    assert (webhook.is_parsed, webhook.parse_error, webhook.attempts) == (True, "", 1)
    assert effects_of(webhook) == ["handler"]


def test_an_event_without_handlers_is_stored_as_applied(db, client):
    assert deliver(client, make_event()).status_code == 201

    webhook = only_webhook()
    assert (webhook.is_parsed, webhook.parse_error, webhook.attempts) == (True, "", 1)
    assert (webhook.retry_at, webhook.claimed_until) == (None, None)


def test_a_redelivered_event_is_returned_but_not_applied_again(db, client, handled):
    event = make_event()
    deliver(client, event)

    responses = [deliver(client, event) for _ in range(2)]

    assert [it.status_code for it in responses] == [200, 200]
    assert [it.json() for it in responses] == [{"id": event["id"], "raw_data": event}] * 2
    assert effects_of(only_webhook()) == ["handler"]


def test_an_event_with_a_known_id_and_other_content_does_not_replace_the_first(db, client, handled):
    event = make_event()
    deliver(client, event)

    assert deliver(client, {**event, "created": 1}).status_code == 200

    assert only_webhook().raw_data == event
    assert effects_of(only_webhook()) == ["handler"]


def test_a_stored_event_that_was_not_applied_is_applied_when_it_is_redelivered(db, client, handled):
    webhook = stored_event()

    response = deliver(client, webhook.raw_data)

    assert response.status_code == 200
    webhook.refresh_from_db()
    assert (webhook.is_parsed, webhook.attempts) == (True, 1)
    assert effects_of(webhook) == ["handler"]


def test_an_event_of_an_unknown_type_is_stored(db, client):
    assert deliver(client, make_event("some_day.something.happened")).status_code == 201
    assert only_webhook().is_parsed


# Failures


def test_a_failing_handler_makes_stripe_redeliver_the_event(db, client, failing_once):
    response = deliver(client, make_event())

    assert (response.status_code, response.json()) == (500, REDELIVER)
    webhook = only_webhook()
    assert not webhook.is_parsed
    assert "WentWrong: The books are closed." in webhook.parse_error
    assert webhook.attempts == 1
    assert webhook.retry_at > timezone.now()
    assert effects_of(webhook) == []


def test_a_failing_handler_is_logged_with_its_traceback(db, client, failing_once, caplog):
    event = make_event()

    deliver(client, event)

    [record] = (it for it in caplog.records if it.name == "aa-stripe")
    assert record.levelno == logging.ERROR
    assert record.exc_info[0] is WentWrong
    assert record.getMessage() == f"Event {event['id']} ({TYPE}) could not be applied."


def test_the_response_does_not_contain_the_handlers_error(db, client, failing_once):
    assert b"books" not in deliver(client, make_event()).content


def test_a_redelivered_event_is_applied_after_its_handler_failed(db, client, failing_once):
    event = make_event()
    deliver(client, event)

    statuses = [deliver(client, event).status_code for _ in range(2)]

    assert statuses == [200, 200]
    webhook = only_webhook()
    assert (webhook.is_parsed, webhook.parse_error, webhook.attempts) == (True, "", 2)
    assert webhook.retry_at is None
    assert effects_of(webhook) == ["handler"]


def test_a_redelivered_event_that_fails_again_has_the_same_response(db, client, on):
    @on(TYPE)
    def fail(webhook):
        raise WentWrong

    event = make_event()

    statuses = [deliver(client, event).status_code for _ in range(3)]

    assert statuses == [500, 500, 500]
    assert (only_webhook().is_parsed, only_webhook().attempts) == (False, 3)


def test_a_failing_receiver_makes_stripe_redeliver_the_event(db, client, handled, receiver):
    @receiver
    def fail(sender, **kwargs):
        raise WentWrong("Not today.")

    response = deliver(client, make_event())

    assert (response.status_code, response.json()) == (500, REDELIVER)
    assert "WentWrong: Not today." in only_webhook().parse_error
    assert not only_webhook().is_parsed
    assert effects_of(only_webhook()) == []


def test_an_event_that_a_handler_rejects_is_not_redelivered(db, client, on):
    @on(TYPE)
    def reject(webhook):
        raise StripeWebhookParseError("Not our payout.")

    event = make_event()

    statuses = [deliver(client, event).status_code for _ in range(2)]

    assert statuses == [201, 200]
    webhook = only_webhook()
    assert (webhook.is_parsed, webhook.parse_error) == (True, "Not our payout.")
    assert webhook.attempts == 1


def test_a_database_error_on_insert_is_not_mistaken_for_a_redelivery(db, client, caplog):
    def spoil(sender, instance, **kwargs):
        instance.parse_error = None

    pre_save.connect(spoil, sender=StripeWebhook)
    try:
        response = deliver(client, make_event())
    finally:
        pre_save.disconnect(spoil, sender=StripeWebhook)

    assert (response.status_code, response.json()) == (500, REDELIVER)
    assert nothing_stored()
    [record] = (it for it in caplog.records if it.name == "aa-stripe")
    assert record.exc_info[0] is IntegrityError


def test_receivers_of_djangos_signals_can_serialize_the_event(db, client, handled):
    seen = []

    def audit(sender, instance, **kwargs):
        seen.append(serializers.serialize("json", [instance]))

    for signal in (pre_save, post_save):
        signal.connect(audit, sender=StripeWebhook)
    try:
        response = deliver(client, make_event())
    finally:
        for signal in (pre_save, post_save):
            signal.disconnect(audit, sender=StripeWebhook)

    assert response.status_code == 201
    assert len(seen) == 2
    assert effects_of(only_webhook()) == ["handler"]


def test_an_unavailable_database_makes_stripe_redeliver_the_event(db, client, handled, caplog):
    def lose_the_connection(execute, sql, params, many, context):
        raise OperationalError("The server closed the connection.")

    event = make_event()

    with connection.execute_wrapper(lose_the_connection):
        response = deliver(client, event)

    assert (response.status_code, response.json()) == (500, REDELIVER)
    [record] = (it for it in caplog.records if it.name == "aa-stripe")
    assert record.exc_info[0] is OperationalError
    assert nothing_stored()
    assert deliver(client, event).status_code == 201
    assert effects_of(only_webhook()) == ["handler"]


# Live mode and test mode


@pytest.fixture(params=["live event, test key", "test event, live key"])
def wrong_mode_event(request, settings):
    """An event of live mode with a key of test mode, or the other way round."""
    is_live = request.param.startswith("live")
    settings.STRIPE_API_KEY = "sk_test_1" if is_live else "sk_live_1"
    return make_event(livemode=is_live)


def test_an_event_of_the_wrong_mode_is_stored_and_marked_but_not_applied(
    db, client, handled, wrong_mode_event
):
    response = deliver(client, wrong_mode_event)

    assert (response.status_code, response.json()["id"]) == (201, wrong_mode_event["id"])
    webhook = only_webhook()
    assert (webhook.is_wrong_mode, webhook.is_parsed) == (True, False)
    assert effects_of(webhook) == []


def test_a_redelivered_event_of_the_wrong_mode_is_not_applied_either(
    db, client, handled, wrong_mode_event
):
    deliver(client, wrong_mode_event)

    assert deliver(client, wrong_mode_event).status_code == 200

    assert (only_webhook().is_wrong_mode, only_webhook().is_parsed) == (True, False)
    assert effects_of(only_webhook()) == []


def test_an_event_of_the_wrong_mode_without_handlers_is_marked_too(db, client, wrong_mode_event):
    assert deliver(client, wrong_mode_event).status_code == 201

    assert (only_webhook().is_wrong_mode, only_webhook().is_parsed) == (True, False)


def test_a_redelivered_event_is_applied_after_the_key_changed_to_its_mode(
    db, client, settings, handled, wrong_mode_event
):
    deliver(client, wrong_mode_event)
    settings.STRIPE_API_KEY = "sk_live_1" if wrong_mode_event["livemode"] else "sk_test_1"

    assert deliver(client, wrong_mode_event).status_code == 200

    assert (only_webhook().is_wrong_mode, only_webhook().is_parsed) == (False, True)
    assert effects_of(only_webhook()) == ["handler"]


def test_a_redelivered_event_is_not_applied_if_the_key_now_has_the_wrong_mode(
    db, client, settings, handled
):
    settings.STRIPE_WEBHOOK_PROCESSOR = "deferred"
    event = make_event(livemode=False)
    deliver(client, event)
    settings.STRIPE_WEBHOOK_PROCESSOR = "inline"
    settings.STRIPE_API_KEY = "sk_live_1"

    assert deliver(client, event).status_code == 200

    assert not only_webhook().is_parsed
    assert effects_of(only_webhook()) == []


@pytest.mark.parametrize(
    ("key", "is_live"), [("sk_test_1", False), ("sk_live_1", True), ("rk_live_1", True)]
)
def test_an_event_of_the_keys_mode_is_applied(db, client, settings, handled, key, is_live):
    settings.STRIPE_API_KEY = key

    deliver(client, make_event(livemode=is_live))

    assert effects_of(only_webhook()) == ["handler"]


@pytest.mark.parametrize("livemode", [None, "no", 1, ...], ids=["null", "text", "1", "missing"])
def test_an_event_without_a_valid_mode_is_applied(db, client, handled, livemode):
    event = make_event(livemode=livemode)
    if livemode is ...:
        del event["livemode"]

    assert deliver(client, event).status_code == 201

    assert not only_webhook().is_wrong_mode
    assert effects_of(only_webhook()) == ["handler"]


# Middleware, REST framework and transactions


def test_a_delivery_needs_no_csrf_token(db):
    assert deliver(Client(enforce_csrf_checks=True), make_event()).status_code == 201


@pytest.mark.skipif(django.VERSION < (5, 1), reason="LoginRequiredMiddleware is new in Django 5.1.")
def test_a_delivery_needs_no_login_with_the_login_required_middleware(db, settings):
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]

    assert deliver(Client(), make_event()).status_code == 201


class DenyAll(BasePermission):
    def has_permission(self, request, view):
        return False


class ThrottleAll(BaseThrottle):
    def allow_request(self, request, view):
        return False


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("permission_classes", [DenyAll]),
        ("throttle_classes", [ThrottleAll]),
        ("parser_classes", []),
    ],
)
def test_the_projects_api_settings_do_not_apply_to_the_endpoint(
    db, client, monkeypatch, attribute, value
):
    monkeypatch.setattr(APIView, attribute, value)

    assert deliver(client, make_event()).status_code == 201


@pytest.mark.parametrize("authorization", ["Basic !", "Token 1", "Bearer sk_live_1"])
def test_credentials_are_ignored(db, client, authorization):
    response = deliver(client, make_event(), HTTP_AUTHORIZATION=authorization)

    assert response.status_code == 201


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", "a"],
)
def test_the_content_type_is_ignored(db, client, content_type):
    event = make_event()
    body = body_of(event)

    response = client.generic(
        "POST", URL, body, content_type, HTTP_STRIPE_SIGNATURE=signature_of(body)
    )

    assert (response.status_code, only_webhook().raw_data) == (201, event)


def test_a_body_is_decoded_as_utf8_whatever_its_content_type(db, client):
    body = json.dumps(make_event(account="Müller"), ensure_ascii=False).encode()

    response = client.generic(
        "POST",
        URL,
        body,
        "application/json; charset=latin-1",
        HTTP_STRIPE_SIGNATURE=signature_of(body),
    )

    assert (response.status_code, only_webhook().raw_data["account"]) == (201, "Müller")


def rows_committed():
    """Return the number of rows that another connection sees."""
    try:
        return StripeWebhook.objects.count()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_atomic", [False, True])
class TestTransactions:
    """Transactions are the same with ``ATOMIC_REQUESTS`` and without."""

    @pytest.fixture(autouse=True)
    def atomic_requests(self, monkeypatch, is_atomic):
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", is_atomic)

    def test_the_event_is_committed_before_it_is_applied(self, client, on):
        seen = []

        @on(TYPE)
        def look(webhook):
            with ThreadPoolExecutor(1) as thread:
                seen.append(thread.submit(rows_committed).result())

        deliver(client, make_event())

        assert seen == [1]

    def test_a_failing_handler_is_rolled_back_and_the_event_stays_stored(
        self, client, failing_once
    ):
        event = make_event()

        assert deliver(client, event).status_code == 500

        assert not only_webhook().is_parsed
        assert effects_of(only_webhook()) == []
        assert deliver(client, event).status_code == 200
        assert effects_of(only_webhook()) == ["handler"]


# ASGI


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_length", [True, False])
def test_an_event_that_arrives_in_chunks_is_applied(handled, has_length):
    event = make_event()
    body = body_of(event)
    headers = [(b"content-length", str(len(body)).encode())] if has_length else []

    status = post_over_asgi(
        body[:50], body[50:60], body[60:], signature=signature_of(body), headers=headers
    )

    assert (status, only_webhook().raw_data) == (201, event)
    assert effects_of(only_webhook()) == ["handler"]


@pytest.mark.django_db(transaction=True)
def test_nothing_is_stored_if_the_client_disconnects():
    body = body_of(make_event())

    assert post_over_asgi(body[:50], None, signature=signature_of(body)) is None

    assert nothing_stored()


# Secrets


@pytest.mark.parametrize(
    "secrets",
    [
        "whsec_new",
        ["whsec_new"],
        ("whsec_new",),
        ["whsec_old", "whsec_new"],
        ["whsec_new", "whsec_old"],
        ["", None, "whsec_new"],
        "schlüssel",
    ],
    ids=str,
)
def test_a_signature_with_any_of_the_secrets_is_valid(db, client, settings, secrets):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = secrets
    used = "schlüssel" if secrets == "schlüssel" else "whsec_new"

    assert deliver(client, make_event(), secret=used).status_code == 201


@pytest.mark.parametrize(
    "used", ["whsec_old", "whsec_new", ["whsec_old", "whsec_new"], ["whsec_new", "whsec_old"]]
)
@pytest.mark.parametrize(
    "secrets",
    ["whsec_old", ["whsec_old"], ["whsec_old", "whsec_new"], ["whsec_new", "whsec_old"]],
    ids=str,
)
def test_while_a_secret_is_rolled_each_known_secret_is_valid(db, client, settings, secrets, used):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = secrets
    is_known = not (used == "whsec_new" and "whsec_new" not in secrets)

    response = deliver(client, make_event(), secret=used)

    assert response.status_code == (201 if is_known else 400)
    assert nothing_stored() is not is_known


def test_a_valid_signature_among_invalid_ones_is_found(db, client):
    body = body_of(make_event())
    timestamp, valid = signature_of(body).split(",")

    response = post(client, body, f"{timestamp},v0=abc,v1={'0' * 64},v1=,{valid},v1=abc,v2=abc")

    assert response.status_code == 201


@pytest.mark.parametrize("secrets", ["", None, [], (), [""], "  ", ["  ", "\t\n"], [None]], ids=str)
@pytest.mark.parametrize("used", ["", "  ", "None", "whsec_test"], ids=repr)
def test_without_a_secret_every_delivery_is_rejected(db, client, settings, secrets, used):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = secrets

    response = deliver(client, make_event(), secret=used)

    assert response.status_code == 503
    assert response.json() == {"detail": "Webhooks are not configured."}
    assert nothing_stored()


def test_a_missing_secret_setting_is_no_secret(db, client, settings):
    del settings.STRIPE_WEBHOOK_ENDPOINT_SECRET

    assert deliver(client, make_event(), secret="").status_code == 503


@pytest.mark.parametrize("used", ["", "  "])
def test_an_empty_secret_among_others_is_not_valid(db, client, settings, used):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = ["", "  ", "whsec_test"]

    assert deliver(client, make_event(), secret=used).status_code == 400
    assert nothing_stored()


def test_an_added_secret_is_used_at_once(db, client, settings):
    event = make_event()
    before = deliver(client, event, secret="whsec_new").status_code
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = ["whsec_test", "whsec_new"]

    after = post_signed(client, body_of(event), secret="whsec_new").status_code

    assert (before, after) == (400, 201)


@pytest.mark.parametrize("data", [None, {}, {"object": None}, {"object": {"id": 1}}])
@pytest.mark.parametrize(
    "event_type",
    [
        "payment_intent.succeeded",
        "charge.refunded",
        "customer.updated",
        "customer.subscription.updated",
        "invoice.paid",
        "coupon.created",
        "coupon.updated",
    ],
)
def test_an_event_whose_object_has_no_id_is_not_redelivered(db, client, event_type, data):
    response = deliver(client, make_event(event_type, data=data))

    assert response.status_code == 201
    webhook = only_webhook()
    assert webhook.is_parsed
    assert webhook.parse_error == "The event's object has no id."
