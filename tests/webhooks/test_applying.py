"""Each event is applied exactly once, also after failures and at the same time."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.db.models import F
from django.utils import timezone

from aa_stripe.exceptions import (
    StripeWebhookAlreadyParsed,
    StripeWebhookInProgress,
    StripeWebhookParseError,
    StripeWebhookTooSlow,
)
from aa_stripe.jobs import apply_webhook, receive
from aa_stripe.models import StripeWebhook
from aa_stripe.models import rows as rows_module
from aa_stripe.models.now import DatabaseNow
from aa_stripe.models.rows import is_conflict
from aa_stripe.models.webhook import apply as apply_module
from aa_stripe.models.webhook import claim as claim_module
from aa_stripe.models.webhook.apply import SwallowedDatabaseError
from aa_stripe.models.webhook.claim import claim, delay_after
from tests.support.rows import row_of
from tests.support.threads import InThread
from tests.webhooks.effects import (
    TIMEOUT,
    TYPE,
    WentWrong,
    effects_of,
    end_claims,
    make_due,
    make_event,
    stored_event,
    write_effect,
)

on_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="Only there does an error end the transaction."
)
on_mariadb = pytest.mark.skipif(
    "connection.vendor != 'mysql'", reason="Only there does waiting for a lock time out."
)
on_servers = pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="SQLite has one writer at a time."
)

#: With these, a transaction cannot write a row that another one has changed since it began.
REPEATABLE_READ = {
    "postgresql": ["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ"],
    "mysql": [
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SET SESSION innodb_snapshot_isolation = 1",
    ],
}


@pytest.fixture
def webhook(db):
    return stored_event()


@pytest.fixture
def repeatable_read(transactional_db):
    execute(*REPEATABLE_READ[connection.vendor])
    yield
    connection.close()


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(rows_module, "PAUSE", 0)


def execute(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def write(group):
    """Lock the group until the end of the transaction."""
    Group.objects.filter(pk=group.pk).update(name=F("name"))


class SerializationFailure(Exception):
    """The error that psycopg raises."""

    sqlstate = "40001"


def raise_conflict():
    raise OperationalError("could not serialize access") from SerializationFailure()


# Success


def test_an_applied_event_has_its_effect_and_is_marked(webhook, on):
    on(TYPE)(write_effect)

    webhook.parse()

    row = row_of(webhook)
    assert effects_of(webhook) == ["handler"]
    for it in (webhook, row):
        assert (it.is_parsed, it.parse_error, it.attempts, it.retry_at) == (True, "", 1, None)


def test_an_event_without_handlers_is_marked_as_applied(webhook):
    webhook.parse()

    assert row_of(webhook).is_parsed


def test_a_receiver_that_saves_the_event_keeps_the_mark(webhook, receiver):
    @receiver
    def save(sender, instance, **kwargs):
        instance.save()

    webhook.parse()

    assert row_of(webhook).is_parsed


def test_a_receiver_may_change_the_event_and_save_it(webhook, receiver):
    @receiver
    def note(sender, instance, **kwargs):
        instance.raw_data["note"] = "seen"
        instance.save()

    webhook.parse()

    row = row_of(webhook)
    assert row.raw_data["note"] == "seen"
    assert row.is_parsed


# A handler that fails


def test_a_failing_handler_rolls_everything_back_and_the_event_is_retried(webhook, on):
    failures = [WentWrong("No bread.")]
    on(TYPE)(lambda webhook: write_effect(webhook, "before"))

    @on(TYPE)
    def fail(webhook):
        write_effect(webhook)
        if failures:
            raise failures.pop()

    with pytest.raises(WentWrong):
        webhook.parse()

    row = row_of(webhook)
    assert effects_of(webhook) == []
    assert not row.is_parsed
    assert row.parse_error.endswith("WentWrong: No bread.")
    assert row.retry_at > timezone.now()
    assert make_due(webhook).retry()
    row = row_of(webhook)
    assert effects_of(webhook) == ["before", "handler"]
    assert (row.is_parsed, row.parse_error, row.attempts, row.retry_at) == (True, "", 2, None)


def test_the_object_in_memory_equals_its_row_after_a_failure(webhook, on):
    @on(TYPE)
    def fail(webhook):
        raise WentWrong

    with pytest.raises(WentWrong):
        webhook.parse()

    row = row_of(webhook)
    fields = ("is_parsed", "parse_error", "attempts", "retry_at")
    assert [getattr(webhook, it) for it in fields] == [getattr(row, it) for it in fields]
    assert webhook.changed_fields() == set()


def create_a_duplicate(webhook):
    Group.objects.create(name="taken")


def update_to_a_duplicate(webhook):
    Group.objects.filter(name__startswith=webhook.pk).update(name="taken")


def insert_a_duplicate_with_sql(webhook):
    execute("INSERT INTO auth_group (name) VALUES ('taken')")


@pytest.mark.parametrize(
    "violate",
    [
        create_a_duplicate,
        update_to_a_duplicate,
        pytest.param(insert_a_duplicate_with_sql, marks=on_postgresql),
    ],
)
@pytest.mark.parametrize("database", ["db", "transactional_db"])
def test_a_handler_that_swallows_a_database_error_rolls_everything_back(
    request, database, on, violate
):
    request.getfixturevalue(database)
    webhook, should_swallow = stored_event(), [True]
    Group.objects.create(name="taken")
    on(TYPE)(lambda webhook: write_effect(webhook, "before"))

    @on(TYPE)
    def swallow(webhook):
        write_effect(webhook)
        if should_swallow:
            with contextlib.suppress(IntegrityError):
                violate(webhook)

    with pytest.raises((SwallowedDatabaseError, DatabaseError)):
        webhook.parse()

    row = row_of(webhook)
    assert effects_of(webhook) == []
    assert (row.is_parsed, row.attempts) == (False, 1)
    assert row.parse_error
    assert row.retry_at > timezone.now()
    should_swallow.clear()
    assert make_due(webhook).retry()
    assert row_of(webhook).is_parsed
    assert effects_of(webhook) == ["before", "handler"]


def test_the_recorded_error_names_the_handler_that_swallowed_it(webhook, on):
    Group.objects.create(name="taken")

    @on(TYPE)
    def swallow_an_error(webhook):
        with contextlib.suppress(IntegrityError):
            create_a_duplicate(webhook)

    with pytest.raises(SwallowedDatabaseError):
        webhook.parse()

    assert "swallow_an_error continued after a database error" in row_of(webhook).parse_error


def test_a_database_error_in_the_handlers_own_transaction_is_no_failure(webhook, on):
    Group.objects.create(name="taken")

    @on(TYPE)
    def handler(webhook):
        write_effect(webhook)
        with contextlib.suppress(IntegrityError), transaction.atomic():
            create_a_duplicate(webhook)

    webhook.parse()

    assert row_of(webhook).is_parsed
    assert effects_of(webhook) == ["handler"]


def test_a_receiver_that_applies_its_own_event_fails(webhook, receiver):
    @receiver
    def apply(sender, instance, **kwargs):
        instance.parse()

    with pytest.raises(RuntimeError, match="on an event that has already been applied") as raised:
        webhook.parse()

    row = row_of(webhook)
    assert isinstance(raised.value.__cause__, StripeWebhookAlreadyParsed)
    assert not row.is_parsed
    assert "on an event that has already been applied" in row.parse_error


def test_a_handler_that_applies_an_applied_event_fails(webhook, on):
    applied = StripeWebhook(id="evt_applied", raw_data={"type": "ping"}, is_parsed=True)
    applied.store()

    @on(TYPE)
    def apply(webhook):
        applied.parse()

    with pytest.raises(RuntimeError, match="on an event that has already been applied"):
        webhook.parse()

    assert not row_of(webhook).is_parsed


# A handler that rejects the event


def test_a_rejection_rolls_back_only_what_its_handler_wrote(webhook, on):
    on(TYPE)(lambda webhook: write_effect(webhook, "before"))

    @on(TYPE)
    def reject(webhook):
        write_effect(webhook, "rejected")
        raise StripeWebhookParseError("There is no such payout.")

    on(TYPE)(lambda webhook: write_effect(webhook, "after"))

    webhook.parse()

    row = row_of(webhook)
    assert effects_of(webhook) == ["after", "before"]
    for it in (webhook, row):
        assert (it.is_parsed, it.retry_at) == (True, None)
        assert it.parse_error == "There is no such payout."


def test_the_errors_of_several_handlers_are_recorded(webhook, on):
    @on(TYPE)
    def reject(webhook):
        raise StripeWebhookParseError("One.")

    @on(TYPE)
    def reject_too(webhook):
        raise StripeWebhookParseError("Two.")

    webhook.parse()

    assert row_of(webhook).parse_error == "One.\nTwo."


def test_the_handlers_run_although_a_receiver_rejects_the_event(webhook, on, receiver):
    @receiver
    def reject(sender, instance, **kwargs):
        raise StripeWebhookParseError("Not for me.")

    on(TYPE)(write_effect)

    webhook.parse()

    row = row_of(webhook)
    assert (row.is_parsed, row.parse_error) == (True, "Not for me.")
    assert effects_of(webhook) == ["handler"]


def test_a_rejected_event_can_be_applied_again(webhook, on):
    rejections = [StripeWebhookParseError("Not yet.")]

    @on(TYPE)
    def reject_once(webhook):
        write_effect(webhook)
        if rejections:
            raise rejections.pop()

    webhook.parse()

    assert not row_of(webhook).retry()
    assert row_of(webhook).retry(even_if_parsed=True)
    row = row_of(webhook)
    assert (row.is_parsed, row.parse_error) == (True, "")
    assert effects_of(webhook) == ["handler"]
    assert not row.retry(even_if_parsed=True)


@pytest.mark.parametrize("error", [WentWrong, StripeWebhookParseError])
def test_an_error_with_any_characters_is_recorded(webhook, on, error):
    @on(TYPE)
    def fail(webhook):
        raise error("NUL \0, half \ud800, snow \u2603 and a face \U0001f600")

    with contextlib.suppress(WentWrong):
        webhook.parse()

    assert row_of(webhook).parse_error.endswith(
        "NUL \\u0000, half \\ud800, snow \u2603 and a face \U0001f600"
    )


# The database is unavailable


def lose_the_connection():
    """Make the server end the connection; close it on SQLite."""
    if connection.vendor == "sqlite":
        connection.connection.close()
        return
    end, get_id = {
        "postgresql": ("SELECT pg_terminate_backend(%s)", "SELECT pg_backend_pid()"),
        "mysql": ("KILL %s", "SELECT connection_id()"),
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(get_id)
        [number] = cursor.fetchone()

    def terminate():
        with connection.cursor() as cursor:
            cursor.execute(end, [number])

    InThread(terminate).join()


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_the_handlers_error_is_raised_although_the_database_is_unavailable(
    transactional_db, on, caplog, monkeypatch, error
):
    webhook, record = stored_event(), apply_module._record_failure

    def fail_to_connect():
        raise error("The server is away.")

    def record_without_database(*arguments):
        with monkeypatch.context() as patch:
            connection.close()
            patch.setattr(connection, "connect", fail_to_connect)
            record(*arguments)

    @on(TYPE)
    def fail(webhook):
        write_effect(webhook)
        raise WentWrong

    monkeypatch.setattr(apply_module, "_record_failure", record_without_database)

    with pytest.raises(WentWrong):
        webhook.parse()

    row = row_of(webhook)
    assert "could not be recorded" in caplog.text
    assert "The server is away." in caplog.text
    for it in (webhook, row):
        assert (it.is_parsed, it.parse_error, it.attempts) == (False, "", 1)
        assert it.retry_at > timezone.now()
    assert effects_of(webhook) == []


def test_a_failure_is_recorded_although_the_connection_was_lost(transactional_db, on):
    webhook = stored_event()

    @on(TYPE)
    def handler(webhook):
        write_effect(webhook)
        lose_the_connection()
        raise WentWrong

    with pytest.raises(WentWrong):
        webhook.parse()

    row = row_of(webhook)
    assert row.parse_error.endswith("WentWrong")
    assert not row.is_parsed
    assert effects_of(webhook) == []


def test_a_handler_that_closes_the_connection_has_no_effect(transactional_db, on):
    webhook, is_lost = stored_event(), []

    @on(TYPE)
    def handler(webhook):
        write_effect(webhook)
        if not is_lost:
            is_lost.append(True)
            connection.close()

    with pytest.raises(SwallowedDatabaseError):
        webhook.parse()

    assert not row_of(webhook).is_parsed
    assert effects_of(webhook) == []
    assert make_due(webhook).retry()
    assert effects_of(webhook) == ["handler"]


# After the commit


def test_a_callback_that_fails_after_the_commit_is_logged(transactional_db, on, caplog):
    webhook = stored_event()

    def fail():
        raise WentWrong("Too late.")

    @on(TYPE)
    def handler(webhook):
        write_effect(webhook)
        transaction.on_commit(fail)

    webhook.parse()

    row = row_of(webhook)
    for it in (webhook, row):
        assert (it.is_parsed, it.parse_error, it.retry_at) == (True, "", None)
    assert effects_of(webhook) == ["handler"]
    assert "on_commit callback of event" in caplog.text
    assert "Too late." in caplog.text


def test_an_action_is_called_after_the_commit(transactional_db, on):
    webhook, seen = stored_event(), []

    def look():
        in_transaction = connection.in_atomic_block
        seen.append(
            (in_transaction, InThread(lambda: (row_of(webhook).is_parsed, effects_of(webhook))))
        )

    @on(TYPE)
    def handler(webhook):
        webhook.after_commit(look)
        write_effect(webhook)

    webhook.parse()

    [(in_transaction, other_connection)] = seen
    assert not in_transaction
    assert other_connection.join() == (True, ["handler"])


def test_an_action_is_called_inside_the_transaction_of_a_test(webhook, on):
    called = []
    on(TYPE)(lambda webhook: webhook.after_commit(lambda: called.append(webhook.is_parsed)))

    webhook.parse()

    assert connection.in_atomic_block
    assert called == [True]


def test_no_action_is_called_after_a_rollback(webhook, on):
    called, failures = [], [WentWrong()]
    on(TYPE)(lambda webhook: webhook.after_commit(lambda: called.append("action")))

    @on(TYPE)
    def fail_once(webhook):
        if failures:
            raise failures.pop()

    with pytest.raises(WentWrong):
        webhook.parse()
    assert called == []

    webhook.parse()

    assert called == ["action"]


def test_the_action_of_a_handler_that_rejects_the_event_is_not_called(webhook, on):
    called = []
    on(TYPE)(lambda webhook: webhook.after_commit(lambda: called.append("before")))

    @on(TYPE)
    def reject(webhook):
        webhook.after_commit(lambda: called.append("rejected"))
        raise StripeWebhookParseError

    on(TYPE)(lambda webhook: webhook.after_commit(lambda: called.append("after")))

    webhook.parse()

    assert called == ["before", "after"]


def test_an_action_that_fails_is_logged_and_the_next_one_is_called(webhook, on, caplog):
    called = []

    def fail():
        raise WentWrong("The action failed.")

    @on(TYPE)
    def handler(webhook):
        webhook.after_commit(fail)
        webhook.after_commit(lambda: called.append("next"))

    webhook.parse()

    assert called == ["next"]
    assert row_of(webhook).is_parsed
    assert "The action failed." in caplog.text


# Conflicts with another transaction


def test_an_event_is_restarted_after_a_conflict(transactional_db, on, no_pause):
    webhook, tries, called = stored_event(), [], []
    on(TYPE)(lambda webhook: write_effect(webhook, "before"))

    @on(TYPE)
    def handler(webhook):
        tries.append(webhook)
        webhook.after_commit(lambda: called.append("action"))
        write_effect(webhook)
        if len(tries) < rows_module.TRIES:
            raise_conflict()

    webhook.parse()

    row = row_of(webhook)
    assert len(tries) == 3
    assert called == ["action"]
    assert effects_of(webhook) == ["before", "handler"]
    assert (row.is_parsed, row.attempts, row.parse_error) == (True, 1, "")


def test_an_event_that_always_has_conflicts_is_retried_later(transactional_db, on, no_pause):
    webhook, tries = stored_event(), []

    @on(TYPE)
    def handler(webhook):
        tries.append(webhook)
        write_effect(webhook)
        raise_conflict()

    with pytest.raises(OperationalError):
        webhook.parse()

    row = row_of(webhook)
    assert len(tries) == 3
    assert (row.is_parsed, row.attempts) == (False, 1)
    assert "could not serialize access" in row.parse_error
    assert row.retry_at > timezone.now()
    assert effects_of(webhook) == []


def test_an_event_is_not_restarted_inside_a_surrounding_transaction(webhook, on):
    tries = []

    @on(TYPE)
    def handler(webhook):
        tries.append(webhook)
        raise_conflict()

    with pytest.raises(OperationalError):
        webhook.parse()

    assert len(tries) == 1
    assert "could not serialize access" in row_of(webhook).parse_error


def test_an_event_is_not_restarted_after_another_database_error(transactional_db, on):
    webhook, tries = stored_event(), []
    Group.objects.create(name="taken")

    @on(TYPE)
    def handler(webhook):
        tries.append(webhook)
        create_a_duplicate(webhook)

    with pytest.raises(IntegrityError):
        webhook.parse()

    assert len(tries) == 1


@on_servers
def test_a_row_is_read_again_after_another_transaction_changed_it(repeatable_read, on, no_pause):
    group = Group.objects.create(name="ab")
    webhook, tries = stored_event(), []

    def append(letter, name):
        Group.objects.filter(pk=group.pk).update(name=name + letter)

    @on(TYPE)
    def handler(webhook):
        tries.append(webhook)
        write_effect(webhook)
        name = Group.objects.get(pk=group.pk).name
        if len(tries) == 1:
            InThread(lambda: append("c", name)).join()
        append("d", name)

    webhook.parse()

    assert len(tries) == 2
    assert Group.objects.get(pk=group.pk).name == "abcd"
    assert effects_of(webhook) == ["handler"]
    assert row_of(webhook).is_parsed


@on_servers
def test_an_event_is_restarted_after_a_deadlock(transactional_db, on, no_pause):
    one, two = Group.objects.create(name="one"), Group.objects.create(name="two")
    has_one, has_two = threading.Event(), threading.Event()
    webhook, tries = stored_event(), []

    @on(TYPE)
    def handler(webhook):
        tries.append(webhook)
        write_effect(webhook)
        write(one)
        has_one.set()
        write(two)

    def cause_a_deadlock():
        with transaction.atomic():
            # MariaDB ends the transaction that has written less.
            Group.objects.bulk_create(Group(name=f"weight {n}") for n in range(100))
            write(two)
            has_two.set()
            assert has_one.wait(TIMEOUT)
            time.sleep(0.5)  # PostgreSQL ends the one that has waited longer.
            write(one)

    opponent = InThread(cause_a_deadlock)
    assert has_two.wait(TIMEOUT)

    webhook.parse()

    opponent.join()
    assert len(tries) == 2
    assert effects_of(webhook) == ["handler"]
    assert row_of(webhook).is_parsed


@on_mariadb
def test_an_event_is_restarted_after_a_lock_timeout(transactional_db, on, no_pause):
    group, is_held, is_tried = Group.objects.create(name="one"), threading.Event(), []
    may_go = threading.Event()
    webhook = stored_event()

    def hold():
        with transaction.atomic():
            write(group)
            is_held.set()
            assert may_go.wait(TIMEOUT)

    holder = InThread(hold)
    assert is_held.wait(TIMEOUT)

    @on(TYPE)
    def handler(webhook):
        write_effect(webhook)
        if is_tried:
            may_go.set()
            holder.join()
        is_tried.append(True)
        write(group)

    execute("SET SESSION innodb_lock_wait_timeout = 1")
    try:
        webhook.parse()
    finally:
        may_go.set()
        connection.close()

    assert len(is_tried) == 2
    assert effects_of(webhook) == ["handler"]
    assert row_of(webhook).is_parsed


def as_psycopg(sqlstate):
    error = OperationalError("message of the server")
    error.__cause__ = Exception()
    error.__cause__.sqlstate = sqlstate
    return error


def as_psycopg2(pgcode):
    error = OperationalError("message of the server")
    error.__cause__ = Exception()
    error.__cause__.pgcode = pgcode
    return error


@pytest.mark.parametrize(
    "error",
    [
        as_psycopg("40001"),  # serialization_failure
        as_psycopg("40P01"),  # deadlock_detected
        as_psycopg2("40001"),
        as_psycopg2("40P01"),
        OperationalError(1213, "Deadlock found when trying to get lock"),
        OperationalError(1205, "Lock wait timeout exceeded"),
        OperationalError(1020, "Record has changed since last read"),
    ],
    ids=str,
)
def test_these_errors_are_conflicts(error):
    assert is_conflict(error)


@pytest.mark.parametrize(
    "error",
    [
        as_psycopg("23505"),  # unique_violation
        as_psycopg(None),
        as_psycopg2("25P02"),  # in_failed_sql_transaction
        IntegrityError(1062, "Duplicate entry"),
        OperationalError(2006, "Server has gone away"),
        OperationalError("database is locked"),
        OperationalError(),
        WentWrong(1213),
        SerializationFailure(),
    ],
    ids=repr,
)
def test_other_errors_are_no_conflicts(error):
    assert not is_conflict(error)


# At the same time


#: How long a handler waits for the second delivery. On SQLite, which has one writer, that delivery
#: waits for the handler.
PATIENCE = 0.3 if connection.vendor == "sqlite" else TIMEOUT


def delivered_again(made):
    """Deliver an event that is being applied."""
    try:
        receive(made)
    except StripeWebhookInProgress:
        return "in progress"
    return "applied"


def test_two_deliveries_at_once_apply_the_event_once(transactional_db, on):
    made, is_begun, may_end = make_event(), threading.Event(), threading.Event()

    @on(TYPE)
    def be_slow(webhook):
        write_effect(webhook)
        is_begun.set()
        may_end.wait(PATIENCE)

    first = InThread(lambda: receive(made))
    assert is_begun.wait(TIMEOUT)

    again = delivered_again(made)
    may_end.set()

    assert first.join().is_new
    assert again == ("applied" if connection.vendor == "sqlite" else "in progress")
    [row] = StripeWebhook.objects.all()
    assert (row.is_parsed, row.parse_error, row.retry_at) == (True, "", None)
    assert effects_of(row) == ["handler"]


def test_a_delivery_applies_the_event_after_a_simultaneous_one_failed(transactional_db, on):
    made, failures = make_event(), [WentWrong()]
    is_begun, may_end = threading.Event(), threading.Event()

    @on(TYPE)
    def fail_once(webhook):
        write_effect(webhook)
        if failures:
            is_begun.set()
            may_end.wait(PATIENCE)
            raise failures.pop()

    first = InThread(lambda: receive(made))
    assert is_begun.wait(TIMEOUT)

    delivered_again(made)
    may_end.set()

    with pytest.raises(WentWrong):
        first.join()
    assert delivered_again(made) == "applied"
    [row] = StripeWebhook.objects.all()
    assert (row.is_parsed, row.parse_error, row.retry_at) == (True, "", None)
    assert effects_of(row) == ["handler"]


def test_the_second_of_two_simultaneous_parses_raises_already_parsed(transactional_db, on):
    webhook, is_begun = stored_event(), threading.Event()

    @on(TYPE)
    def be_slow(webhook):
        write_effect(webhook)
        is_begun.set()
        time.sleep(0.3)

    first = InThread(row_of(webhook).parse)
    assert is_begun.wait(TIMEOUT)

    with pytest.raises(StripeWebhookAlreadyParsed):
        webhook.parse()

    first.join()
    row = row_of(webhook)
    assert (row.is_parsed, row.parse_error) == (True, "")
    assert effects_of(webhook) == ["handler"]


def retry_twice(webhook, on):
    """Start a second retry while the first one runs; return both results."""
    is_begun = threading.Event()

    @on(TYPE)
    def be_slow(webhook):
        write_effect(webhook)
        is_begun.set()
        time.sleep(0.3)

    first = InThread(row_of(webhook).retry)
    assert is_begun.wait(TIMEOUT)
    second = row_of(webhook).retry()
    return first.join(), second


def test_a_retry_while_another_one_runs_returns_false(transactional_db, on):
    webhook = stored_event()

    assert retry_twice(webhook, on) == (True, False)

    assert row_of(webhook).is_parsed
    assert effects_of(webhook) == ["handler"]


@on_servers
def test_a_retry_while_another_one_runs_returns_false_at_repeatable_read(
    repeatable_read, on, no_pause
):
    webhook = stored_event()

    assert retry_twice(webhook, on) == (True, False)

    assert row_of(webhook).is_parsed
    assert effects_of(webhook) == ["handler"]


def test_an_event_that_another_process_has_claimed_is_not_retried(webhook, on):
    on(TYPE)(write_effect)
    assert claim(row_of(webhook))

    assert webhook.retry() is False

    row = row_of(webhook)
    assert (row.is_parsed, row.attempts) == (False, 1)
    assert effects_of(webhook) == []


def test_an_event_that_a_process_is_applying_is_not_due(webhook):
    assert claim(row_of(webhook))
    StripeWebhook.objects.update(retry_at=None)

    assert list(StripeWebhook.objects.all().due()) == []

    end_claims()
    assert list(StripeWebhook.objects.all().due()) == [webhook]


def test_an_event_whose_insert_was_rolled_back_can_be_saved_again(transactional_db):
    made = make_event()
    webhook = StripeWebhook(id=made["id"], raw_data=made)
    with transaction.atomic():
        webhook.store()
        transaction.set_rollback(True)

    webhook.save()

    assert row_of(webhook).raw_data == made


def test_a_retry_returns_false_if_another_process_applies_its_event_first(webhook, on, monkeypatch):
    on(TYPE)(write_effect)

    def apply_it_first(webhook, token):
        monkeypatch.undo()
        end_claims()
        row_of(webhook).parse()
        return apply_module._apply(webhook, token)

    monkeypatch.setattr(apply_module, "_apply", apply_it_first)

    assert webhook.retry() is False

    row = row_of(webhook)
    assert (row.is_parsed, row.parse_error, row.retry_at) == (True, "", None)
    assert effects_of(webhook) == ["handler"]


def test_an_event_that_another_process_has_claimed_since_is_rolled_back(webhook, on):
    @on(TYPE)
    def outlive_the_claim(webhook):
        write_effect(webhook)
        end_claims()
        assert claim(row_of(webhook))

    with pytest.raises(StripeWebhookTooSlow):
        webhook.retry()

    row = row_of(webhook)
    assert not row.is_parsed
    assert effects_of(webhook) == []


def test_a_handler_that_takes_longer_than_the_claim_commits_if_no_other_process_has_it(webhook, on):
    @on(TYPE)
    def outlive_the_claim(webhook):
        write_effect(webhook)
        end_claims()

    assert webhook.retry()

    assert row_of(webhook).is_parsed
    assert effects_of(webhook) == ["handler"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_event_that_ends_its_process_is_free_and_delayed(webhook, on, error):
    @on(TYPE)
    def end(webhook):
        write_effect(webhook)
        raise error

    with pytest.raises(error):
        webhook.retry()

    row = row_of(webhook)
    assert (row.is_parsed, row.claimed_until) == (False, None)
    assert row.retry_at > timezone.now()
    assert effects_of(webhook) == []


def test_an_event_whose_commit_has_a_lost_response_stays_applied(transactional_db, on, monkeypatch):
    webhook, commits = stored_event(), []
    on(TYPE)(lambda webhook: commits.append(write_effect(webhook)))
    wrapper = type(connections["default"])
    commit = wrapper._commit

    def lose_the_response(self):
        commit(self)
        if len(commits) == 1:
            commits.append("lost")
            raise OperationalError("The server closed the connection.")

    monkeypatch.setattr(wrapper, "_commit", lose_the_response)
    with pytest.raises(OperationalError):
        webhook.retry()

    row = row_of(webhook)
    assert (row.is_parsed, row.parse_error) == (True, "")
    assert effects_of(webhook) == ["handler"]


@pytest.mark.parametrize("how", ["save", "update"])
def test_a_handler_may_mark_its_event_itself(webhook, on, how):
    @on(TYPE)
    def handler(webhook):
        write_effect(webhook)
        if how == "update":
            StripeWebhook.objects.filter(pk=webhook.pk).update(is_parsed=True)
        else:
            webhook.is_parsed = True
            webhook.save()

    assert webhook.retry()

    row = row_of(webhook)
    assert (row.is_parsed, row.parse_error, row.claimed_until) == (True, "", None)
    assert effects_of(webhook) == ["handler"]


@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
def test_a_claim_lasts_five_minutes_in_every_time_zone(db, settings, on, use_tz, zone):
    settings.USE_TZ, settings.TIME_ZONE = use_tz, zone
    seen = []

    @on(TYPE)
    def look(webhook):
        held = StripeWebhook.objects.filter(pk=webhook.pk)
        almost = timedelta(seconds=290)
        for ahead in (almost, 2 * almost):
            seen.append(held.filter(claimed_until__gt=DatabaseNow(ahead)).exists())
        seen.append(delivered_again(webhook.raw_data))

    receive(make_event())

    assert seen == [True, False, "in progress"]


def test_a_handler_that_reads_its_event_again_does_not_get_the_claim_of_another_process(
    webhook, on
):
    @on(TYPE)
    def outlive_the_claim(webhook):
        write_effect(webhook)
        end_claims()
        assert claim(row_of(webhook))
        webhook.refresh_from_db()

    with pytest.raises(StripeWebhookTooSlow):
        webhook.retry()

    assert effects_of(webhook) == []


def test_a_process_that_loses_its_claim_before_it_begins_calls_no_handler(webhook, on, monkeypatch):
    on(TYPE)(write_effect)

    def lose_the_claim(webhook, token):
        monkeypatch.undo()
        end_claims()
        other = claim(row_of(webhook))
        with pytest.raises(claim_module.ClaimLost):
            apply_module._apply(webhook, token)
        assert row_of(webhook).attempts == other
        raise claim_module.ClaimLost

    monkeypatch.setattr(apply_module, "_apply", lose_the_claim)

    with pytest.raises(StripeWebhookTooSlow):
        webhook.retry()

    assert effects_of(webhook) == []


@on_mariadb
def test_parse_does_not_wait_for_an_event_that_was_applied_since_the_transaction_began(
    repeatable_read, on
):
    webhook = stored_event()
    on(TYPE)(write_effect)

    with transaction.atomic():
        mine = row_of(webhook)
        InThread(row_of(webhook).parse).join()
        # With innodb_snapshot_isolation the server refuses to read the row.
        with pytest.raises((StripeWebhookAlreadyParsed, OperationalError)):
            mine.parse()

    assert effects_of(webhook) == ["handler"]


def test_parse_waits_for_the_process_that_applies_the_event_and_gives_up(webhook, monkeypatch):
    monkeypatch.setattr(claim_module, "PATIENCE", 0.2)
    assert claim(row_of(webhook))

    with pytest.raises(StripeWebhookInProgress):
        webhook.parse()

    assert row_of(webhook).attempts == 1


@pytest.mark.parametrize("again", ["parse", "retry"])
def test_a_handler_cannot_apply_its_own_event(webhook, on, again):
    results = []

    @on(TYPE)
    def handler(webhook):
        write_effect(webhook)
        try:
            results.append(getattr(row_of(webhook), again)())
        except StripeWebhookAlreadyParsed:
            results.append("already parsed")

    webhook.parse()

    assert results == [{"parse": "already parsed", "retry": False}[again]]
    assert effects_of(webhook) == ["handler"]


def test_is_parsed_is_false_for_receivers_when_an_event_is_applied_again(webhook, on, receiver):
    seen, rejections = [], [StripeWebhookParseError("Not yet.")]

    @receiver
    def note(sender, instance, **kwargs):
        seen.append(instance.is_parsed)

    @on(TYPE)
    def reject_once(webhook):
        if rejections:
            raise rejections.pop()

    webhook.parse()
    again = row_of(webhook)

    assert again.retry(even_if_parsed=True)

    assert seen == [False, False]
    assert again.is_parsed


def test_an_event_stays_parsed_if_it_fails_when_it_is_applied_again(webhook, on):
    errors = [WentWrong(), StripeWebhookParseError("Not yet.")]

    @on(TYPE)
    def fail(webhook):
        write_effect(webhook)
        raise errors.pop()

    webhook.parse()

    with pytest.raises(WentWrong):
        webhook.retry(even_if_parsed=True)

    for it in (webhook, row_of(webhook)):
        assert it.is_parsed
        assert it.parse_error.endswith("WentWrong")
    assert effects_of(webhook) == []


# Delays


@pytest.mark.parametrize(
    ("attempts", "minutes"),
    [(1, 1), (2, 2), (3, 4), (9, 256), (10, 360), (11, 360), (1000, 360)],
)
def test_the_delay_doubles_from_one_minute_to_six_hours(attempts, minutes):
    before = timezone.now()

    retry_at = delay_after(attempts)

    delay = timedelta(minutes=minutes)
    assert before + delay <= retry_at <= timezone.now() + delay


def test_the_delay_of_an_event_that_failed_often_is_six_hours(webhook, on):
    StripeWebhook.objects.update(attempts=1000)

    @on(TYPE)
    def fail(webhook):
        raise WentWrong

    assert apply_webhook(webhook.pk) is False

    row = row_of(webhook)
    assert row.attempts == 1001
    assert timedelta(hours=5) < row.retry_at - timezone.now() <= timedelta(hours=6)
