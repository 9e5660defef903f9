"""Ids from before 0039, which makes their columns binary on MySQL and MariaDB."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.migrations.databases import of_aa_stripe, temporary

WEBHOOKS = "aa_stripe_stripewebhook"

BOOKS = {"DJANGO_SETTINGS_MODULE": "tests.migrations.settings_books"}

needs_mariadb = pytest.mark.skipif(
    connection.vendor != "mysql", reason="The other databases always distinguish letter case."
)


@pytest.fixture(scope="module")
def at_0038_once(filled_once, new_name):
    with temporary(new_name(), like=filled_once) as database:
        database.migrate("aa_stripe", "0038", "-v0")
        yield database


@pytest.fixture
def at_0038(at_0038_once, new_name):
    with temporary(new_name(), like=at_0038_once) as database:
        yield database


@pytest.fixture(scope="module")
def booked_once(unblocked, new_name):
    """A database at 0038, in which tables of the project refer to an event."""
    with temporary(new_name()) as database:
        database.migrate("aa_stripe", "0038", "-v0", **BOOKS)
        database.migrate("books", "-v0", **BOOKS)
        database.execute(
            insertion("evt_a"),
            "INSERT INTO books_bookedevent VALUES ('evt_a')",
            "INSERT INTO books_entry (booked_id, source_id) VALUES ('evt_a', 'evt_a')",
        )
        yield database


@pytest.fixture
def booked(booked_once, new_name):
    with temporary(new_name(), like=booked_once) as database:
        yield database


def insertion(event_id):
    return (
        f"INSERT INTO {WEBHOOKS} (id, created, updated, is_parsed, raw_data, parse_error, attempts,"
        f" is_wrong_mode) VALUES ('{event_id}', NOW(), NOW(), 1, '{{}}', '', 1, 0)"
    )


def collations(database, table=None):
    """Return the collations of the text columns, by table and name."""
    found = database.all(
        "SELECT table_name, column_name, collation_name FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND collation_name IS NOT NULL"
    )
    return {(owner, name): it for owner, name, it in found if table in (None, owner)}


def definitions(database):
    """Return all columns of our tables without their collations, and with their defaults."""
    found = database.all(
        "SELECT table_name, column_name, column_type, is_nullable, column_default, extra"
        " FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name LIKE 'aa%%'"
    )
    return {(owner, name): rest for owner, name, *rest in found}


def contents(database):
    return {table: database.rows(table) for table in of_aa_stripe(database)}


def schemas(database):
    return {table: database.schema(table) for table in of_aa_stripe(database)}


def test_the_migration_changes_no_row_and_can_be_undone(at_0038):
    before, schema = contents(at_0038), schemas(at_0038)

    at_0038.migrate("aa_stripe", "0039", "-v0")
    assert contents(at_0038) == before

    at_0038.migrate("aa_stripe", "0038", "-v0")
    assert contents(at_0038) == before
    assert schemas(at_0038) == schema


@pytest.mark.skipif(connection.vendor == "mysql", reason="It has statements for MySQL.")
@pytest.mark.parametrize("direction", [[], ["--backwards"]])
def test_other_databases_execute_no_statement(at_0038, direction):
    at_0038.migrate("aa_stripe", "0039", "-v0")

    printed = at_0038.run("sqlmigrate", "aa_stripe", "0039", *direction).stdout

    statements = [line for line in printed.splitlines() if not line.startswith("--")]
    assert statements in ([], ["BEGIN;", "COMMIT;"])


@needs_mariadb
def test_only_the_collations_change_not_the_defaults(at_0038):
    before = definitions(at_0038)
    at_0038.execute(f"ALTER TABLE {WEBHOOKS} MODIFY id varchar(255) NOT NULL COMMENT '50% `a`, b'")

    at_0038.migrate("aa_stripe", "0039", "-v0")

    assert definitions(at_0038) == before
    assert "COMMENT '50% `a`, b'" in at_0038.one(f"SHOW CREATE TABLE {WEBHOOKS}")[1]


@needs_mariadb
def test_each_table_is_rebuilt_once_and_a_table_with_rows_is_reported(at_0038):
    planned = at_0038.run("sqlmigrate", "aa_stripe", "0039").stdout
    output = at_0038.migrate("aa_stripe", "0039").stdout

    altered = [line.split("`")[1] for line in planned.splitlines() if line.startswith("ALTER")]
    assert sorted(altered) == of_aa_stripe(at_0038)
    assert f"{WEBHOOKS}: rebuilding the table of " in output
    assert "striperefund" not in output


@needs_mariadb
def test_columns_that_are_binary_already_are_skipped(at_0038):
    at_0038.execute(f"ALTER TABLE {WEBHOOKS} MODIFY id varchar(255) COLLATE utf8mb4_bin NOT NULL")

    planned = at_0038.run("sqlmigrate", "aa_stripe", "0039").stdout

    assert WEBHOOKS not in planned
    assert "aa_stripe_stripecustomer" in planned


@needs_mariadb
def test_tables_with_another_character_set_are_converted_and_restored(at_0038):
    for table in of_aa_stripe(at_0038):
        at_0038.execute(
            "SET foreign_key_checks = 0",
            f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb3 COLLATE utf8mb3_unicode_ci",
        )
    before = collations(at_0038)

    at_0038.migrate("aa_stripe", "0039", "-v0")
    assert collations(at_0038, WEBHOOKS)[WEBHOOKS, "id"] == "utf8mb4_bin"

    at_0038.migrate("aa_stripe", "0038", "-v0")
    assert collations(at_0038) == before


@needs_mariadb
def test_the_migration_can_be_finished_after_it_was_killed(at_0038):
    before = contents(at_0038)
    for number in (1, 2, 2, 3):
        assert at_0038.killed_at("statement", number, "0039")
    at_0038.migrate("aa_stripe", "0039", "-v0")
    assert contents(at_0038) == before
    once = schemas(at_0038)

    for number in (1, 2, 2, 3):
        assert at_0038.killed_at("statement", number, "0038")
    at_0038.migrate("aa_stripe", "0038", "-v0")
    at_0038.migrate("aa_stripe", "0039", "-v0")

    assert schemas(at_0038) == once
    assert set(collations(at_0038, WEBHOOKS).values()) > {"utf8mb4_bin"}


@needs_mariadb
def test_it_is_not_undone_while_two_ids_differ_in_letter_case_only(at_0038):
    at_0038.migrate("aa_stripe", "0039", "-v0")
    (user,) = at_0038.one("SELECT user_id FROM aa_stripe_stripecustomer")
    columns = "created, updated, stripe_response, uuid, user_id, stripe_js_response,"
    columns += " stripe_customer_id, is_active, is_created_at_stripe, sources, default_source"
    copied = columns.replace("uuid", "REPLACE(UUID(), '-', '')")
    tokens = [
        f"INSERT INTO aa_stripe_stripecustomer ({columns}, submitted_token)"
        f" SELECT {copied}, '{token}' FROM aa_stripe_stripecustomer WHERE user_id = {user} LIMIT 1"
        for token in ("tok_a", "tok_A")
    ]
    at_0038.execute(insertion("evt_b"), insertion("evt_B"), *tokens)
    before = at_0038.everything()

    stopped = at_0038.migrate("aa_stripe", "0038", check=False)

    assert stopped.returncode == 1
    assert "Nothing was changed." in stopped.stderr
    assert f"{WEBHOOKS}.id 'evt_B' and 'evt_b'" in stopped.stderr
    assert "aa_stripe_stripecustomer.submitted_token 'tok_A' and 'tok_a'" in stopped.stderr
    assert at_0038.everything() == before

    at_0038.execute(
        f"DELETE FROM {WEBHOOKS} WHERE id = 'evt_B'",
        "DELETE FROM aa_stripe_stripecustomer WHERE submitted_token = 'tok_A'",
    )
    at_0038.migrate("aa_stripe", "0038", "-v0")


KEYS = [
    ("books_bookedevent", "stripewebhook_ptr_id"),
    ("books_entry", "booked_id"),
    ("books_entry", "source_id"),
]


def constraints(database):
    """Return the constraints of the project's tables."""
    tables = ("books_bookedevent", "books_entry")
    return {table: database.schema(table)["constraints"] for table in tables}


@needs_mariadb
def test_foreign_keys_of_the_project_change_with_the_id_of_the_event(booked):
    before = constraints(booked)

    booked.migrate("aa_stripe", "0039", "-v0", **BOOKS)

    assert {collations(booked)[key] for key in KEYS} == {"utf8mb4_bin"}
    assert constraints(booked) == before


@needs_mariadb
def test_it_is_not_undone_while_a_table_of_the_project_refers_to_an_event(booked):
    booked.migrate("aa_stripe", "0039", "-v0", **BOOKS)
    before = constraints(booked), collations(booked)

    stopped = booked.migrate("aa_stripe", "0038", check=False, **BOOKS)

    assert stopped.returncode == 1
    assert "of books_bookedevent. Nothing was changed." in stopped.stderr
    assert (constraints(booked), collations(booked)) == before


@needs_mariadb
def test_no_foreign_key_is_lost_if_the_migration_is_killed(booked):
    before, kills = constraints(booked), 0
    # Each process gets a little further than the one before it.
    while booked.killed_at("statement", kills + 1, "0039", **BOOKS):
        kills += 1

    assert kills > 5
    assert {collations(booked)[key] for key in KEYS} == {"utf8mb4_bin"}
    assert constraints(booked) == before


@needs_mariadb
def test_a_new_table_of_the_project_can_refer_to_the_id(empty):
    empty.migrate("aa_stripe", "-v0", **BOOKS)
    empty.migrate("books", "-v0", **BOOKS)

    assert {collations(empty)[key] for key in KEYS} == {"utf8mb4_bin"}


@needs_mariadb
def test_a_foreign_key_that_django_does_not_know_stops_the_migration_at_once(at_0038):
    at_0038.execute(
        "CREATE TABLE note (id varchar(255) PRIMARY KEY, CONSTRAINT of_event FOREIGN KEY (id)"
        f" REFERENCES {WEBHOOKS} (id))"
    )
    before = at_0038.everything()

    stopped = at_0038.migrate("aa_stripe", "0039", check=False)

    assert stopped.returncode == 1
    assert "of_event of note. Nothing was changed." in stopped.stderr
    assert at_0038.everything() == before
