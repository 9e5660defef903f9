"""An event that Stripe has signed: stored, applied, and answered so that it comes again or not."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor

import django
import pytest
from django.db import IntegrityError, OperationalError, connection
from django.db.models.signals import pre_save
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
    ADDRESS,
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

TRY_AGAIN = {"detail": "The event could not be applied yet; please send it again."}


@pytest.fixture
def handled(on):
    on(TYPE)(write_effect)


@pytest.fixture
def failing_once(on):
    """A handler that writes and then fails, but only the first time."""
    calls = []

    @on(TYPE)
    def fail_once(webhook):
        write_effect(webhook)
        calls.append(webhook.pk)
        if len(calls) == 1:
            raise WentWrong("The books are closed.")


# Where it is


@pytest.mark.parametrize("path", [ADDRESS, f"{ADDRESS}/"])
def test_the_address_may_end_with_a_slash(db, client, path):
    answer = deliver(client, make_event(), path=path)

    assert answer.status_code == 201


def test_the_endpoint_has_a_name():
    assert reverse("stripe-webhooks") == ADDRESS
    assert resolve(ADDRESS).func.view_class is WebhookAPI


@pytest.mark.parametrize("path", ["/aa-stripe/webhooks//", "/aa-stripe/webhooks/evt_1"])
def test_there_is_nothing_below_the_address(db, client, path):
    assert deliver(client, make_event(), path=path).status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_only_post_is_allowed(db, client, method):
    body = body_of(make_event())

    answer = client.generic(method, ADDRESS, body, HTTP_STRIPE_SIGNATURE=signature_of(body))

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert nothing_stored()


# New, repeated


def test_a_new_event_is_stored_and_applied_and_shown(db, client, handled):
    event = make_event()

    answer = deliver(client, event)

    assert answer.status_code == 201
    assert answer.json() == {"id": event["id"], "raw_data": event}
    webhook = only_webhook()
    assert (webhook.pk, webhook.raw_data) == (event["id"], event)
    assert (webhook.is_parsed, webhook.parse_error, webhook.attempts) == (True, "", 1)
    assert effects_of(webhook) == ["handler"]


def test_an_event_that_nobody_listens_to_is_stored_as_applied(db, client):
    assert deliver(client, make_event()).status_code == 201

    webhook = only_webhook()
    assert (webhook.is_parsed, webhook.parse_error, webhook.retry_at) == (True, "", None)


def test_a_repeated_event_is_shown_and_applied_no_second_time(db, client, handled):
    event = make_event()
    deliver(client, event)

    answers = [deliver(client, event) for _ in range(2)]

    assert [it.status_code for it in answers] == [200, 200]
    assert [it.json() for it in answers] == [{"id": event["id"], "raw_data": event}] * 2
    assert effects_of(only_webhook()) == ["handler"]


def test_an_event_of_the_same_id_and_another_content_does_not_take_its_place(db, client, handled):
    event = make_event()
    deliver(client, event)

    answer = deliver(client, {**event, "created": 1})

    assert (answer.status_code, answer.json()["raw_data"]) == (200, event)
    assert only_webhook().raw_data == event
    assert effects_of(only_webhook()) == ["handler"]


def test_a_stored_event_that_was_not_applied_is_applied_when_it_is_repeated(db, client, handled):
    webhook = stored_event()

    answer = deliver(client, webhook.raw_data)

    assert answer.status_code == 200
    webhook.refresh_from_db()
    assert (webhook.is_parsed, webhook.attempts) == (True, 1)
    assert effects_of(webhook) == ["handler"]


def test_a_type_that_stripe_invents_tomorrow_is_stored(db, client):
    assert deliver(client, make_event("some_day.something.happened")).status_code == 201
    assert only_webhook().is_parsed


# What goes wrong


def test_a_handler_that_fails_makes_stripe_send_the_event_again(db, client, failing_once):
    answer = deliver(client, make_event())

    assert (answer.status_code, answer.json()) == (500, TRY_AGAIN)
    webhook = only_webhook()
    assert not webhook.is_parsed
    assert "WentWrong: The books are closed." in webhook.parse_error
    assert webhook.attempts == 1
    assert webhook.retry_at > timezone.now()
    assert effects_of(webhook) == []


def test_a_handler_that_fails_is_logged_with_its_traceback(db, client, failing_once, caplog):
    event = make_event()

    deliver(client, event)

    [record] = (it for it in caplog.records if it.name == "aa-stripe")
    assert record.levelno == logging.ERROR
    assert record.exc_info[0] is WentWrong
    assert record.getMessage() == f"Event {event['id']} ({TYPE}) could not be applied."


def test_what_a_handler_says_is_not_told_to_the_sender(db, client, failing_once):
    assert b"books" not in deliver(client, make_event()).content


def test_the_repeated_event_is_applied_after_its_handler_failed(db, client, failing_once):
    event = make_event()
    deliver(client, event)

    answers = [deliver(client, event).status_code for _ in range(2)]

    assert answers == [200, 200]
    webhook = only_webhook()
    assert (webhook.is_parsed, webhook.parse_error, webhook.attempts) == (True, "", 2)
    assert webhook.retry_at is None
    assert effects_of(webhook) == ["handler"]


def test_a_repeated_event_that_fails_again_is_answered_as_before(db, client, on):
    @on(TYPE)
    def fail(webhook):
        raise WentWrong

    event = make_event()

    answers = [deliver(client, event).status_code for _ in range(3)]

    assert answers == [500, 500, 500]
    assert (only_webhook().is_parsed, only_webhook().attempts) == (False, 3)


def test_a_receiver_that_fails_makes_stripe_send_the_event_again(db, client, handled, receiver):
    @receiver
    def fail(sender, **kwargs):
        raise WentWrong("Not today.")

    answer = deliver(client, make_event())

    assert (answer.status_code, answer.json()) == (500, TRY_AGAIN)
    assert "WentWrong: Not today." in only_webhook().parse_error
    assert not only_webhook().is_parsed
    assert effects_of(only_webhook()) == []


def test_an_event_that_no_repetition_would_help_is_not_asked_for_again(db, client, on):
    @on(TYPE)
    def refuse(webhook):
        raise StripeWebhookParseError("Nothing of ours.")

    event = make_event()

    answers = [deliver(client, event).status_code for _ in range(2)]

    assert answers == [201, 200]
    webhook = only_webhook()
    assert (webhook.is_parsed, webhook.parse_error) == (True, "Nothing of ours.")
    assert webhook.attempts == 1


def test_a_row_that_the_database_refuses_is_not_taken_for_a_repeated_one(db, client, caplog):
    def spoil(sender, instance, **kwargs):
        instance.parse_error = None

    pre_save.connect(spoil, sender=StripeWebhook)
    try:
        answer = deliver(client, make_event())
    finally:
        pre_save.disconnect(spoil, sender=StripeWebhook)

    assert (answer.status_code, answer.json()) == (500, TRY_AGAIN)
    assert nothing_stored()
    [record] = (it for it in caplog.records if it.name == "aa-stripe")
    assert record.exc_info[0] is IntegrityError


def test_a_database_that_is_away_makes_stripe_send_the_event_again(db, client, handled, caplog):
    def be_away(execute, sql, params, many, context):
        raise OperationalError("The server closed the connection.")

    event = make_event()

    with connection.execute_wrapper(be_away):
        answer = deliver(client, event)

    assert (answer.status_code, answer.json()) == (500, TRY_AGAIN)
    [record] = (it for it in caplog.records if it.name == "aa-stripe")
    assert record.exc_info[0] is OperationalError
    assert nothing_stored()
    assert deliver(client, event).status_code == 201
    assert effects_of(only_webhook()) == ["handler"]


# Live mode and test mode


@pytest.fixture(params=["live event, test key", "test event, live key"])
def other_mode(request, settings):
    """An event that comes from where the key does not belong."""
    is_live = request.param.startswith("live")
    settings.STRIPE_API_KEY = "sk_test_1" if is_live else "sk_live_1"
    return make_event(livemode=is_live)


def test_an_event_of_the_other_mode_is_stored_and_marked_and_not_applied(
    db, client, handled, other_mode
):
    answer = deliver(client, other_mode)

    assert (answer.status_code, answer.json()["id"]) == (201, other_mode["id"])
    webhook = only_webhook()
    assert (webhook.is_wrong_mode, webhook.is_parsed) == (True, False)
    assert effects_of(webhook) == []


def test_a_repeated_event_of_the_other_mode_is_not_applied_either(db, client, handled, other_mode):
    deliver(client, other_mode)

    assert deliver(client, other_mode).status_code == 200

    assert (only_webhook().is_wrong_mode, only_webhook().is_parsed) == (True, False)
    assert effects_of(only_webhook()) == []


def test_an_event_of_the_other_mode_that_nobody_listens_to_is_marked_as_well(
    db, client, other_mode
):
    assert deliver(client, other_mode).status_code == 201

    assert (only_webhook().is_wrong_mode, only_webhook().is_parsed) == (True, False)


def test_a_repeated_event_is_applied_once_the_key_is_one_of_its_mode(
    db, client, settings, handled, other_mode
):
    deliver(client, other_mode)
    settings.STRIPE_API_KEY = "sk_live_1" if other_mode["livemode"] else "sk_test_1"

    assert deliver(client, other_mode).status_code == 200

    assert (only_webhook().is_wrong_mode, only_webhook().is_parsed) == (False, True)
    assert effects_of(only_webhook()) == ["handler"]


def test_a_repeated_event_is_left_alone_if_the_key_has_become_one_of_the_other_mode(
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
def test_an_event_that_does_not_tell_its_mode_is_applied(db, client, handled, livemode):
    event = make_event(livemode=livemode)
    if livemode is ...:
        del event["livemode"]

    assert deliver(client, event).status_code == 201

    assert not only_webhook().is_wrong_mode
    assert effects_of(only_webhook()) == ["handler"]


# What is around it


def test_it_needs_no_csrf_token(db):
    assert deliver(Client(enforce_csrf_checks=True), make_event()).status_code == 201


@pytest.mark.skipif(django.VERSION < (5, 1), reason="LoginRequiredMiddleware is of Django 5.1")
def test_it_needs_nobody_signed_in_where_every_view_does(db, settings):
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]

    assert deliver(Client(), make_event()).status_code == 201


class Nobody(BasePermission):
    def has_permission(self, request, view):
        return False


class Never(BaseThrottle):
    def allow_request(self, request, view):
        return False


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("permission_classes", [Nobody]), ("throttle_classes", [Never]), ("parser_classes", [])],
)
def test_what_the_project_sets_for_its_api_is_not_for_stripe(
    db, client, monkeypatch, attribute, value
):
    monkeypatch.setattr(APIView, attribute, value)

    assert deliver(client, make_event()).status_code == 201


@pytest.mark.parametrize("authorization", ["Basic !", "Token 1", "Bearer sk_live_1"])
def test_credentials_are_not_looked_at(db, client, authorization):
    answer = deliver(client, make_event(), HTTP_AUTHORIZATION=authorization)

    assert answer.status_code == 201


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", "a"],
)
def test_the_type_of_the_body_is_not_looked_at(db, client, content_type):
    event = make_event()
    body = body_of(event)

    answer = client.generic(
        "POST", ADDRESS, body, content_type, HTTP_STRIPE_SIGNATURE=signature_of(body)
    )

    assert (answer.status_code, only_webhook().raw_data) == (201, event)


def test_a_body_is_utf8_whatever_it_is_said_to_be(db, client):
    body = json.dumps(make_event(account="Müller"), ensure_ascii=False).encode()

    answer = client.generic(
        "POST",
        ADDRESS,
        body,
        "application/json; charset=latin-1",
        HTTP_STRIPE_SIGNATURE=signature_of(body),
    )

    assert (answer.status_code, only_webhook().raw_data["account"]) == (201, "Müller")


def rows_committed():
    """What somebody else sees, on another connection."""
    try:
        return StripeWebhook.objects.count()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_atomic", [False, True])
class TestTransactions:
    """The same with ``ATOMIC_REQUESTS`` and without."""

    @pytest.fixture(autouse=True)
    def atomic_requests(self, monkeypatch, is_atomic):
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", is_atomic)

    def test_the_event_is_committed_before_it_is_applied(self, client, on):
        seen = []

        @on(TYPE)
        def look(webhook):
            with ThreadPoolExecutor(1) as elsewhere:
                seen.append(elsewhere.submit(rows_committed).result())

        deliver(client, make_event())

        assert seen == [1]

    def test_what_a_handler_wrote_is_undone_when_it_fails_and_the_event_stays(
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
def test_of_a_client_that_goes_away_nothing_is_kept():
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
def test_each_of_the_endpoints_secrets_signs(db, client, settings, secrets):
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
def test_while_a_secret_is_rolled_a_signature_of_either_will_do(
    db, client, settings, secrets, used
):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = secrets
    is_known = not (used == "whsec_new" and "whsec_new" not in secrets)

    answer = deliver(client, make_event(), secret=used)

    assert answer.status_code == (201 if is_known else 400)
    assert nothing_stored() is not is_known


def test_a_right_signature_among_wrong_ones_is_found(db, client):
    body = body_of(make_event())
    at, right = signature_of(body).split(",")

    answer = post(client, body, f"{at},v0=abc,v1={'0' * 64},v1=,{right},v1=abc,v2=abc")

    assert answer.status_code == 201


@pytest.mark.parametrize("secrets", ["", None, [], (), [""], "  ", ["  ", "\t\n"], [None]], ids=str)
@pytest.mark.parametrize("used", ["", "  ", "None", "whsec_test"], ids=repr)
def test_without_a_secret_everything_is_refused(db, client, settings, secrets, used):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = secrets

    answer = deliver(client, make_event(), secret=used)

    assert answer.status_code == 503
    assert answer.json() == {"detail": "Webhooks are not configured."}
    assert nothing_stored()


def test_a_secret_that_is_left_out_is_none(db, client, settings):
    del settings.STRIPE_WEBHOOK_ENDPOINT_SECRET

    assert deliver(client, make_event(), secret="").status_code == 503


@pytest.mark.parametrize("used", ["", "  "])
def test_an_empty_secret_among_others_signs_nothing(db, client, settings, used):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = ["", "  ", "whsec_test"]

    assert deliver(client, make_event(), secret=used).status_code == 400
    assert nothing_stored()


def test_a_secret_that_is_added_is_used_at_once(db, client, settings):
    event = make_event()
    refused = deliver(client, event, secret="whsec_new").status_code
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = ["whsec_test", "whsec_new"]

    accepted = post_signed(client, body_of(event), secret="whsec_new").status_code

    assert (refused, accepted) == (400, 201)


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
def test_an_event_that_does_not_say_what_it_is_about_is_not_tried_again(
    db, client, event_type, data
):
    answer = deliver(client, make_event(event_type, data=data))

    assert answer.status_code == 201
    webhook = only_webhook()
    assert webhook.is_parsed
    assert webhook.parse_error == "The event's object has no id."
