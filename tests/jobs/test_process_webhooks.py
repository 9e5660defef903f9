"""``process_webhooks`` applies stored events, retries failed ones and prunes old ones."""

from __future__ import annotations

import io
import math
import re
import signal
import subprocess
import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.signals import pre_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.exceptions import StripeWebhookParseError
from aa_stripe.jobs import listed as listing
from aa_stripe.jobs import preview_webhooks, process_webhooks, prune_webhooks, webhooks
from aa_stripe.jobs.listed import Listed
from aa_stripe.models import StripeWebhook, rows
from aa_stripe.signals import webhook_pre_parse
from tests.jobs.events import TYPE, ids, store, unapplied
from tests.jobs.noting import noted
from tests.support.processes import TIMEOUT
from tests.support.statements import statements
from tests.support.terminal import Terminal

LIVE_KEY = "rk_live_fake"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test advances."""

    class Clock:
        now = timezone.now()

    monkeypatch.setattr(timezone, "now", lambda: Clock.now)
    return Clock


def ago(length):
    return timezone.now() - length


def reject(on, reason):
    """Register a handler that rejects every event."""

    @on(TYPE)
    def handler(webhook):
        raise StripeWebhookParseError(reason)

    return handler


# Applying


def test_unapplied_events_are_applied_oldest_first(applied, run):
    newest, oldest, between = (store(created=ago(hours * HOUR)) for hours in (1, 3, 2))

    ran = run("process_webhooks")

    assert applied == ids([oldest, between, newest])
    assert unapplied() == set()
    assert (ran.status, ran.stdout, ran.stderr) == (0, "applied: 3\n", "")


def test_the_built_in_handlers_are_called_too(run, caplog):
    store("charge.dispute.created", {"id": "dp_1", "object": "dispute", "charge": "ch_1"})

    run("process_webhooks")

    assert "dispute dp_1 of charge ch_1" in caplog.text


def test_an_event_is_applied_only_when_its_retry_is_due(applied, run):
    due = store(retry_at=ago(timedelta(seconds=1)))
    waiting = store(retry_at=ago(-HOUR))

    run("process_webhooks")

    assert applied == [due.pk]
    assert unapplied() == {waiting.pk}


def test_an_applied_event_is_not_applied_again(applied, run):
    store(is_parsed=True)
    store(is_parsed=True, parse_error="Unable to parse webhook")

    ran = run("process_webhooks")

    assert applied == []
    assert ran.stdout == ""


def test_a_second_run_finds_nothing_to_do(applied, run):
    store()
    run("process_webhooks")

    ran = run("process_webhooks")

    assert len(applied) == 1
    assert ran.stdout == ""


def test_an_event_that_is_settled_meanwhile_is_skipped(applied, on, run):
    first, second = store(), store()

    @on(TYPE)
    def settle_second(webhook):
        StripeWebhook.objects.filter(pk=second.pk).update(is_parsed=True)

    ran = run("process_webhooks")

    assert applied == [first.pk]
    assert ran.stdout == "applied: 1\nskipped (already settled by another process): 1\n"


def test_an_event_that_is_deleted_meanwhile_is_skipped(applied, on, run):
    first, second = store(), store()
    on(TYPE)(lambda webhook: StripeWebhook.objects.filter(pk=second.pk).delete())

    ran = run("process_webhooks")

    assert applied == [first.pk]
    assert ran.stdout == "applied: 1\nskipped (already settled by another process): 1\n"


def test_an_event_that_another_process_has_tried_meanwhile_is_skipped(applied, on, run):
    first, second = store(), store()

    @on(TYPE)
    def try_second(webhook):
        tried = {"attempts": 1, "retry_at": ago(-HOUR), "parse_error": "RuntimeError"}
        StripeWebhook.objects.filter(pk=second.pk).update(**tried)

    ran = run("process_webhooks")

    second.refresh_from_db()
    assert applied == [first.pk]
    assert second.attempts == 1
    assert ran.stdout == "applied: 1\nskipped (already settled by another process): 1\n"


def test_an_event_that_another_process_claims_at_the_same_time_is_skipped(
    applied, run, monkeypatch
):
    webhook = store()
    is_of_wrong_mode = StripeWebhook.is_of_wrong_mode

    def claim_meanwhile(self):
        StripeWebhook.objects.update(attempts=1)
        return is_of_wrong_mode(self)

    monkeypatch.setattr(StripeWebhook, "is_of_wrong_mode", claim_meanwhile)

    ran = run("process_webhooks")

    assert applied == []
    assert unapplied() == {webhook.pk}
    assert ran.stdout == "skipped (already settled by another process): 1\n"


# Events without a handler


def test_an_event_without_a_handler_is_applied_like_others(run):
    webhook = store(parse_error="RuntimeError", attempts=2, retry_at=ago(HOUR))
    before = StripeWebhook.objects.get()

    ran = run("process_webhooks")

    row = StripeWebhook.objects.get()
    assert ran.stdout == "applied: 1\n"
    assert (row.pk, row.is_parsed, row.parse_error) == (webhook.pk, True, "")
    assert (row.attempts, row.retry_at, row.claimed_until) == (3, None, None)
    assert (row.created, row.raw_data) == (before.created, before.raw_data)
    assert row.updated > before.updated


def test_a_receiver_of_all_events_is_called_for_them(run):
    webhook, received = store(), []

    def receive(sender, instance, **kwargs):
        received.append(instance.pk)

    webhook_pre_parse.connect(receive)
    try:
        run("process_webhooks")
    finally:
        webhook_pre_parse.disconnect(receive)

    assert received == [webhook.pk]


@pytest.mark.parametrize("change", [{"is_parsed": True}, {"attempts": 1}, {"claimed_until": HOUR}])
def test_it_is_skipped_if_another_process_has_worked_on_it_meanwhile(run, monkeypatch, change):
    webhook = store()
    is_of_wrong_mode = Listed.is_of_wrong_mode
    if "claimed_until" in change:
        change = {"attempts": 1, "claimed_until": timezone.now() + HOUR}

    def change_meanwhile(self):
        StripeWebhook.objects.update(**change)
        return is_of_wrong_mode(self)

    monkeypatch.setattr(Listed, "is_of_wrong_mode", change_meanwhile)

    ran = run("process_webhooks", "--id", webhook.pk)

    row = StripeWebhook.objects.get()
    if change == {"attempts": 1}:  # tried, and due again: the row is read as it is now
        assert ran.stdout == "applied: 1\n"
        assert row.attempts == 2
    else:
        assert ran.stdout == "skipped (already settled by another process): 1\n"
        assert {name: getattr(row, name) for name in change} == change


def test_an_event_whose_claim_has_ended_is_applied_without_a_handler_too(run):
    store(attempts=1, claimed_until=ago(HOUR))

    ran = run("process_webhooks")

    assert ran.stdout == "applied: 1\n"
    assert StripeWebhook.objects.get().claimed_until is None


@pytest.mark.parametrize("body", [{}, [], "text", {"type": 1}, {"type": None}, {"livemode": "x"}])
def test_an_old_row_without_an_event_gets_an_error(run, body):
    store()
    StripeWebhook.objects.update(raw_data=body)

    ran = run("process_webhooks")

    row = StripeWebhook.objects.get()
    assert row.is_parsed
    if body == {"type": 1}:  # as before
        assert row.parse_error == ""
    else:
        assert row.parse_error == "This is not a Stripe event."
    assert ran.status == 0


# Failures


def test_a_failing_event_is_reported_and_does_not_stop_the_run(failing, run, caplog):
    first, second, third = store(), store(), store()
    failing.add(second.pk)

    ran = run("process_webhooks")

    assert ran.status == 1
    assert ran.stdout.startswith(
        f"applied: 2\nException happened\nWebhook id: {second.pk}\nTraceback "
    )
    assert f"RuntimeError: {second.pk} cannot be handled." in ran.stdout
    assert ran.stdout.endswith("failed: 1\n")
    [record] = [it for it in caplog.records if it.levelname == "ERROR"]
    assert record.name == "aa-stripe"
    assert record.getMessage() == f"Exception happened. Webhook id: {second.pk}"
    assert record.exc_info[0] is RuntimeError
    assert unapplied() == {second.pk}
    written = set(Group.objects.values_list("name", flat=True))
    assert written == {f"about {first.pk}", f"about {third.pk}"}


def test_a_failure_is_stored_in_the_row(failing, run):
    webhook = store()
    failing.add(webhook.pk)

    run("process_webhooks")

    webhook.refresh_from_db()
    assert webhook.parse_error == f"RuntimeError: {webhook.pk} cannot be handled."
    assert webhook.attempts == 1


def test_the_delay_before_a_retry_doubles_up_to_six_hours(failing, run, clock):
    webhook = store()
    failing.add(webhook.pk)

    for minutes in (1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360):
        assert run("process_webhooks").status == 1
        webhook.refresh_from_db()
        assert webhook.retry_at == clock.now + timedelta(minutes=minutes)
        clock.now = webhook.retry_at - timedelta(seconds=1)
        assert run("process_webhooks").stdout == ""
        clock.now = webhook.retry_at

    webhook.refresh_from_db()
    assert webhook.attempts == 11


def test_a_failed_event_is_applied_when_its_retry_is_due(failing, applied, run):
    webhook = store()
    failing.add(webhook.pk)
    run("process_webhooks")
    failing.clear()
    StripeWebhook.objects.update(retry_at=timezone.now())

    ran = run("process_webhooks")

    webhook.refresh_from_db()
    assert (ran.status, ran.stdout) == (0, "applied: 1\n")
    assert (webhook.is_parsed, webhook.parse_error, webhook.retry_at) == (True, "", None)
    assert Group.objects.filter(name=f"about {webhook.pk}").count() == 1


def test_an_event_that_a_handler_rejects_is_counted_separately_and_is_no_failure(on, run, caplog):
    accepted = store("topup.succeeded")
    rejected = store()
    reject(on, "There is no such topup.")

    ran = run("process_webhooks")

    assert (ran.status, ran.stdout) == (0, "applied: 1\napplied, handler error recorded: 1\n")
    rejected.refresh_from_db()
    assert (rejected.is_parsed, rejected.parse_error) == (True, "There is no such topup.")
    accepted.refresh_from_db()
    assert (accepted.is_parsed, accepted.parse_error) == (True, "")


def test_a_key_that_stripe_refuses_ends_the_run_early(on, fake, run, settings):
    settings.STRIPE_API_KEY = "sk_wrong"
    for _ in range(5):
        store()
    tried = []

    @on(TYPE)
    def call_stripe(webhook):
        tried.append(webhook.pk)
        gateway.retrieve_customer("cus_1")

    ran = run("process_webhooks")

    assert ran.status == 1
    assert "Stopped early: Stripe rejected the API key" in ran.stdout
    assert ran.stdout.endswith("failed: 3\n")
    assert len(tried) == 3


# Events of the other mode


def test_an_event_of_the_other_mode_is_not_applied(applied, run):
    webhook = store(livemode=True)

    ran = run("process_webhooks")

    assert webhook.is_wrong_mode
    assert (applied, ran.stdout) == ([], "")


def test_an_event_is_reported_as_skipped_when_the_key_has_changed_its_mode(applied, run, settings):
    webhook = store()
    settings.STRIPE_API_KEY = LIVE_KEY

    ran = run("process_webhooks")

    assert applied == []
    assert ran.status == 0
    assert ran.stdout == f"skipped ({webhooks.OTHER_MODE}): 1\n"
    webhook.refresh_from_db()
    assert (webhook.is_parsed, webhook.attempts) == (False, 0)


def test_an_event_of_the_other_mode_is_applied_by_id_with_a_key_of_that_mode(
    applied, run, settings
):
    webhook = store(livemode=True)
    with_test_key = run("process_webhooks", "--id", webhook.pk)
    settings.STRIPE_API_KEY = LIVE_KEY

    ran = run("process_webhooks", "--id", webhook.pk)

    assert with_test_key.stdout == f"skipped ({webhooks.OTHER_MODE}): 1\n"
    assert ran.stdout == "applied: 1\n"
    assert applied == [webhook.pk]
    webhook.refresh_from_db()
    assert (webhook.is_parsed, webhook.is_wrong_mode) == (True, False)


# --failed


def test_events_with_an_error_are_applied_again_with_failed(applied, run):
    parsed = store(is_parsed=True, parse_error="Unable to parse webhook")
    unparsed = store(parse_error="RuntimeError", attempts=3, retry_at=ago(-HOUR))

    ran = run("process_webhooks", "--failed")

    assert applied == ids([parsed, unparsed])
    assert ran.stdout == "applied: 2\n"
    assert not StripeWebhook.objects.failed().exists()
    assert unapplied() == set()


def test_only_failed_events_of_this_mode_are_applied_with_failed(applied, run):
    store()
    store(is_parsed=True)
    store(parse_error="RuntimeError", livemode=True)
    before = list(StripeWebhook.objects.order_by("pk").values())

    ran = run("process_webhooks", "--failed")

    assert applied == []
    assert ran.stdout == ""
    assert list(StripeWebhook.objects.order_by("pk").values()) == before


def test_an_event_that_is_rejected_again_stores_the_new_reason(on, run):
    webhook = store(is_parsed=True, parse_error="Before.")
    reject(on, "Still not.")

    ran = run("process_webhooks", "--failed")

    webhook.refresh_from_db()
    assert (ran.status, ran.stdout) == (0, "applied, handler error recorded: 1\n")
    assert (webhook.is_parsed, webhook.parse_error) == (True, "Still not.")


def test_an_applied_event_that_fails_when_it_is_retried_stays_applied_with_its_error(failing, run):
    webhook = store(is_parsed=True, parse_error="Before.")
    failing.add(webhook.pk)

    ran = run("process_webhooks", "--failed")

    webhook.refresh_from_db()
    assert ran.status == 1
    assert webhook.is_parsed
    assert webhook.parse_error == f"RuntimeError: {webhook.pk} cannot be handled."
    assert not Group.objects.exists()


# --id


def test_only_the_named_events_are_applied_even_if_their_retry_is_not_due(applied, run):
    first = store(retry_at=ago(-HOUR))
    store()
    third = store(is_parsed=True, parse_error="Unable to parse webhook")

    ran = run("process_webhooks", "--id", third.pk, "--id", first.pk, "--id", first.pk)

    assert applied == ids([first, third])
    assert ran.stdout == "applied: 2\n"


def test_events_can_be_named_in_a_call(applied, run):
    first, second = store(), store()

    ran = run("process_webhooks", ids=[second.pk])

    assert applied == [second.pk]
    assert ran.stdout == "applied: 1\n"
    assert unapplied() == {first.pk}


def test_a_named_event_that_is_already_applied_is_skipped(applied, run):
    webhook = store(is_parsed=True)

    ran = run("process_webhooks", "--id", webhook.pk)

    assert applied == []
    assert (ran.status, ran.stdout) == (0, "skipped (already applied): 1\n")


@pytest.mark.parametrize("words", [[], ["--dry-run"], ["--failed"], ["--older-than", "1"]])
def test_a_named_event_that_is_not_stored_is_an_error_before_any_change(applied, run, words):
    webhook = store(created=ago(HOUR), parse_error="RuntimeError")

    with pytest.raises(CommandError, match=r"^--id: Events not stored: evt_nobody, evt_nothing\.$"):
        run(
            "process_webhooks",
            *words,
            *("--id", webhook.pk, "--id", "evt_nothing", "--id", "evt_nobody"),
        )

    assert applied == []
    assert unapplied() == {webhook.pk}


# Other options


def test_several_workers_apply_each_event_once(transactional_db, applied, run):
    stored = [store() for _ in range(20)]

    ran = run("process_webhooks", "--workers", "3")

    assert sorted(applied) == sorted(ids(stored))
    assert ran.stdout == "applied: 20\n"


def test_events_with_handlers_are_applied_at_once(transactional_db, on, run):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    barrier = threading.Barrier(3, timeout=TIMEOUT)
    on(TYPE)(lambda webhook: barrier.wait())
    for _ in range(3):
        store()

    ran = run("process_webhooks", "--workers", "3")

    assert ran.stdout == "applied: 3\n"


def test_the_limit_is_exact_with_several_workers(transactional_db, applied, run):
    for _ in range(9):
        store()

    run("process_webhooks", "--workers", "3", "--limit", "4")

    assert len(applied) == 4


def test_a_negative_number_of_workers_is_rejected(applied, run):
    store()

    with pytest.raises(CommandError, match=r"--workers must be at least 0 \(got -1\)"):
        run("process_webhooks", "--workers=-1")

    assert applied == []


def test_events_younger_than_older_than_are_not_applied(applied, run):
    old = store(created=ago(timedelta(seconds=61)))
    store(created=ago(timedelta(seconds=0)))

    ran = run("process_webhooks", "--older-than", "60")

    assert applied == [old.pk]
    assert ran.stdout == "applied: 1\n"


def test_skipped_events_do_not_count_towards_the_limit(applied, failing, run):
    store(livemode=True)
    StripeWebhook.objects.update(is_wrong_mode=False)
    failed, done, left = store(), store(), store()
    failing.add(failed.pk)

    ran = run("process_webhooks", "--limit", "2")

    assert applied == [failed.pk, done.pk]
    assert f"skipped ({webhooks.OTHER_MODE}): 1\n" in ran.stdout
    assert left.pk in unapplied()


def test_the_rate_is_passed_to_the_job(run, monkeypatch):
    store()
    rates, at_rate = [], webhooks.at_rate
    monkeypatch.setattr(webhooks, "at_rate", lambda rate: rates.append(rate) or at_rate(rate))

    run("process_webhooks", "--rate", "250")

    assert rates == [250]


def test_a_dry_run_reports_and_writes_nothing(applied, run):
    due = store()
    store(retry_at=ago(-HOUR))
    old = store(is_parsed=True, created=ago(40 * DAY))

    with CaptureQueriesContext(connection) as captured:
        ran = run("process_webhooks", "--dry-run", "--prune", "31", verbosity=2)

    assert ran.stdout == (
        f"Webhook id: {due.pk}: would be applied\nWebhook id: {old.pk}: would be pruned\n"
        "would be applied: 1\nwould be pruned: 1\n"
    )
    assert applied == []
    assert all(sql.startswith("SELECT") for sql in statements(captured))


@pytest.mark.parametrize("words", [["--failed"], ["--limit", "1"], ["--older-than", "60"]])
def test_a_dry_run_respects_the_other_options(run, words):
    store(created=ago(HOUR), parse_error="RuntimeError")
    store()

    ran = run("process_webhooks", "--dry-run", *words)

    assert ran.stdout == "would be applied: 1\n"


def test_a_dry_run_reports_what_would_be_skipped(run, settings):
    done, of_other_mode = store(is_parsed=True), store(livemode=True)

    ran = run("process_webhooks", "--dry-run", "--id", done.pk, "--id", of_other_mode.pk)

    assert ran.stdout == (f"skipped (already applied): 1\nskipped ({webhooks.OTHER_MODE}): 1\n")


def test_skipped_events_do_not_count_towards_the_limit_of_a_dry_run(run):
    store(livemode=True)
    StripeWebhook.objects.update(is_wrong_mode=False)
    store()

    ran = run("process_webhooks", "--dry-run", "--limit", "1")

    assert ran.stdout == f"would be applied: 1\nskipped ({webhooks.OTHER_MODE}): 1\n"


def test_verbosity_2_lists_the_events(failing, run):
    done, failed = store(), store()
    failing.add(failed.pk)

    ran = run("process_webhooks", verbosity=2)

    assert ran.stdout.splitlines()[:3] == [
        f"Webhook id: {done.pk}: applied",
        f"Webhook id: {failed.pk}: failed: {failed.pk} cannot be handled.",
        "applied: 1",
    ]


def test_verbosity_0_prints_failures_only(failing, run):
    store()
    failed = store()
    failing.add(failed.pk)

    ran = run("process_webhooks", verbosity=0)

    assert ran.stdout.startswith(f"Exception happened\nWebhook id: {failed.pk}\nTraceback ")
    assert "applied" not in ran.stdout


@pytest.mark.parametrize(
    "words",
    [
        [option, value]
        for option in ("--older-than", "--prune", "--rate")
        for value in ("nan", "inf", "-1", "1e300", "abc")
        if (option, value) != ("--rate", "1e300")  # allowed: it is practically no limit
    ]
    + [["--older-than", "1e12"], ["--prune", "1e6"], ["--limit", "0"], ["--limit", "-1"]],
)
def test_an_invalid_value_is_rejected_before_any_change(applied, run, words):
    webhook = store()
    option, value = words

    with pytest.raises(CommandError) as rejected:
        run("process_webhooks", f"{option}={value}")

    message = str(rejected.value)
    assert any(text in message for text in (value, str(float_or_text(value))))
    assert "\n" not in message
    assert applied == []
    assert unapplied() == {webhook.pk}


def float_or_text(value):
    try:
        return float(value)
    except ValueError:
        return value


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1, 1e300])
def test_an_invalid_value_is_rejected_in_a_call_too(run, seconds):
    with pytest.raises(CommandError, match="--older-than"):
        run("process_webhooks", older_than=seconds)


def test_the_job_rejects_an_invalid_rate():
    with pytest.raises(ValueError, match="above 0"):
        process_webhooks(rate=0)


# Pruning


def test_old_events_that_were_applied_without_an_error_are_deleted(run):
    old = {"created": ago(32 * DAY)}
    store(is_parsed=True, **old)
    kept = {
        store(is_parsed=True, created=ago(30 * DAY)).pk,
        store(is_parsed=True, parse_error="Unable to parse webhook", **old).pk,
        store(retry_at=ago(-HOUR), **old).pk,
        store(retry_at=ago(-HOUR), parse_error="RuntimeError", **old).pk,
        store(livemode=True, **old).pk,
    }

    ran = run("process_webhooks", "--prune", "31")

    assert set(StripeWebhook.objects.values_list("pk", flat=True)) == kept
    assert (ran.status, ran.stdout) == (0, "pruned: 1\n")


def test_no_event_is_deleted_without_prune(run):
    store(is_parsed=True, created=ago(400 * DAY))

    ran = run("process_webhooks")

    assert StripeWebhook.objects.count() == 1
    assert ran.stdout == ""


def test_an_old_event_is_applied_before_it_is_deleted(applied, run):
    webhook = store(created=ago(40 * DAY))

    ran = run("process_webhooks", "--prune", "40")

    assert applied == [webhook.pk]
    assert ran.stdout == "applied: 1\npruned: 1\n"
    assert not StripeWebhook.objects.exists()


@pytest.mark.parametrize("days", ["0", "30", "30.99"])
def test_events_are_kept_for_31_days_at_least(applied, run, days):
    store(is_parsed=True, created=ago(400 * DAY))
    store()

    with pytest.raises(CommandError, match="at least 31 days"):
        run("process_webhooks", "--prune", days)

    assert applied == []
    assert StripeWebhook.objects.count() == 2


def test_the_job_rejects_an_age_below_31_days():
    with pytest.raises(ValueError, match="at least 31 days"):
        prune_webhooks(older_than=30 * DAY)


def test_events_are_deleted_in_chunks(run, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_SIZE", 3)
    monkeypatch.setattr(webhooks, "CHUNK_SIZE", 3)
    for _ in range(7):
        store(is_parsed=True, created=ago(40 * DAY))

    with CaptureQueriesContext(connection) as captured:
        ran = run("process_webhooks", "--prune", "31")

    assert ran.stdout == "pruned: 7\n"
    assert len([sql for sql in statements(captured) if sql.startswith("DELETE")]) == 3


def test_a_chunk_that_cannot_be_deleted_is_reported_and_does_not_stop_the_run(
    transactional_db, applied, run, monkeypatch
):
    monkeypatch.setattr(rows, "CHUNK_SIZE", 2)
    monkeypatch.setattr(webhooks, "CHUNK_SIZE", 2)
    first, second, third = (store(is_parsed=True, created=ago(40 * DAY)) for _ in range(3))
    store()

    def protect(sender, instance, **kwargs):
        if instance.pk == second.pk:
            raise RuntimeError("Another row refers to it.")

    pre_delete.connect(protect, sender=StripeWebhook)
    try:
        ran = run("process_webhooks", "--prune", "31")
    finally:
        pre_delete.disconnect(protect, sender=StripeWebhook)

    assert ran.status == 1
    assert ran.stdout.startswith(
        "applied: 1\npruned: 1\n"
        f"Exception happened\nWebhook ids: {first.pk} to {second.pk}\nTraceback "
    )
    assert not StripeWebhook.objects.filter(pk=third.pk).exists()
    assert StripeWebhook.objects.filter(pk__in=ids([first, second])).count() == 2


def test_a_run_that_ends_early_deletes_nothing(on, fake, run, settings):
    settings.STRIPE_API_KEY = "sk_wrong"
    store(is_parsed=True, created=ago(40 * DAY))
    for _ in range(4):
        store()
    on(TYPE)(lambda webhook: gateway.retrieve_customer("cus_1"))

    ran = run("process_webhooks", "--prune", "31")

    assert "Stopped early" in ran.stdout
    assert StripeWebhook.objects.filter(is_parsed=True).count() == 1


def test_a_terminal_shows_the_progress_of_applying_and_pruning():
    store()
    store(is_parsed=True, created=ago(40 * DAY))
    terminal = Terminal()

    call_command("process_webhooks", prune=31, stdout=io.StringIO(), stderr=terminal)

    assert "Webhooks: 100%" in terminal.getvalue()
    assert "Old webhooks: 100%" in terminal.getvalue()


# Cost


def test_each_event_costs_three_statements(applied):
    def cost(number):
        for _ in range(number):
            store()
        with CaptureQueriesContext(connection) as captured:
            process_webhooks()
        return len(statements(captured))

    reading_the_row, claiming_it, marking_it = 1, 1, 1
    locking_the_database = int(connection.vendor == "sqlite")
    each = reading_the_row + claiming_it + locking_the_database + marking_it

    fixed = cost(0)
    assert cost(1) - each <= fixed + 2
    assert cost(11) - cost(1) == 10 * each
    assert len(applied) == 13


def cost_of(work, number):
    """Return the statements of ``work()`` with ``number`` more events, without their bodies."""
    for _ in range(number):
        store()
    with CaptureQueriesContext(connection) as captured:
        work()
    executed = statements(captured)
    assert not any(re.search(r"""raw_data["`], ["`]""", sql) for sql in executed)
    return len(executed)


def test_an_event_without_a_handler_costs_one_statement():
    fixed = cost_of(process_webhooks, 0)
    few = cost_of(process_webhooks, 1)

    assert few <= fixed + 4  # the first and the last id, the ids and details of a chunk
    assert cost_of(process_webhooks, 11) == few + 10
    assert unapplied() == set()


def test_a_dry_run_reads_the_events_in_chunks(monkeypatch):
    monkeypatch.setattr(rows, "SORTED_CHUNK_SIZE", 8)
    monkeypatch.setattr(listing, "CHUNK_SIZE", 4)
    fixed = cost_of(preview_webhooks, 0)

    cost = cost_of(preview_webhooks, 24)

    sorted_chunks, chunks = 3, 6
    assert cost == fixed + sorted_chunks + chunks
    assert preview_webhooks().done == {"would be applied": 24}


# Processes


@pytest.fixture
def start(start_module):
    """Start the command of ``noting.py``; it waits for a line of input."""
    streams = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}

    def start(*words, **environment):
        return start_module(
            *("tests.jobs.noting", "process_webhooks", *words), **streams, env=environment
        )

    return start


def finish(children):
    """Send each child its line of input; return what each prints until its end."""
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    return [child.communicate(timeout=TIMEOUT) for child in children]


@pytest.mark.parametrize("workers", ["1", "4"])
def test_two_runs_at_once_apply_each_event_once(transactional_db, start, workers):
    stored = [store() for _ in range(60)]

    children = [start("--workers", workers, "--verbosity", "2") for _ in range(2)]
    printed = finish(children)

    assert [child.returncode for child in children] == [0, 0]
    assert [stderr for _, stderr in printed] == ["", ""]
    counts = [int(it) for out, _ in printed for it in re.findall(r"^applied: (\d+)", out, re.M)]
    assert sum(counts) == 60
    assert noted() == dict.fromkeys(ids(stored), 1)
    assert unapplied() == set()


def test_the_next_run_applies_what_a_killed_run_did_not(transactional_db, start):
    stored = [store() for _ in range(10)]
    killed = start(DIES_AT=stored[4].pk)
    finish([killed])
    remaining = unapplied()
    interrupted = StripeWebhook.objects.get(pk=stored[4].pk)
    StripeWebhook.objects.update(retry_at=None, claimed_until=None)  # the retry is due now

    [(printed, _)] = finish([start("--verbosity", "2")])

    assert killed.returncode == -signal.SIGKILL
    assert remaining == set(ids(stored[4:]))
    assert interrupted.attempts == 1
    assert interrupted.retry_at is not None
    assert "applied: 6" in printed.splitlines()
    assert noted() == dict.fromkeys(ids(stored), 1)
    assert unapplied() == set()
