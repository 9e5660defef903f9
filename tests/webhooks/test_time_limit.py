"""A handler that hangs in ``process_webhooks``: the run gives the event up and goes on."""

from __future__ import annotations

import signal
import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, transaction
from django.utils import timezone

from aa_stripe.jobs import check_pending_webhooks, process_webhooks, watched, webhooks
from aa_stripe.jobs.crew import Alone
from aa_stripe.jobs.watched import WatchedCrew, watched_crew_of
from aa_stripe.models import StripeWebhook
from aa_stripe.models.webhook import claim
from tests.jobs.events import add_event
from tests.support.processes import KILLED, TIMEOUT
from tests.support.rows import row_of
from tests.support.threads import InThread
from tests.support.waiting import wait_until
from tests.webhooks.effects import (
    TYPE,
    effects_of,
    end_claims,
    stored_event,
    write_effect,
)

pytestmark = pytest.mark.django_db(transaction=True)

only_with_row_locks = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite is locked while a handler may write."
)

TOO_SLOW = (
    "aa_stripe.exceptions.StripeWebhookTooSlow: "
    "The handlers took longer than 4 seconds. The event will be retried."
)


@pytest.fixture
def time_limit(settings):
    settings.STRIPE_WEBHOOK_HANDLER_TIMEOUT = 4


@pytest.fixture
def events():
    """Six events. The handler hangs at the second one."""
    return [stored_event() for _ in range(6)]


class Hanging:
    """A handler that writes and then hangs for one event, at its first call, until ``wake()``."""

    def __init__(self, webhook):
        self.id = webhook.pk
        self.begin = write_effect
        self.thread = None
        self.may_go_on = threading.Event()

    def __call__(self, webhook):
        if webhook.pk != self.id or self.thread is not None:
            write_effect(webhook)
            return
        self.thread = threading.current_thread()
        self.begin(webhook)
        self.hang()
        write_effect(webhook, by="woken")

    def hang(self):
        assert self.may_go_on.wait(TIMEOUT)

    def wake(self):
        """End the hanging; wait until the thread has ended."""
        self.may_go_on.set()
        if self.thread is not None:
            self.thread.join(TIMEOUT)
            assert not self.thread.is_alive()


@pytest.fixture
def hanging(events, on, time_limit):
    handler = Hanging(events[1])
    on(TYPE)(handler)
    yield handler
    handler.wake()


def others(events):
    return [events[0], *events[2:]]


# The run


@only_with_row_locks
@pytest.mark.parametrize("workers", [1, 4])
def test_the_other_events_of_the_run_are_applied(events, hanging, caplog, workers):
    report = process_webhooks(workers=workers)

    [failure] = report.failed
    assert report.done == {"applied": 5}
    assert [effects_of(it) for it in others(events)] == [["handler"]] * 5
    assert (failure.label, failure.error) == (f"Webhook id: {hanging.id}", TOO_SLOW)
    [where] = [it.getMessage() for it in caplog.records if "take too long" in it.getMessage()]
    assert hanging.id in where
    assert "in hang\n" in where
    assert hanging.thread.is_alive()


@only_with_row_locks
def test_the_event_is_retried_later(events, hanging):
    process_webhooks()

    row = row_of(events[1])
    assert (row.is_parsed, row.attempts, row.claimed_until) == (False, 1, None)
    assert row.parse_error == TOO_SLOW
    assert timedelta() < row.retry_at - timezone.now() <= timedelta(minutes=1)


@only_with_row_locks
def test_all_workers_may_hang(events, on, time_limit):
    handlers = [Hanging(it) for it in events[:3]]
    by_id = {it.id: it for it in handlers}
    on(TYPE)(lambda webhook: by_id.get(webhook.pk, write_effect)(webhook))

    report = process_webhooks(workers=3)

    assert report.done == {"applied": 3}
    assert len(report.failed) == 3
    for handler in handlers:
        handler.wake()


# The abandoned handler


@only_with_row_locks
def test_a_handler_that_wakes_commits_nothing(events, hanging):
    process_webhooks()

    hanging.wake()

    assert effects_of(events[1]) == []
    assert not row_of(events[1]).is_parsed


@pytest.fixture
def hidden_socket(monkeypatch):
    """A driver that does not show its socket, so that the connection cannot be cut."""
    monkeypatch.setattr(watched, "_duplicate", lambda connection: None)


@only_with_row_locks
def test_a_handler_that_wakes_commits_nothing_even_with_its_connection(
    events, hanging, hidden_socket
):
    process_webhooks()

    hanging.wake()

    row = row_of(events[1])
    assert effects_of(row) == []
    assert (row.is_parsed, row.parse_error) == (False, TOO_SLOW)


@only_with_row_locks
@pytest.mark.parametrize("wakes", ["before", "during", "after"])
def test_a_second_run_applies_the_event_once(events, hanging, wakes, hidden_socket, on):
    process_webhooks()
    StripeWebhook.objects.update(retry_at=None)
    if wakes == "before":
        hanging.wake()
    if wakes == "during":
        on(TYPE)(lambda webhook: hanging.wake())

    report = process_webhooks()

    if wakes == "after":
        hanging.wake()
    row = row_of(events[1])
    assert report.done == {"applied": 1}
    assert effects_of(row) == ["handler"]
    assert (row.is_parsed, row.parse_error, row.attempts) == (True, "", 2)


@only_with_row_locks
def test_a_handler_that_hangs_keeps_no_locks(events, hanging):
    group = Group.objects.create(name="locked")

    def lock(webhook):
        Group.objects.select_for_update().get(pk=group.pk)

    hanging.begin = lock
    process_webhooks()

    def is_free():
        try:
            with transaction.atomic():
                Group.objects.select_for_update(nowait=True).get(pk=group.pk)
        except DatabaseError:
            return False
        return True

    wait_until(is_free)
    assert hanging.thread.is_alive()


def lock_own_row(webhook):
    StripeWebhook.objects.select_for_update().get(pk=webhook.pk)


@only_with_row_locks
def test_an_event_whose_row_the_handler_has_locked_is_given_up_too(events, hanging):
    hanging.begin = lock_own_row

    process_webhooks()

    assert row_of(events[1]).parse_error == TOO_SLOW


@only_with_row_locks
def test_a_row_that_stays_locked_does_not_hold_up_the_run(
    events, hanging, hidden_socket, caplog, monkeypatch
):
    monkeypatch.setattr(claim, "GIVE_UP_PATIENCE", 0.2)
    hanging.begin = lock_own_row

    report = process_webhooks()

    assert report.done == {"applied": 5}
    assert len(report.failed) == 1
    assert f"The failure of event {hanging.id} could not be recorded" in caplog.text
    assert row_of(events[1]).parse_error == ""


@only_with_row_locks
def test_an_event_that_another_process_has_claimed_is_not_changed(events, hanging, monkeypatch):
    give_up_event = webhooks.give_up_event

    def claim_first(webhook, token):
        end_claims()
        assert claim.claim(row_of(events[1])) == 2
        give_up_event(webhook, token)

    monkeypatch.setattr(webhooks, "give_up_event", claim_first)

    process_webhooks()

    row = row_of(events[1])
    assert (row.attempts, row.parse_error) == (2, "")
    assert row.claimed_until is not None


@only_with_row_locks
def test_an_event_that_hangs_before_its_claim_is_reported_and_not_changed(
    events, hanging, monkeypatch
):
    apply_event = webhooks.apply_event

    def hang(webhook, **options):
        if webhook.pk == hanging.id:
            hanging.thread = threading.current_thread()
            hanging.hang()
            return False
        return apply_event(webhook, **options)

    monkeypatch.setattr(webhooks, "apply_event", hang)

    report = process_webhooks(workers=2)

    row = row_of(events[1])
    assert report.done == {"applied": 5}
    assert [it.error for it in report.failed] == [TOO_SLOW]
    assert (row.attempts, row.parse_error) == (0, "")


# Late handlers


def test_a_handler_that_is_late_but_commits_is_logged(on, settings, caplog):
    settings.STRIPE_WEBHOOK_HANDLER_TIMEOUT = 1e-6
    webhook = stored_event()
    on(TYPE)(write_effect)

    webhook.parse()

    assert effects_of(webhook) == ["handler"]
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert f"The handlers of event {webhook.pk} (payout.paid) took " in record.getMessage()
    assert "longer than STRIPE_WEBHOOK_HANDLER_TIMEOUT (1e-06)" in record.getMessage()


def test_a_handler_in_time_is_not_logged(on, caplog):
    webhook = stored_event()
    on(TYPE)(write_effect)

    webhook.parse()

    assert caplog.records == []


# Who works


def kind_of_crew(workers):
    crew = watched_crew_of(workers, print, DEFAULT_DB_ALIAS, time_limit=1, give_up=print)
    return type(crew), crew.size


def test_one_worker_is_a_thread_but_on_sqlite_the_calling_one():
    one = (Alone, 1) if connection.vendor == "sqlite" else (WatchedCrew, 1)

    assert kind_of_crew(None) == kind_of_crew(1) == one
    assert kind_of_crew(4) == (WatchedCrew, 4)


def test_without_workers_and_inside_a_transaction_the_calling_thread_works_alone():
    assert kind_of_crew(0) == (Alone, 1)
    with transaction.atomic():
        assert kind_of_crew(4) == (Alone, 1)


@pytest.mark.parametrize("workers", [0, 4])
def test_the_handlers_run_in_the_chosen_threads(events, on, run_threads, workers):
    report = process_webhooks(workers=workers)

    assert report.done == {"applied": 6}
    assert (threading.current_thread() in run_threads) == (workers == 0)


@pytest.fixture
def run_threads(on):
    threads = set()
    on(TYPE)(lambda webhook: threads.add(threading.current_thread()))
    return threads


@pytest.mark.parametrize("workers", [-1, 1.5, "4", True])
def test_another_number_of_workers_is_rejected(workers):
    with pytest.raises(ValueError, match="workers must be a whole number of at least 0"):
        process_webhooks(workers=workers)


# The crew


def work_until(event):
    """Return a function that waits for the event if the key is ``"slow"``."""

    def work(key):
        if key == "slow":
            assert event.wait(TIMEOUT)
        return f"done {key}"

    return work


@pytest.fixture
def woken():
    woken = threading.Event()
    yield woken
    woken.set()


def crew_of_one(work, time_limit):
    return WatchedCrew(1, work, DEFAULT_DB_ALIAS, time_limit, lambda key, stack: f"gave up {key}")


def test_another_thread_replaces_the_abandoned_one(woken):
    with crew_of_one(work_until(woken), 0.2) as crew:
        crew.give("slow")
        slow = crew.take_result()
        [abandoned] = [it for it in threading.enumerate() if it.name.startswith("aa_stripe")]
        crew.give("quick")
        quick = crew.take_result()

    assert slow == ("slow", "gave up slow")
    assert quick == ("quick", "done quick")
    assert abandoned.is_alive()
    woken.set()
    abandoned.join(TIMEOUT)
    assert not abandoned.is_alive()


def test_a_result_that_arrives_in_time_is_taken(woken):
    with crew_of_one(work_until(woken), TIMEOUT) as crew:
        crew.give("slow")
        woken.set()

        assert crew.take_result() == ("slow", "done slow")


def test_an_exit_of_a_row_is_raised():
    def leave(key):
        raise SystemExit(3)

    with crew_of_one(leave, TIMEOUT) as crew:
        crew.give("row")
        with pytest.raises(SystemExit):
            crew.take_result()


# Processes


@pytest.fixture
def start(start_module, events):
    """A function that starts ``process_webhooks``; its handler hangs at the second event."""

    def start(*words, how="hang"):
        environment = {"AT": events[1].pk, "HOW": how}
        return start_module("tests.webhooks.runner", *words, env=environment)

    return start


@only_with_row_locks
@pytest.mark.parametrize("workers", ["1", "4"])
def test_the_process_ends_while_its_handler_hangs(events, start, workers):
    child = start("--workers", workers)

    output, _ = child.communicate(timeout=TIMEOUT)

    assert child.returncode == 1
    assert "applied: 5\n" in output
    assert f"Exception happened\nWebhook id: {events[1].pk}\n{TOO_SLOW}" in output
    assert output.endswith("failed: 1\n")
    assert [effects_of(it) for it in events] == [["handler"], [], *[["handler"]] * 4]
    assert row_of(events[1]).parse_error == TOO_SLOW


@only_with_row_locks
def test_a_signal_ends_the_run_although_a_handler_hangs(events, start):
    child = start(how="terminate")

    output, _ = child.communicate(timeout=TIMEOUT)

    assert f"Stopped early: received {signal.SIGTERM.name}.\n" in output
    assert child.returncode == 1
    assert [effects_of(it) for it in events] == [["handler"], [], [], [], [], []]
    assert row_of(events[1]).parse_error == TOO_SLOW


@only_with_row_locks
def test_a_process_that_is_killed_while_a_handler_hangs_has_applied_nothing_twice(
    events, start, on
):
    child = start("--workers", "4", how="die")
    child.communicate(timeout=TIMEOUT)
    assert child.returncode == KILLED
    on(TYPE)(write_effect)
    StripeWebhook.objects.update(retry_at=None)
    end_claims()

    process_webhooks(workers=4)

    assert [effects_of(it) for it in events] == [["handler"]] * 6


@only_with_row_locks
def test_the_other_missing_events_are_recovered_while_a_handler_hangs(fake, on, time_limit):
    missing = [add_event(fake, TYPE) for _ in range(4)]
    handler = Hanging(StripeWebhook(id=missing[1]))
    on(TYPE)(handler)

    report = check_pending_webhooks(recover=True).report

    [failure] = report.failed
    assert (failure.label, failure.error) == (f"Webhook id: {missing[1]}", TOO_SLOW)
    assert report.done["applied"] == 3
    row = StripeWebhook.objects.get(pk=missing[1])
    assert (row.is_parsed, row.parse_error, row.claimed_until) == (False, TOO_SLOW, None)
    handler.wake()
    assert [effects_of(row_of(StripeWebhook(id=it))) for it in missing] == [
        ["handler"],
        [],
        ["handler"],
        ["handler"],
    ]


def test_two_threads_of_different_runs_apply_each_event_once(events, on):
    on(TYPE)(write_effect)

    runs = [InThread(lambda: process_webhooks(workers=2)) for _ in range(2)]
    reports = [it.join() for it in runs]

    assert sum(it.done["applied"] for it in reports) == 6
    assert [it.failed for it in reports] == [[], []]
    assert [effects_of(it) for it in events] == [["handler"]] * 6
