"""A migration that is killed loses no data; the next one continues."""

from __future__ import annotations

import json

import pytest

from tests.migrations.old_site import JSON_COLUMNS

MARIADB_ONLY = "the other databases roll back the schema changes of a killed process"


def assert_same(database, upgraded_once):
    """Check that every row equals that of an uninterrupted upgrade.

    Except for its uuid, and the time of the migration.
    """
    for table in JSON_COLUMNS:
        assert database.schema(table) == upgraded_once.schema(table)
        rows, expected = database.rows(table), upgraded_once.rows(table)
        assert rows.keys() == expected.keys()
        for pk, row in rows.items():
            for column, value in row.items():
                if column in JSON_COLUMNS[table]:
                    assert json.loads(value) == json.loads(expected[pk][column])
                elif column == "sent_at":
                    assert (value is None) == (expected[pk][column] is None)
                elif column != "uuid":
                    assert value == expected[pk][column]
        uuids = [row["uuid"] for row in rows.values() if "uuid" in row]
        assert None not in uuids
        assert len(set(uuids)) == len(uuids)


def test_the_upgrade_can_be_finished_after_it_was_killed_between_rows(filled, upgraded_once):
    assert filled.killed_at("row", 2)
    assert filled.killed_at("row", 150)
    assert filled.one("SELECT sources FROM aa_stripe_stripecustomer ORDER BY id DESC") != ("",)
    assert filled.killed_at("uuid", 15)
    assert filled.killed_at("uuid", 100)

    filled.migrate("aa_stripe", "-v0")

    assert_same(filled, upgraded_once)


def test_the_upgrade_can_be_finished_after_it_was_killed_at_any_schema_change(
    filled, upgraded_once
):
    if filled.vendor != "mysql":
        pytest.skip(MARIADB_ONLY)

    # Each process gets a little further than the one before it.
    for number in (1, 9, 14, 17, 3):
        assert filled.killed_at("statement", number)
    filled.migrate("aa_stripe", "-v0")

    assert_same(filled, upgraded_once)


def test_the_upgrade_can_be_finished_after_it_was_killed_in_a_transaction(filled, upgraded_once):
    if filled.vendor == "mysql":
        pytest.skip("MariaDB commits each statement")

    assert filled.killed_at("statement", 5)
    assert filled.killed_at("statement", 40)
    filled.migrate("aa_stripe", "-v0")

    assert_same(filled, upgraded_once)
