"""Charges from before the claims: 0034 adds the columns, 0035 marks the unsettled rows."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.migrations.databases import temporary

CHARGES = "aa_stripe_stripecharge"
REFUNDS = "aa_stripe_striperefund"


@pytest.fixture(scope="module")
def at_0033_once(filled_once, new_name):
    """A database in which every second charge has a payment intent."""
    with temporary(new_name(), like=filled_once) as database:
        database.migrate("aa_stripe", "0033", "-v0")
        database.execute(f"UPDATE {CHARGES} SET stripe_payment_intent_id = 'pi_1' WHERE id % 2 = 0")
        yield database


@pytest.fixture
def at_0033(at_0033_once, new_name):
    with temporary(new_name(), like=at_0033_once) as database:
        yield database


def test_unpaid_charges_with_a_payment_intent_become_unsettled(at_0033):
    before = at_0033.rows(CHARGES)
    at_0033.migrate("aa_stripe", "0035", "-v0")

    after = at_0033.rows(CHARGES)

    expected = {
        key: bool(row["stripe_payment_intent_id"]) and not row["is_charged"]
        for key, row in before.items()
    }
    assert set(expected.values()) == {True, False}
    assert {key: bool(row["is_unsettled"]) for key, row in after.items()} == expected
    assert {key: row["sent_at"] is not None for key, row in after.items()} == expected
    assert {row["claim"] for row in after.values()} == {""}


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite cannot change a default.")
def test_a_process_from_before_the_upgrade_can_still_insert_rows(at_0033):
    at_0033.migrate("aa_stripe", "0035", "-v0")

    at_0033.run(module="tests.migrations.old_charge")

    for table in (CHARGES, REFUNDS):
        row = list(at_0033.rows(table).values())[-1]
        assert (row["claim"], row["attempts"], row["key_number"]) == ("", 0, 0)
        assert not row["is_unsettled"]


def test_the_migrations_can_be_undone_and_done_again(at_0033):
    before = at_0033.rows(CHARGES)
    at_0033.migrate("aa_stripe", "0035", "-v0")
    once = {key: {**row, "sent_at": None} for key, row in at_0033.rows(CHARGES).items()}

    at_0033.migrate("aa_stripe", "0033", "-v0")
    assert at_0033.rows(CHARGES) == before

    at_0033.migrate("aa_stripe", "0035", "-v0")
    assert {key: {**row, "sent_at": None} for key, row in at_0033.rows(CHARGES).items()} == once
