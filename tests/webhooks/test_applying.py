"""Each event takes effect exactly once, whatever goes wrong while it does."""

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
    transaction,
)
from django.db.models import F
from django.utils import timezone

from aa_stripe.exceptions import StripeWebhookAlreadyParsed, StripeWebhookParseError
from aa_stripe.jobs import apply_webhook, receive
from aa_stripe.models import StripeWebhook
from aa_stripe.models.rows import is_conflict
from aa_stripe.models.webhook import apply as apply_module
from aa_stripe.models.webhook.apply import SwallowedDatabaseError, delay_after
from tests.support.rows import row_of
from tests.support.threads import InThread
from tests.webhooks.effects import (
    TIMEOUT,
    TYPE,
    WentWrong,
    effects_of,
    make_due,
    make_event,
    stored_event,
    write_effect,
)

on_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="Elsewhere a statement fails alone."
)
on_mariadb = pytest.mark.skipif(
    "connection.vendor != 'mysql'", reason="Only there waiting for a lock ends by itself."
)
on_servers = pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="SQLite lets one write at a time."
)

#: Where a transaction fails that writes a row changed by another one since it began.
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
    monkeypatch.setattr(apply_module, "PAUSE", 0)


def execute(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def write(group):
    """Hold the group's lock until the transaction is over."""
    Group.objects.filter(pk=group.pk).update(name=F("name"))


class SerializationFailure(Exception):
    """As psycopg raises it."""

    sqlstate = "40001"


def be_in_the_way():
    raise OperationalError("could not serialize access") from SerializationFailure()


# When all goes well


def test_an_applied_event_has_its_effect_and_says_so(webhook, on):
    on(TYPE)(write_effect)

    webhook.parse()

    row = row_of(webhook)
    assert effects_of(webhook) == ["handler"]
    for it in (webhook, row):
        assert (it.is_parsed, it.parse_error, it.attempts, it.retry_at) == (True, "", 1, None)


def test_an_event_that_nobody_listens_to_is_applied(webhook):
    webhook.parse()

    assert row_of(webhook).is_parsed


def test_a_receiver_that_saves_the_event_does_not_undo_the_mark(webhook, receiver):
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


def test_a_handler_that_fails_undoes_everything_and_the_event_is_tried_again(webhook, on):
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


def test_the_object_in_hand_says_what_the_row_says_after_a_failure(webhook, on):
    @on(TYPE)
    def fail(webhook):
        raise WentWrong

    with pytest.raises(WentWrong):
        webhook.parse()

    row = row_of(webhook)
    fields = ("is_parsed", "parse_error", "attempts", "retry_at")
    assert [getattr(webhook, it) for it in fields] == [getattr(row, it) for it in fields]
    assert webhook.changed_fields() == set()


def create_a_second_one(webhook):
    Group.objects.create(name="taken")


def update_to_the_same(webhook):
    Group.objects.filter(name__startswith=webhook.pk).update(name="taken")


def insert_past_the_orm(webhook):
    execute("INSERT INTO auth_group (name) VALUES ('taken')")


@pytest.mark.parametrize(
    "violate",
    [
        create_a_second_one,
        update_to_the_same,
        pytest.param(insert_past_the_orm, marks=on_postgresql),
    ],
)
@pytest.mark.parametrize("database", ["db", "transactional_db"])
def test_a_handler_that_swallows_a_database_error_undoes_everything(request, database, on, violate):
    request.getfixturevalue(database)
    webhook, is_careless = stored_event(), [True]
    Group.objects.create(name="taken")
    on(TYPE)(lambda webhook: write_effect(webhook, "before"))

    @on(TYPE)
    def swallow(webhook):
        write_effect(webhook)
        if is_careless:
            with contextlib.suppress(IntegrityError):
                violate(webhook)

    with pytest.raises((SwallowedDatabaseError, DatabaseError)):
        webhook.parse()

    row = row_of(webhook)
    assert effects_of(webhook) == []
    assert (row.is_parsed, row.attempts) == (False, 1)
    assert row.parse_error
    assert row.retry_at > timezone.now()
    is_careless.clear()
    assert make_due(webhook).retry()
    assert row_of(webhook).is_parsed
    assert effects_of(webhook) == ["before", "handler"]


def test_the_record_of_a_swallowed_error_names_the_handler(webhook, on):
    Group.objects.create(name="taken")

    @on(TYPE)
    def be_careless(webhook):
        with contextlib.suppress(IntegrityError):
            create_a_second_one(webhook)

    with pytest.raises(SwallowedDatabaseError):
        webhook.parse()

    assert "be_careless continued after a database error" in row_of(webhook).parse_error


def test_a_database_error_in_a_transaction_of_the_handlers_own_is_no_failure(webhook, on):
    Group.objects.create(name="taken")

    @on(TYPE)
    def be_careful(webhook):
        write_effect(webhook)
        with contextlib.suppress(IntegrityError), transaction.atomic():
            create_a_second_one(webhook)

    webhook.parse()

    assert row_of(webhook).is_parsed
    assert effects_of(webhook) == ["handler"]


def test_a_receiver_that_applies_its_own_event_is_an_error(webhook, receiver):
    @receiver
    def apply(sender, instance, **kwargs):
        instance.parse()

    with pytest.raises(RuntimeError, match="on an event that has already been applied") as raised:
        webhook.parse()

    row = row_of(webhook)
    assert isinstance(raised.value.__cause__, StripeWebhookAlreadyParsed)
    assert not row.is_parsed
    assert "on an event that has already been applied" in row.parse_error


def test_a_handler_that_applies_another_event_again_is_an_error(webhook, on):
    applied = StripeWebhook(id="evt_applied", raw_data={"type": "ping"}, is_parsed=True)
    applied.store()

    @on(TYPE)
    def apply(webhook):
        applied.parse()

    with pytest.raises(RuntimeError, match="on an event that has already been applied"):
        webhook.parse()

    assert not row_of(webhook).is_parsed


# A handler that cannot follow


def test_a_parse_error_undoes_what_its_handler_wrote_and_nothing_else(webhook, on):
    on(TYPE)(lambda webhook: write_effect(webhook, "before"))

    @on(TYPE)
    def refuse(webhook):
        write_effect(webhook, "refused")
        raise StripeWebhookParseError("There is no such payout.")

    on(TYPE)(lambda webhook: write_effect(webhook, "after"))

    webhook.parse()

    row = row_of(webhook)
    assert effects_of(webhook) == ["after", "before"]
    for it in (webhook, row):
        assert (it.is_parsed, it.retry_at) == (True, None)
        assert it.parse_error == "There is no such payout."


def test_what_several_handlers_could_not_follow_is_kept(webhook, on):
    @on(TYPE)
    def refuse(webhook):
        raise StripeWebhookParseError("One.")

    @on(TYPE)
    def refuse_too(webhook):
        raise StripeWebhookParseError("Two.")

    webhook.parse()

    assert row_of(webhook).parse_error == "One.\nTwo."


def test_a_receiver_that_cannot_follow_does_not_keep_the_handlers_from_it(webhook, on, receiver):
    @receiver
    def refuse(sender, instance, **kwargs):
        raise StripeWebhookParseError("Not for me.")

    on(TYPE)(write_effect)

    webhook.parse()

    row = row_of(webhook)
    assert (row.is_parsed, row.parse_error) == (True, "Not for me.")
    assert effects_of(webhook) == ["handler"]


def test_an_event_that_could_not_be_followed_can_be_applied_again(webhook, on):
    refusals = [StripeWebhookParseError("Not yet.")]

    @on(TYPE)
    def refuse_once(webhook):
        write_effect(webhook)
        if refusals:
            raise refusals.pop()

    webhook.parse()

    assert not row_of(webhook).retry()
    assert row_of(webhook).retry(even_if_parsed=True)
    row = row_of(webhook)
    assert (row.is_parsed, row.parse_error) == (True, "")
    assert effects_of(webhook) == ["handler"]
    assert not row.retry(even_if_parsed=True)


@pytest.mark.parametrize("error", [WentWrong, StripeWebhookParseError])
def test_an_error_can_be_recorded_whatever_characters_are_in_it(webhook, on, error):
    @on(TYPE)
    def fail(webhook):
        raise error("NUL \0, half \ud800, snow \u2603 and a face \U0001f600")

    with contextlib.suppress(WentWrong):
        webhook.parse()

    assert row_of(webhook).parse_error.endswith(
        "NUL \\u0000, half \\ud800, snow \u2603 and a face \U0001f600"
    )


# The database is away


def lose_the_connection():
    """Let the server end it, or what comes nearest to that."""
    if connection.vendor == "sqlite":
        connection.connection.close()
        return
    end, its_id = {
        "postgresql": ("SELECT pg_terminate_backend(%s)", "SELECT pg_backend_pid()"),
        "mysql": ("KILL %s", "SELECT connection_id()"),
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(its_id)
        [number] = cursor.fetchone()

    def end_it():
        with connection.cursor() as cursor:
            cursor.execute(end, [number])

    InThread(end_it).join()


@pytest.mark.parametrize("away", [OperationalError, InterfaceError])
def test_what_failed_comes_out_though_the_database_is_away(
    transactional_db, on, caplog, monkeypatch, away
):
    webhook, record = stored_event(), apply_module._record_failure

    def refuse_to_connect():
        raise away("The server is away.")

    def record_without_a_database(*arguments):
        with monkeypatch.context() as patch:
            connection.close()
            patch.setattr(connection, "connect", refuse_to_connect)
            record(*arguments)

    @on(TYPE)
    def fail(webhook):
        write_effect(webhook)
        raise WentWrong

    monkeypatch.setattr(apply_module, "_record_failure", record_without_a_database)

    with pytest.raises(WentWrong):
        webhook.parse()

    row = row_of(webhook)
    assert "could not be recorded" in caplog.text
    assert "The server is away." in caplog.text
    for it in (webhook, row):
        assert (it.is_parsed, it.parse_error, it.attempts) == (False, "", 1)
        assert it.retry_at > timezone.now()
    assert effects_of(webhook) == []


def test_a_failure_is_recorded_though_the_connection_was_lost(transactional_db, on):
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


def test_a_handler_that_does_not_mind_a_lost_connection_has_no_effect(transactional_db, on):
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


def test_an_action_is_called_once_all_is_committed(transactional_db, on):
    webhook, seen = stored_event(), []

    def look():
        inside = connection.in_atomic_block
        seen.append((inside, InThread(lambda: (row_of(webhook).is_parsed, effects_of(webhook)))))

    @on(TYPE)
    def handler(webhook):
        webhook.after_commit(look)
        write_effect(webhook)

    webhook.parse()

    [(inside, elsewhere)] = seen
    assert not inside
    assert elsewhere.join() == (True, ["handler"])


def test_an_action_is_called_inside_the_transaction_of_a_test(webhook, on):
    called = []
    on(TYPE)(lambda webhook: webhook.after_commit(lambda: called.append(webhook.is_parsed)))

    webhook.parse()

    assert connection.in_atomic_block
    assert called == [True]


def test_no_action_is_called_when_all_is_undone(webhook, on):
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


def test_the_action_of_a_handler_whose_writes_are_undone_is_not_called(webhook, on):
    called = []
    on(TYPE)(lambda webhook: webhook.after_commit(lambda: called.append("before")))

    @on(TYPE)
    def refuse(webhook):
        webhook.after_commit(lambda: called.append("refused"))
        raise StripeWebhookParseError

    on(TYPE)(lambda webhook: webhook.after_commit(lambda: called.append("after")))

    webhook.parse()

    assert called == ["before", "after"]


def test_an_action_that_fails_is_logged_and_stops_no_other(webhook, on, caplog):
    called = []

    def fail():
        raise WentWrong("Nobody at home.")

    @on(TYPE)
    def handler(webhook):
        webhook.after_commit(fail)
        webhook.after_commit(lambda: called.append("next"))

    webhook.parse()

    assert called == ["next"]
    assert row_of(webhook).is_parsed
    assert "Nobody at home." in caplog.text


# Another transaction in the way


def test_an_event_is_begun_again_when_another_transaction_was_in_the_way(
    transactional_db, on, no_pause
):
    webhook, tries, called = stored_event(), [], []
    on(TYPE)(lambda webhook: write_effect(webhook, "before"))

    @on(TYPE)
    def handler(webhook):
        tries.append(webhook)
        webhook.after_commit(lambda: called.append("action"))
        write_effect(webhook)
        if len(tries) < apply_module.TRIES:
            be_in_the_way()

    webhook.parse()

    row = row_of(webhook)
    assert len(tries) == 3
    assert called == ["action"]
    assert effects_of(webhook) == ["before", "handler"]
    assert (row.is_parsed, row.attempts, row.parse_error) == (True, 1, "")


def test_an_event_that_others_are_always_in_the_way_of_is_left_for_later(
    transactional_db, on, no_pause
):
    webhook, tries = stored_event(), []

    @on(TYPE)
    def handler(webhook):
        tries.append(webhook)
        write_effect(webhook)
        be_in_the_way()

    with pytest.raises(OperationalError):
        webhook.parse()

    row = row_of(webhook)
    assert len(tries) == 3
    assert (row.is_parsed, row.attempts) == (False, 1)
    assert "could not serialize access" in row.parse_error
    assert row.retry_at > timezone.now()
    assert effects_of(webhook) == []


def test_nothing_is_begun_again_inside_a_surrounding_transaction(webhook, on):
    tries = []

    @on(TYPE)
    def handler(webhook):
        tries.append(webhook)
        be_in_the_way()

    with pytest.raises(OperationalError):
        webhook.parse()

    assert len(tries) == 1
    assert "could not serialize access" in row_of(webhook).parse_error


def test_no_other_database_error_is_tried_again(transactional_db, on):
    webhook, tries = stored_event(), []
    Group.objects.create(name="taken")

    @on(TYPE)
    def handler(webhook):
        tries.append(webhook)
        create_a_second_one(webhook)

    with pytest.raises(IntegrityError):
        webhook.parse()

    assert len(tries) == 1


@on_servers
def test_a_row_that_another_transaction_has_changed_is_read_again(repeatable_read, on, no_pause):
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
def test_a_deadlock_is_tried_again(transactional_db, on, no_pause):
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

    def be_in_the_way():
        with transaction.atomic():
            # MariaDB ends the transaction that has written less.
            Group.objects.bulk_create(Group(name=f"weight {n}") for n in range(100))
            write(two)
            has_two.set()
            assert has_one.wait(TIMEOUT)
            time.sleep(0.5)  # PostgreSQL ends the one that has waited longer.
            write(one)

    opponent = InThread(be_in_the_way)
    assert has_two.wait(TIMEOUT)

    webhook.parse()

    opponent.join()
    assert len(tries) == 2
    assert effects_of(webhook) == ["handler"]
    assert row_of(webhook).is_parsed


@on_mariadb
def test_a_lock_that_was_waited_for_in_vain_is_tried_again(transactional_db, on, no_pause):
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
    error = OperationalError("said by the server")
    error.__cause__ = Exception()
    error.__cause__.sqlstate = sqlstate
    return error


def as_psycopg2(pgcode):
    error = OperationalError("said by the server")
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
def test_another_transaction_in_the_way_is_a_conflict(error):
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
def test_anything_else_is_no_conflict(error):
    assert not is_conflict(error)


# At the same time


def test_two_deliveries_at_once_take_effect_once(transactional_db, on):
    made, is_begun = make_event(), threading.Event()

    @on(TYPE)
    def be_slow(webhook):
        write_effect(webhook)
        is_begun.set()
        time.sleep(0.3)

    first = InThread(lambda: receive(made))
    assert is_begun.wait(TIMEOUT)

    second = receive(made)

    assert (first.join().is_new, second.is_new) == (True, False)
    [row] = StripeWebhook.objects.all()
    assert (row.is_parsed, row.parse_error, row.retry_at) == (True, "", None)
    assert effects_of(row) == ["handler"]


def test_a_delivery_that_waits_for_one_that_fails_applies_the_event(transactional_db, on):
    made, is_begun, failures = make_event(), threading.Event(), [WentWrong()]

    @on(TYPE)
    def fail_once(webhook):
        write_effect(webhook)
        if failures:
            is_begun.set()
            time.sleep(0.3)
            raise failures.pop()

    first = InThread(lambda: receive(made))
    assert is_begun.wait(TIMEOUT)

    receive(made)

    with pytest.raises(WentWrong):
        first.join()
    [row] = StripeWebhook.objects.all()
    assert (row.is_parsed, row.parse_error, row.retry_at) == (True, "", None)
    assert effects_of(row) == ["handler"]


def test_of_two_that_parse_at_once_one_is_told_that_it_was_done(transactional_db, on):
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
    """What each of two says, the second of which begins while the first one is at it."""
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


def test_a_retry_while_another_one_is_at_it_returns_false(transactional_db, on):
    webhook = stored_event()

    assert retry_twice(webhook, on) == (True, False)

    assert row_of(webhook).is_parsed
    assert effects_of(webhook) == ["handler"]


@on_servers
def test_a_retry_that_waited_for_another_one_fails_at_no_isolation(repeatable_read, on, no_pause):
    webhook = stored_event()

    assert retry_twice(webhook, on) == (True, False)

    assert row_of(webhook).is_parsed
    assert effects_of(webhook) == ["handler"]


def test_an_event_that_somebody_else_has_claimed_is_left_to_them(webhook, on):
    on(TYPE)(write_effect)
    assert apply_module.count_attempt(row_of(webhook))

    assert webhook.retry() is False

    row = row_of(webhook)
    assert (row.is_parsed, row.attempts) == (False, 1)
    assert effects_of(webhook) == []


def test_a_retry_whose_event_is_applied_after_all_by_somebody_else_returns_false(
    webhook, on, monkeypatch
):
    """``parse()`` asks nobody whether the event is claimed."""
    on(TYPE)(write_effect)

    def apply_it_meanwhile(webhook, even_if_parsed):
        monkeypatch.undo()
        row_of(webhook).parse()
        return apply_module._apply(webhook, even_if_parsed)

    monkeypatch.setattr(apply_module, "_apply", apply_it_meanwhile)

    assert webhook.retry() is False

    row = row_of(webhook)
    assert (row.is_parsed, row.parse_error, row.retry_at) == (True, "", None)
    assert effects_of(webhook) == ["handler"]


def test_receivers_of_an_event_that_is_applied_again_see_it_as_not_parsed(webhook, on, receiver):
    seen, refusals = [], [StripeWebhookParseError("Not yet.")]

    @receiver
    def listen(sender, instance, **kwargs):
        seen.append(instance.is_parsed)

    @on(TYPE)
    def refuse_once(webhook):
        if refusals:
            raise refusals.pop()

    webhook.parse()
    again = row_of(webhook)

    assert again.retry(even_if_parsed=True)

    assert seen == [False, False]
    assert again.is_parsed


def test_an_event_that_fails_when_it_is_applied_again_counts_as_parsed_still(webhook, on):
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


# Later and later


@pytest.mark.parametrize(
    ("attempts", "minutes"),
    [(1, 1), (2, 2), (3, 4), (9, 256), (10, 360), (11, 360), (1000, 360)],
)
def test_the_delay_doubles_from_one_minute_to_six_hours(attempts, minutes):
    before = timezone.now()

    retry_at = delay_after(attempts)

    delay = timedelta(minutes=minutes)
    assert before + delay <= retry_at <= timezone.now() + delay


def test_an_event_that_fails_again_and_again_is_tried_less_and_less_often(webhook, on):
    StripeWebhook.objects.update(attempts=1000)

    @on(TYPE)
    def fail(webhook):
        raise WentWrong

    assert apply_webhook(webhook.pk) is False

    row = row_of(webhook)
    assert row.attempts == 1001
    assert timedelta(hours=5) < row.retry_at - timezone.now() <= timedelta(hours=6)
