"""A webhook with a ``parse_error`` counts as parsed; in 0.14 it did not. Migration 0033."""

from __future__ import annotations

import pytest

from tests.migrations.databases import temporary

TABLE = "aa_stripe_stripewebhook"


def states(webhooks):
    """Return by id whether the webhook is parsed and whether it has an error."""
    return {
        pk: (bool(webhook["is_parsed"]), bool(webhook["parse_error"]))
        for pk, webhook in webhooks.items()
    }


@pytest.fixture(scope="module")
def at_0032_once(filled_once, new_name):
    with temporary(new_name(), like=filled_once) as database:
        database.migrate("aa_stripe", "0032", "-v0")
        yield database


@pytest.fixture
def at_0032(at_0032_once, new_name):
    """A database of 0.13.0 just before the migration."""
    with temporary(new_name(), like=at_0032_once) as database:
        yield database


@pytest.fixture
def new_failures(upgraded):
    """The ids, by name, of two webhooks that failed after the upgrade."""
    error = "parse_error = 'No such coupon'"
    upgraded.execute(
        f"UPDATE {TABLE} SET is_parsed = true, attempts = 1, {error} WHERE id = 'evt_1'",
        f"UPDATE {TABLE} SET is_parsed = false, attempts = 2, {error} WHERE id = 'evt_2'",
    )
    return {"rejected": "evt_1", "to be retried": "evt_2"}


def test_only_unparsed_webhooks_of_0_14_without_an_error_stay_unapplied(upgraded_once, untouched):
    old, upgraded = states(untouched[TABLE]), states(upgraded_once.rows(TABLE))

    assert set(old.values()) == {(False, False), (False, True), (True, False), (True, True)}
    for pk, (was_parsed, has_error) in old.items():
        assert upgraded[pk] == (was_parsed or has_error, has_error)


def test_webhooks_that_failed_in_0_14_have_one_attempt(upgraded_once, untouched):
    old, upgraded = states(untouched[TABLE]), upgraded_once.rows(TABLE)

    for pk, state in old.items():
        assert upgraded[pk]["attempts"] == (1 if state == (False, True) else 0)


def test_applying_the_migration_twice_changes_no_more(at_0032):
    before = at_0032.rows(TABLE)
    at_0032.migrate("aa_stripe", "0033", "-v0")
    once = at_0032.rows(TABLE)

    at_0032.migrate("aa_stripe", "0032", "--fake", "-v0")
    at_0032.migrate("aa_stripe", "0033", "-v0")

    assert at_0032.rows(TABLE) == once != before


def test_undoing_the_migration_restores_every_row_of_0_14_even_twice(at_0032):
    before = at_0032.rows(TABLE)
    at_0032.migrate("aa_stripe", "0033", "-v0")

    at_0032.migrate("aa_stripe", "0032", "-v0")
    assert at_0032.rows(TABLE) == before

    at_0032.migrate("aa_stripe", "0033", "--fake", "-v0")
    at_0032.migrate("aa_stripe", "0032", "-v0")
    assert at_0032.rows(TABLE) == before


def test_a_webhook_to_be_retried_is_not_migrated_like_a_row_of_0_14(upgraded, new_failures):
    upgraded.migrate("aa_stripe", "0032", "--fake", "-v0")
    before = upgraded.rows(TABLE)

    upgraded.migrate("aa_stripe", "0033", "-v0")

    assert upgraded.rows(TABLE) == before


def test_a_rejected_webhook_is_unparsed_with_its_error_after_a_downgrade(upgraded, new_failures):
    upgraded.migrate("aa_stripe", "0001_squashed", "-v0")

    webhook = upgraded.rows(TABLE)[new_failures["rejected"]]
    assert (webhook["is_parsed"], webhook["parse_error"]) == (False, "No such coupon")


def test_a_webhook_to_be_retried_stays_so_after_a_downgrade_and_an_upgrade(upgraded, new_failures):
    upgraded.migrate("aa_stripe", "0001_squashed", "-v0")
    upgraded.migrate("aa_stripe", "-v0")

    found = states(upgraded.rows(TABLE))
    assert found[new_failures["rejected"]] == (True, True)
    assert found[new_failures["to be retried"]] == (False, False)


def test_undoing_the_migration_can_be_finished_after_it_was_killed(
    upgraded, new_failures, untouched
):
    assert upgraded.killed_at("update", 1, "0032")
    assert upgraded.killed_at("update", 2, "0032")

    upgraded.migrate("aa_stripe", "0032", "-v0")

    expected = states(untouched[TABLE])
    expected |= {
        new_failures["rejected"]: (False, True),
        new_failures["to be retried"]: (False, False),
    }
    assert states(upgraded.rows(TABLE)) == expected
