"""How often the main paths ask Stripe and the database, transactions apart."""

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
    """A block that counts; its value holds the requests and the statements afterwards."""

    @contextmanager
    def counting():
        asked = len(fake.requests)
        counted = {}
        with CaptureQueriesContext(connection) as queries:
            yield counted
        counted["requests"] = len(fake.requests) - asked
        counted["statements"] = len(
            [it for it in queries if not it["sql"].startswith(TRANSACTIONS)]
        )

    return counting


def is_locking():
    """A row lock is one statement more."""
    return int(connection.features.has_select_for_update)


def test_of_a_new_customer(api, spent):
    with spent() as counted:
        post_card(api, "tok_visa")

    # Is it here, store it, read it, its user, its id at Stripe, its cards.
    assert counted == {"requests": 4, "statements": 6 + is_locking()}


def test_of_a_payment_method_there_is_one_request_less(api, spent):
    with spent() as counted:
        post_card(api, "pm_card_visa")

    assert counted == {"requests": 3, "statements": 6 + is_locking()}


def test_of_a_second_click(api, spent):
    post_card(api)

    with spent() as counted:
        post_card(api)

    assert counted == {"requests": 0, "statements": 2 + is_locking()}


def test_of_a_look_at_a_customer(api, payer, spent):
    customer = make_customer(payer)

    with spent() as counted:
        api.get(of(customer))

    assert counted == {"requests": 0, "statements": 1}


def test_of_another_card(api, payer, spent):
    customer = make_customer(payer)

    with spent() as counted:
        patch_card(api, customer)

    assert counted == {"requests": 5, "statements": 2}


def test_of_a_setup_intent(api, payer, spent):
    make_customer(payer)

    with spent() as counted:
        api.post(SETUP_INTENTS)

    assert counted == {"requests": 1, "statements": 1}


@pytest.mark.parametrize(("card", "requests"), [("tok_visa", 0), ("tok_authenticationRequired", 1)])
def test_of_a_look_at_a_charge(api, payer, spent, card, requests):
    charge = make_charge(make_customer(payer, card))
    charge.charge()

    with spent() as counted:
        api.get(charge_url(charge))

    assert counted == {"requests": requests, "statements": 1}
