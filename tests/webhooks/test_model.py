"""The row of an event: made, saved, parsed, chosen."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from aa_stripe.exceptions import (
    StripeMethodNotAllowed,
    StripeWebhookAlreadyParsed,
    StripeWebhookParseError,
)
from aa_stripe.jobs import apply_webhook
from aa_stripe.models import StripeWebhook
from tests.support.rows import row_of
from tests.webhooks.effects import (
    PAYOUT,
    TYPE,
    WentWrong,
    effects_of,
    make_event,
    stored_event,
    write_effect,
)

NO_EVENTS = [[], {}, "of old", 7, None, {"data": 1}, {"data": {"object": "po_1"}}, {"type": None}]


@pytest.fixture
def handled(db, on):
    """An event's effect is counted."""
    on(TYPE)(write_effect)


def create(made):
    return StripeWebhook.objects.create(id=made["id"], raw_data=made)


# Made


def test_creating_an_event_applies_it(handled):
    made = make_event()

    webhook = create(made)

    row = row_of(webhook)
    assert effects_of(webhook) == ["handler"]
    for it in (webhook, row):
        assert (it.is_parsed, it.parse_error, it.attempts, it.retry_at) == (True, "", 1, None)
    assert row.raw_data == made


def test_creating_an_event_again_is_refused_and_applies_nothing(handled):
    made = make_event()
    webhook = create(made)

    with pytest.raises(IntegrityError), transaction.atomic():
        create(made)

    assert effects_of(webhook) == ["handler"]
    assert StripeWebhook.objects.count() == 1


def test_a_new_object_does_not_overwrite_the_row_of_its_id(handled):
    webhook = stored_event()

    with pytest.raises(IntegrityError), transaction.atomic():
        StripeWebhook(id=webhook.pk, raw_data=make_event("other.type")).save()

    row = row_of(webhook)
    assert row.raw_data == webhook.raw_data
    assert (row.is_parsed, row.attempts) == (False, 0)
    assert effects_of(webhook) == []


def test_an_event_whose_handler_fails_is_stored_by_creating_it(db, on):
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


def test_an_event_that_is_said_to_be_parsed_is_stored_without_applying_it(handled):
    made = make_event()

    webhook = StripeWebhook.objects.create(id=made["id"], raw_data=made, is_parsed=True)

    assert row_of(webhook).is_parsed
    assert effects_of(webhook) == []


def test_secrets_are_not_stored(db):
    made = make_event()
    made["data"] = {"object": {"id": "pi_1", "client_secret": "pi_1_secret_2"}}

    webhook = create(made)

    assert row_of(webhook).stripe_object == {"id": "pi_1"}


def test_text_that_no_database_holds_is_stored_escaped(db):
    made = make_event()
    made["data"] = {"object": {"id": "po_1", "description": "a\0b\ud800"}}

    webhook = create(made)

    assert row_of(webhook).stripe_object["description"] == "a\\u0000b\\ud800"


# Saved


def test_saving_a_stored_event_writes_only_what_was_changed(handled):
    webhook = stored_event()
    stale = row_of(webhook)
    webhook.parse()

    stale.parse_error = "By hand."
    stale.save()

    row = row_of(webhook)
    assert (row.is_parsed, row.parse_error, row.attempts) == (True, "By hand.", 1)


def test_saving_a_stored_event_applies_nothing(handled):
    webhook = stored_event()

    webhook.save()

    assert not row_of(webhook).is_parsed
    assert effects_of(webhook) == []


def test_saving_what_was_read_before_it_was_applied_does_not_take_the_mark_off(handled):
    webhook = stored_event()
    stale = row_of(webhook)
    webhook.parse()

    stale.save()

    assert row_of(webhook).is_parsed


# Parsed


def test_parsing_twice_is_refused(handled):
    webhook = stored_event()
    webhook.parse()

    with pytest.raises(StripeWebhookAlreadyParsed):
        webhook.parse()

    assert effects_of(webhook) == ["handler"]
    assert (row_of(webhook).attempts, row_of(webhook).parse_error) == (1, "")


def test_parsing_what_somebody_else_has_parsed_is_refused(handled):
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


# Of the other mode


@pytest.mark.parametrize(("key", "livemode"), [("sk_test_1", True), ("sk_live_1", False)])
def test_an_event_of_the_other_mode_is_stored_and_not_applied(handled, settings, key, livemode):
    settings.STRIPE_API_KEY = key

    webhook = create(make_event(livemode=livemode))

    row = row_of(webhook)
    assert (row.is_wrong_mode, row.is_parsed, row.parse_error) == (True, False, "")
    assert effects_of(webhook) == []


@pytest.mark.parametrize(
    ("key", "livemode", "said"),
    [("sk_test_1", True, "from live mode"), ("sk_live_1", False, "from test mode")],
)
@pytest.mark.parametrize("act", [StripeWebhook.parse, StripeWebhook.retry])
def test_applying_an_event_of_the_other_mode_is_refused(
    handled, settings, act, key, livemode, said
):
    settings.STRIPE_API_KEY = key
    webhook = stored_event(livemode=livemode)

    with pytest.raises(StripeMethodNotAllowed, match=said):
        act(webhook)

    assert (row_of(webhook).is_parsed, row_of(webhook).attempts) == (False, 0)
    assert effects_of(webhook) == []


def test_parsing_an_unsaved_event_of_the_other_mode_is_refused(handled):
    made = make_event(livemode=True)
    webhook = StripeWebhook(id=made["id"], raw_data=made)

    with pytest.raises(StripeMethodNotAllowed, match="from live mode"):
        webhook.parse()

    assert not StripeWebhook.objects.exists()
    assert effects_of(webhook) == []


def test_an_event_can_be_applied_once_the_key_is_of_its_mode(handled, settings):
    webhook = stored_event(livemode=True)
    settings.STRIPE_API_KEY = "sk_live_1"

    webhook.parse()

    row = row_of(webhook)
    assert (row.is_parsed, row.is_wrong_mode) == (True, False)
    assert effects_of(webhook) == ["handler"]


# What it is about


def test_an_event_says_what_it_is_about():
    webhook = StripeWebhook(id="evt_1", raw_data=make_event())

    assert (webhook.event_type, webhook.stripe_object) == (TYPE, PAYOUT)


@pytest.mark.parametrize("raw_data", NO_EVENTS, ids=repr)
def test_a_row_of_old_that_is_no_event_is_about_nothing(raw_data):
    webhook = StripeWebhook(id="evt_old", raw_data=raw_data)

    assert (webhook.event_type, webhook.stripe_object) == ("", {})


@pytest.mark.parametrize("raw_data", [it for it in NO_EVENTS if it is not None], ids=repr)
def test_a_row_of_old_that_is_no_event_counts_as_parsed_with_an_error(db, on, receiver, raw_data):
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


# Chosen


@pytest.fixture
def rows(db):
    """An event in each state there is, named after it."""
    soon, past = (timezone.now() + timedelta(minutes=sign) for sign in (1, -1))
    states = {
        "new": {},
        "late": {"retry_at": past},
        "later": {"retry_at": soon},
        "failed": {"retry_at": past, "parse_error": "It failed."},
        "wrong": {"is_wrong_mode": True, "parse_error": "It failed."},
        "applied": {"is_parsed": True},
        "refused": {"is_parsed": True, "parse_error": "It was refused."},
    }
    StripeWebhook.objects.bulk_create(StripeWebhook(id=id, **it) for id, it in states.items())


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("unapplied", {"new", "late", "later", "failed"}),
        ("due", {"new", "late", "failed"}),
        ("failed", {"failed", "refused"}),
    ],
)
def test_a_query_finds_the_events_of_its_name(rows, name, chosen):
    assert {it.pk for it in getattr(StripeWebhook.objects.all(), name)()} == chosen


def test_the_newest_event_comes_first(db):
    now = timezone.now()
    StripeWebhook.objects.bulk_create(
        StripeWebhook(id=id, created=now - timedelta(hours=hours))
        for id, hours in (("older", 2), ("newest", 0), ("newer", 1))
    )

    assert [it.pk for it in StripeWebhook.objects.all()] == ["newest", "newer", "older"]


# For the worker of a queue


def test_a_worker_that_applies_an_event_says_so(handled):
    webhook = stored_event()

    assert apply_webhook(webhook.pk) is True

    assert (row_of(webhook).is_parsed, row_of(webhook).attempts) == (True, 1)
    assert effects_of(webhook) == ["handler"]


def test_a_worker_does_nothing_for_an_id_that_is_not_here(db, caplog):
    assert apply_webhook("evt_unknown") is False

    assert caplog.records == []


def test_a_worker_does_nothing_for_an_event_that_was_applied(handled):
    webhook = stored_event()
    webhook.parse()

    assert apply_webhook(webhook.pk) is False

    assert (effects_of(webhook), row_of(webhook).attempts) == (["handler"], 1)


def test_a_worker_does_nothing_for_an_event_of_the_other_mode(handled, caplog):
    webhook = stored_event(livemode=True)

    assert apply_webhook(webhook.pk) is False

    assert (effects_of(webhook), row_of(webhook).attempts) == ([], 0)
    assert caplog.records == []


def test_a_worker_logs_what_failed_and_goes_on(db, on, caplog):
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


def test_a_worker_counts_an_event_that_could_not_be_followed_as_applied(db, on):
    webhook = stored_event()

    @on(TYPE)
    def refuse(webhook):
        raise StripeWebhookParseError

    assert apply_webhook(webhook.pk) is True

    assert row_of(webhook).parse_error == "Unable to parse webhook"
