"""Subscriptions from before the claims: 0036 adds the columns, 0037 marks the unsettled rows."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.migrations.databases import temporary

TABLE = "aa_stripe_stripesubscription"


@pytest.fixture(scope="module")
def at_0035_once(filled_once, new_name):
    """A database in which every second subscription is not created and was refused once."""
    with temporary(new_name(), like=filled_once) as database:
        database.migrate("aa_stripe", "0035", "-v0")
        database.execute(
            f"UPDATE {TABLE} SET is_created_at_stripe = (id % 2 = 0), refusals = id % 2"
        )
        yield database


@pytest.fixture
def at_0035(at_0035_once, new_name):
    with temporary(new_name(), like=at_0035_once) as database:
        yield database


def without_time(rows):
    return {key: {**row, "sent_at": None} for key, row in rows.items()}


def test_subscriptions_that_are_not_created_become_unsettled(at_0035):
    before = at_0035.rows(TABLE)
    at_0035.migrate("aa_stripe", "0037", "-v0")

    after = at_0035.rows(TABLE)

    expected = {key: not row["is_created_at_stripe"] for key, row in before.items()}
    assert set(expected.values()) == {True, False}
    assert {key: bool(row["is_unsettled"]) for key, row in after.items()} == expected
    assert {key: row["sent_at"] is not None for key, row in after.items()} == expected
    assert {row["claim"] for row in after.values()} == {""}


def test_the_number_of_refusals_stays_the_number_in_the_key(at_0035):
    before = at_0035.rows(TABLE)

    at_0035.migrate("aa_stripe", "0037", "-v0")

    after = at_0035.rows(TABLE)
    assert {row["refusals"] for row in after.values()} == {0, 1}
    assert all(after[key]["refusals"] == row["refusals"] for key, row in before.items())


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite cannot change a default.")
def test_a_process_from_before_the_upgrade_can_still_insert_rows(at_0035):
    at_0035.migrate("aa_stripe", "0037", "-v0")

    at_0035.run(module="tests.migrations.old_subscription")

    row = list(at_0035.rows(TABLE).values())[-1]
    assert (row["claim"], row["attempts"], row["refusals"]) == ("", 0, 0)
    assert not row["is_unsettled"]


def test_the_migrations_can_be_undone_and_done_again(at_0035):
    before = at_0035.rows(TABLE)
    at_0035.migrate("aa_stripe", "0037", "-v0")
    once = without_time(at_0035.rows(TABLE))

    at_0035.migrate("aa_stripe", "0035", "-v0")
    assert at_0035.rows(TABLE) == before

    at_0035.migrate("aa_stripe", "0037", "-v0")
    assert without_time(at_0035.rows(TABLE)) == once
