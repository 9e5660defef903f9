"""A webhook with a ``parse_error`` counts as parsed; in 0.14 it did not. Migration 0033."""

from __future__ import annotations

import pytest

TABLE = "aa_stripe_stripewebhook"


def states(webhooks):
    """By id, whether the webhook is parsed and has an error."""
    return {
        pk: (bool(webhook["is_parsed"]), bool(webhook["parse_error"]))
        for pk, webhook in webhooks.items()
    }


@pytest.fixture
def before(filled):
    """The webhooks of 0.14 just before the migration."""
    filled.migrate("aa_stripe", "0032", "-v0")
    return filled.rows(TABLE)


@pytest.fixture
def of_today(filled):
    """By name, the ids of webhooks that were received since the upgrade and had an error."""
    filled.migrate("aa_stripe", "-v0")
    said = "parse_error = 'No such coupon'"
    filled.execute(
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


def test_doing_it_twice_is_doing_it_once(filled, before):
    filled.migrate("aa_stripe", "0033", "-v0")
    once = filled.rows(TABLE)

    filled.migrate("aa_stripe", "0032", "--fake", "-v0")
    filled.migrate("aa_stripe", "0033", "-v0")

    assert filled.rows(TABLE) == once != before


def test_undoing_it_gives_back_every_row_of_0_14_even_if_done_twice(filled, before):
    filled.migrate("aa_stripe", "0033", "-v0")

    filled.migrate("aa_stripe", "0032", "-v0")
    assert filled.rows(TABLE) == before

    filled.migrate("aa_stripe", "0033", "--fake", "-v0")
    filled.migrate("aa_stripe", "0032", "-v0")
    assert filled.rows(TABLE) == before


def test_what_waits_to_be_tried_again_is_not_taken_for_a_row_of_0_14(filled, of_today):
    filled.migrate("aa_stripe", "0032", "--fake", "-v0")
    before = filled.rows(TABLE)

    filled.migrate("aa_stripe", "0033", "-v0")

    assert filled.rows(TABLE) == before


def test_back_in_0_14_what_was_given_up_is_unparsed_with_its_error(filled, of_today):
    filled.migrate("aa_stripe", "0001", "-v0")

    webhook = filled.rows(TABLE)[of_today["given up"]]
    assert (webhook["is_parsed"], webhook["parse_error"]) == (False, "No such coupon")


def test_what_waits_to_be_tried_again_still_does_after_going_back_and_forth(filled, of_today):
    filled.migrate("aa_stripe", "0001", "-v0")
    filled.migrate("aa_stripe", "-v0")

    again = states(filled.rows(TABLE))
    assert again[of_today["given up"]] == (True, True)
    assert again[of_today["to be tried again"]] == (False, False)


def test_killed_while_it_is_undone(filled, of_today, untouched):
    assert filled.killed_at("update", 1, "0032")
    assert filled.killed_at("update", 2, "0032")

    filled.migrate("aa_stripe", "0032", "-v0")

    expected = states(untouched[TABLE])
    expected |= {of_today["given up"]: (False, True), of_today["to be tried again"]: (False, False)}
    assert states(filled.rows(TABLE)) == expected
