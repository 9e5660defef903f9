"""A process that is killed in the middle loses nothing; the next one goes on."""

from __future__ import annotations

import json

import pytest

from tests.migrations.old_site import JSON_COLUMNS

MARIADB_ONLY = "the other databases take back what a killed process did to the schema"


def assert_same(database, upgraded_once):
    """Every row holds the same as after an upgrade that was not disturbed, its uuid apart."""
    for table in JSON_COLUMNS:
        assert database.schema(table) == upgraded_once.schema(table)
        rows, expected = database.rows(table), upgraded_once.rows(table)
        assert rows.keys() == expected.keys()
        for pk, row in rows.items():
            for column, value in row.items():
                if column in JSON_COLUMNS[table]:
                    assert json.loads(value) == json.loads(expected[pk][column])
                elif column != "uuid":
                    assert value == expected[pk][column]
        uuids = [row["uuid"] for row in rows.values() if "uuid" in row]
        assert None not in uuids
        assert len(set(uuids)) == len(uuids)


def test_killed_while_rows_are_filled_and_made_storable(filled, upgraded_once):
    assert filled.killed_at("row", 2)
    assert filled.killed_at("row", 150)
    assert filled.one("SELECT sources FROM aa_stripe_stripecustomer ORDER BY id DESC") != ("",)
    assert filled.killed_at("uuid", 15)
    assert filled.killed_at("uuid", 100)

    filled.migrate("aa_stripe", "-v0")

    assert_same(filled, upgraded_once)


def test_killed_at_any_statement_that_changes_the_schema(filled, upgraded_once):
    if filled.vendor != "mysql":
        pytest.skip(MARIADB_ONLY)

    # Each process gets a little further than the one before it.
    for number in (1, 9, 14, 17, 3):
        assert filled.killed_at("statement", number)
    filled.migrate("aa_stripe", "-v0")

    assert_same(filled, upgraded_once)


def test_killed_at_a_statement_of_one_transaction(filled, upgraded_once):
    if filled.vendor == "mysql":
        pytest.skip("MariaDB commits each statement")

    assert filled.killed_at("statement", 5)
    assert filled.killed_at("statement", 40)
    filled.migrate("aa_stripe", "-v0")

    assert_same(filled, upgraded_once)
