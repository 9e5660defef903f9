"""A webhook with a ``parse_error`` counts as parsed; in 0.14 it did not. Migration 0033."""

from __future__ import annotations

import pytest

from tests.migrations.databases import temporary

TABLE = "aa_stripe_stripewebhook"


def states(webhooks):
    """By id, whether the webhook is parsed and has an error."""
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
def of_today(upgraded):
    """By name, the ids of webhooks that were received since the upgrade and had an error."""
    said = "parse_error = 'No such coupon'"
    upgraded.execute(
        f"UPDATE {TABLE} SET is_parsed = true, attempts = 1, {said} WHERE id = 'evt_1'",
        f"UPDATE {TABLE} SET is_parsed = false, attempts = 2, {said} WHERE id = 'evt_2'",
    )
    return {"given up": "evt_1", "to be tried again": "evt_2"}


def test_only_what_0_14_left_unparsed_without_an_error_is_still_to_be_applied(
    upgraded_once, untouched
):
    old, upgraded = states(untouched[TABLE]), states(upgraded_once.rows(TABLE))

    assert set(old.values()) == {(False, False), (False, True), (True, False), (True, True)}
    for pk, (was_parsed, has_error) in old.items():
        assert upgraded[pk] == (was_parsed or has_error, has_error)


def test_those_that_failed_say_that_they_were_tried_once(upgraded_once, untouched):
    old, upgraded = states(untouched[TABLE]), upgraded_once.rows(TABLE)

    for pk, state in old.items():
        assert upgraded[pk]["attempts"] == (1 if state == (False, True) else 0)


def test_doing_it_twice_is_doing_it_once(at_0032):
    before = at_0032.rows(TABLE)
    at_0032.migrate("aa_stripe", "0033", "-v0")
    once = at_0032.rows(TABLE)

    at_0032.migrate("aa_stripe", "0032", "--fake", "-v0")
    at_0032.migrate("aa_stripe", "0033", "-v0")

    assert at_0032.rows(TABLE) == once != before


def test_undoing_it_gives_back_every_row_of_0_14_even_if_done_twice(at_0032):
    before = at_0032.rows(TABLE)
    at_0032.migrate("aa_stripe", "0033", "-v0")

    at_0032.migrate("aa_stripe", "0032", "-v0")
    assert at_0032.rows(TABLE) == before

    at_0032.migrate("aa_stripe", "0033", "--fake", "-v0")
    at_0032.migrate("aa_stripe", "0032", "-v0")
    assert at_0032.rows(TABLE) == before


def test_what_waits_to_be_tried_again_is_not_taken_for_a_row_of_0_14(upgraded, of_today):
    upgraded.migrate("aa_stripe", "0032", "--fake", "-v0")
    before = upgraded.rows(TABLE)

    upgraded.migrate("aa_stripe", "0033", "-v0")

    assert upgraded.rows(TABLE) == before


def test_back_in_0_14_what_was_given_up_is_unparsed_with_its_error(upgraded, of_today):
    upgraded.migrate("aa_stripe", "0001", "-v0")

    webhook = upgraded.rows(TABLE)[of_today["given up"]]
    assert (webhook["is_parsed"], webhook["parse_error"]) == (False, "No such coupon")


def test_what_waits_to_be_tried_again_still_does_after_going_back_and_forth(upgraded, of_today):
    upgraded.migrate("aa_stripe", "0001", "-v0")
    upgraded.migrate("aa_stripe", "-v0")

    again = states(upgraded.rows(TABLE))
    assert again[of_today["given up"]] == (True, True)
    assert again[of_today["to be tried again"]] == (False, False)


def test_killed_while_it_is_undone(upgraded, of_today, untouched):
    assert upgraded.killed_at("update", 1, "0032")
    assert upgraded.killed_at("update", 2, "0032")

    upgraded.migrate("aa_stripe", "0032", "-v0")

    expected = states(untouched[TABLE])
    expected |= {of_today["given up"]: (False, True), of_today["to be tried again"]: (False, False)}
    assert states(upgraded.rows(TABLE)) == expected
