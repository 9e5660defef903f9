"""``StripeWebhook``: creating, saving, parsing and querying events."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.test.utils import isolate_apps
from django.utils import timezone

from aa_stripe.exceptions import (
    StripeMethodNotAllowed,
    StripeWebhookAlreadyParsed,
    StripeWebhookParseError,
)
from aa_stripe.jobs import apply_webhook
from aa_stripe.models import StripeWebhook
from aa_stripe.signals import webhook_pre_parse
from tests.support.rows import row_of
from tests.support.signals import connected
from tests.webhooks.effects import (
    PAYOUT,
    TYPE,
    WentWrong,
    effects_of,
    make_event,
    stored_event,
    write_effect,
)

NOT_EVENTS = [[], {}, "of old", 7, None, {"data": 1}, {"data": {"object": "po_1"}}, {"type": None}]


@pytest.fixture
def handled(db, on):
    """A handler whose effects can be counted."""
    on(TYPE)(write_effect)


def create(made):
    return StripeWebhook.objects.create(id=made["id"], raw_data=made)


# Creating


def test_creating_an_event_applies_it(handled):
    made = make_event()

    webhook = create(made)

    row = row_of(webhook)
    assert effects_of(webhook) == ["handler"]
    for it in (webhook, row):
        assert (it.is_parsed, it.parse_error, it.attempts, it.retry_at) == (True, "", 1, None)
    assert row.raw_data == made


def test_creating_an_event_again_raises_and_applies_nothing(handled):
    made = make_event()
    webhook = create(made)

    with pytest.raises(IntegrityError), transaction.atomic():
        create(made)

    assert effects_of(webhook) == ["handler"]
    assert StripeWebhook.objects.count() == 1


def test_saving_a_new_object_does_not_overwrite_the_row_with_its_id(handled):
    webhook = stored_event()

    with pytest.raises(IntegrityError), transaction.atomic():
        StripeWebhook(id=webhook.pk, raw_data=make_event("other.type")).save()

    row = row_of(webhook)
    assert row.raw_data == webhook.raw_data
    assert (row.is_parsed, row.attempts) == (False, 0)
    assert effects_of(webhook) == []


def test_creating_an_event_stores_it_even_if_its_handler_fails(db, on):
    made = make_event()

    @on(TYPE)
    def fail(webhook):
        raise WentWrong

    with pytest.raises(WentWrong):
        create(made)

    row = StripeWebhook.objects.get()
    assert (row.is_parsed, row.attempts) == (False, 1)
    assert row.parse_error.endswith("WentWrong")
    assert row.retry_at > timezone.now()


def test_creating_an_event_with_is_parsed_stores_it_without_applying_it(handled):
    made = make_event()

    webhook = StripeWebhook.objects.create(id=made["id"], raw_data=made, is_parsed=True)

    assert row_of(webhook).is_parsed
    assert effects_of(webhook) == []


def test_secrets_are_not_stored(db):
    made = make_event()
    made["data"] = {"object": {"id": "pi_1", "client_secret": "pi_1_secret_2"}}

    webhook = create(made)

    assert row_of(webhook).stripe_object == {"id": "pi_1"}


def test_characters_that_no_database_stores_are_escaped(db):
    made = make_event()
    made["data"] = {"object": {"id": "po_1", "description": "a\0b\ud800"}}

    webhook = create(made)

    assert row_of(webhook).stripe_object["description"] == "a\\u0000b\\ud800"


# Saving


def test_saving_a_stored_event_writes_only_the_changed_fields(handled):
    webhook = stored_event()
    stale = row_of(webhook)
    webhook.parse()

    stale.parse_error = "By hand."
    stale.save()

    row = row_of(webhook)
    assert (row.is_parsed, row.parse_error, row.attempts) == (True, "By hand.", 1)


def test_saving_a_stored_event_applies_it_as_in_0_14(handled):
    webhook = stored_event()

    webhook.save()
    webhook.save()

    assert row_of(webhook).is_parsed
    assert len(effects_of(webhook)) == 1


def test_saving_an_object_that_was_read_before_the_event_was_applied_keeps_the_mark(handled):
    webhook = stored_event()
    stale = row_of(webhook)
    webhook.parse()

    stale.save()

    assert row_of(webhook).is_parsed


# Parsing


def test_parsing_twice_raises_already_parsed(handled):
    webhook = stored_event()
    webhook.parse()

    with pytest.raises(StripeWebhookAlreadyParsed):
        webhook.parse()

    assert effects_of(webhook) == ["handler"]
    assert (row_of(webhook).attempts, row_of(webhook).parse_error) == (1, "")


def test_parsing_an_event_that_another_process_has_parsed_raises_already_parsed(handled):
    webhook = stored_event()
    row_of(webhook).parse()

    with pytest.raises(StripeWebhookAlreadyParsed):
        webhook.parse()

    assert effects_of(webhook) == ["handler"]


@pytest.mark.parametrize("save", [True, False])
def test_the_mark_is_stored_with_or_without_save(handled, save):
    webhook = stored_event()

    webhook.parse(save=save)

    assert row_of(webhook).is_parsed


def test_parsing_an_unsaved_event_stores_and_applies_it(handled):
    made = make_event()
    webhook = StripeWebhook(id=made["id"], raw_data=made)

    webhook.parse()

    assert row_of(webhook).is_parsed
    assert effects_of(webhook) == ["handler"]


# The wrong mode


@pytest.mark.parametrize(("key", "livemode"), [("sk_test_1", True), ("sk_live_1", False)])
def test_an_event_of_the_wrong_mode_is_stored_and_not_applied(handled, settings, key, livemode):
    settings.STRIPE_API_KEY = key

    webhook = create(make_event(livemode=livemode))

    row = row_of(webhook)
    assert (row.is_wrong_mode, row.is_parsed, row.parse_error) == (True, False, "")
    assert effects_of(webhook) == []


@pytest.mark.parametrize(
    ("key", "livemode", "message"),
    [("sk_test_1", True, "from live mode"), ("sk_live_1", False, "from test mode")],
)
@pytest.mark.parametrize("act", [StripeWebhook.parse, StripeWebhook.retry])
def test_applying_an_event_of_the_wrong_mode_raises(handled, settings, act, key, livemode, message):
    settings.STRIPE_API_KEY = key
    webhook = stored_event(livemode=livemode)

    with pytest.raises(StripeMethodNotAllowed, match=message):
        act(webhook)

    assert (row_of(webhook).is_parsed, row_of(webhook).attempts) == (False, 0)
    assert effects_of(webhook) == []


def test_parsing_an_unsaved_event_of_the_wrong_mode_raises(handled):
    made = make_event(livemode=True)
    webhook = StripeWebhook(id=made["id"], raw_data=made)

    with pytest.raises(StripeMethodNotAllowed, match="from live mode"):
        webhook.parse()

    assert not StripeWebhook.objects.exists()
    assert effects_of(webhook) == []


def test_an_event_can_be_applied_after_the_key_changed_to_its_mode(handled, settings):
    webhook = stored_event(livemode=True)
    settings.STRIPE_API_KEY = "sk_live_1"

    webhook.parse()

    row = row_of(webhook)
    assert (row.is_parsed, row.is_wrong_mode) == (True, False)
    assert effects_of(webhook) == ["handler"]


# The type and the object of an event


def test_an_event_has_a_type_and_an_object():
    webhook = StripeWebhook(id="evt_1", raw_data=make_event())

    assert (webhook.event_type, webhook.stripe_object) == (TYPE, PAYOUT)


@pytest.mark.parametrize("raw_data", NOT_EVENTS, ids=repr)
def test_an_old_row_that_is_no_event_has_no_type_and_no_object(raw_data):
    webhook = StripeWebhook(id="evt_old", raw_data=raw_data)

    assert (webhook.event_type, webhook.stripe_object) == ("", {})


@pytest.mark.parametrize("raw_data", [it for it in NOT_EVENTS if it is not None], ids=repr)
def test_an_old_row_that_is_no_event_is_marked_as_parsed_with_an_error(db, on, receiver, raw_data):
    called = []
    on("*")(called.append)
    receiver(lambda sender, instance, **kwargs: called.append(instance))
    [webhook] = StripeWebhook.objects.bulk_create([StripeWebhook(id="evt_old", raw_data=raw_data)])

    row_of(webhook).parse()

    row = row_of(webhook)
    assert row.is_parsed
    assert row.parse_error == "This is not a Stripe event."
    assert row.raw_data == raw_data
    assert called == []


# Queries


@pytest.fixture
def rows(db):
    """One event for each state; its id is the name of the state."""
    soon, past = (timezone.now() + timedelta(minutes=sign) for sign in (1, -1))
    states = {
        "new": {},
        "late": {"retry_at": past},
        "later": {"retry_at": soon},
        "failed": {"retry_at": past, "parse_error": "It failed."},
        "wrong": {"is_wrong_mode": True, "parse_error": "It failed."},
        "applied": {"is_parsed": True},
        "rejected": {"is_parsed": True, "parse_error": "It was rejected."},
    }
    StripeWebhook.objects.bulk_create(StripeWebhook(id=id, **it) for id, it in states.items())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unapplied", {"new", "late", "later", "failed"}),
        ("due", {"new", "late", "failed"}),
        ("failed", {"failed", "rejected"}),
    ],
)
def test_a_query_finds_the_events_in_these_states(rows, name, expected):
    assert {it.pk for it in getattr(StripeWebhook.objects.all(), name)()} == expected


def test_the_newest_event_comes_first(db):
    now = timezone.now()
    StripeWebhook.objects.bulk_create(
        StripeWebhook(id=id, created=now - timedelta(hours=hours))
        for id, hours in (("older", 2), ("newest", 0), ("newer", 1))
    )

    assert [it.pk for it in StripeWebhook.objects.all()] == ["newest", "newer", "older"]


# apply_webhook(), for the worker of a queue


def test_a_worker_that_applies_an_event_returns_true(handled):
    webhook = stored_event()

    assert apply_webhook(webhook.pk) is True

    assert (row_of(webhook).is_parsed, row_of(webhook).attempts) == (True, 1)
    assert effects_of(webhook) == ["handler"]


def test_a_worker_ignores_an_unknown_id(db, caplog):
    assert apply_webhook("evt_unknown") is False

    assert caplog.records == []


def test_a_worker_skips_an_event_that_was_applied(handled):
    webhook = stored_event()
    webhook.parse()

    assert apply_webhook(webhook.pk) is False

    assert (effects_of(webhook), row_of(webhook).attempts) == (["handler"], 1)


def test_a_worker_skips_an_event_of_the_wrong_mode(handled, caplog):
    webhook = stored_event(livemode=True)

    assert apply_webhook(webhook.pk) is False

    assert (effects_of(webhook), row_of(webhook).attempts) == ([], 0)
    assert caplog.records == []


def test_a_worker_logs_a_handler_that_failed(db, on, caplog):
    webhook = stored_event()

    @on(TYPE)
    def fail(webhook):
        raise WentWrong("No bread.")

    assert apply_webhook(webhook.pk) is False

    row = row_of(webhook)
    assert not row.is_parsed
    assert row.parse_error.endswith("WentWrong: No bread.")
    assert row.retry_at > timezone.now()
    assert f"Event {webhook.pk} ({TYPE}) could not be applied." in caplog.text
    assert "WentWrong: No bread." in caplog.text


def test_a_worker_counts_a_rejected_event_as_applied(db, on):
    webhook = stored_event()

    @on(TYPE)
    def reject(webhook):
        raise StripeWebhookParseError

    assert apply_webhook(webhook.pk) is True

    assert row_of(webhook).parse_error == "Unable to parse webhook"


# Models that a site derives


@isolate_apps("aa_stripe")
def test_a_receiver_of_our_model_hears_the_event_of_a_proxy(db):
    class Delivery(StripeWebhook):
        class Meta:
            app_label = "aa_stripe"
            proxy = True

    heard = []

    def receive(sender, instance, **kwargs):
        heard.append((sender, instance))

    webhook = Delivery(id="evt_1", raw_data={"type": "payout.paid", "data": {"object": {}}})
    with connected(webhook_pre_parse, receive, sender=StripeWebhook):
        webhook.save()

    assert heard == [(StripeWebhook, webhook)]
