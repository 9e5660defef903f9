"""Requests to Stripe and database statements of the main paths, except transaction control."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.requests import (
    SETUP_INTENTS,
    charge_url,
    of,
    patch_card,
    post_card,
)
from tests.support.builders import make_charge, make_customer

TRANSACTIONS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK")


@pytest.fixture
def spent(fake):
    """A context manager that counts the requests and the statements of its block."""

    @contextmanager
    def counting():
        before = len(fake.requests)
        counted = {}
        with CaptureQueriesContext(connection) as queries:
            yield counted
        counted["requests"] = len(fake.requests) - before
        counted["statements"] = len(
            [it for it in queries if not it["sql"].startswith(TRANSACTIONS)]
        )

    return counting


def lock_statements():
    """Return the number of statements of a row lock: 1 if the database has row locks, else 0."""
    return int(connection.features.has_select_for_update)


def test_a_customer_from_a_token_costs_four_requests(api, spent):
    with spent() as counted:
        post_card(api, "tok_visa")

    # Look for the row, store it, read it, read its user, store its id at Stripe; read its version,
    # check it, store its cards.
    assert counted == {"requests": 4, "statements": 7 + lock_statements()}


def test_a_customer_from_a_payment_method_costs_three_requests(api, spent):
    with spent() as counted:
        post_card(api, "pm_card_visa")

    assert counted == {"requests": 3, "statements": 7 + lock_statements()}


def test_posting_a_card_again_costs_no_request(api, spent):
    post_card(api)

    with spent() as counted:
        post_card(api)

    assert counted == {"requests": 0, "statements": 2 + lock_statements()}


def test_reading_a_customer_costs_no_request(api, payer, spent):
    customer = make_customer(payer)

    with spent() as counted:
        api.get(of(customer))

    assert counted == {"requests": 0, "statements": 1}


def test_another_card_costs_five_requests(api, payer, spent):
    customer = make_customer(payer)

    with spent() as counted:
        patch_card(api, customer)

    # Read the row, read its version, check it, store its cards.
    assert counted == {"requests": 5, "statements": 4}


def test_a_setup_intent_costs_one_request(api, payer, spent):
    make_customer(payer)

    with spent() as counted:
        api.post(SETUP_INTENTS)

    assert counted == {"requests": 1, "statements": 1}


@pytest.mark.parametrize(("card", "requests"), [("tok_visa", 0), ("tok_authenticationRequired", 1)])
def test_only_a_charge_that_requires_action_costs_a_request(api, payer, spent, card, requests):
    charge = make_charge(make_customer(payer, card))
    charge.charge()

    with spent() as counted:
        api.get(charge_url(charge))

    assert counted == {"requests": requests, "statements": 1}
