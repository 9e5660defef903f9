"""The SQL statements of a delivery, apart from transactions."""

from __future__ import annotations

import pytest
from django.db import connection

from aa_stripe.models.webhook.claim import claim
from tests.support.rows import row_of
from tests.webhooks.deliveries import deliver
from tests.webhooks.effects import TYPE, WentWrong, make_event, stored_event

pytestmark = pytest.mark.django_db

#: What locks the database before the handlers run, where a read and then a write may fail.
LOCK = [] if connection.features.has_select_for_update else ["UPDATE"]

TRANSACTIONS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK")


def statements_of(client, event, **options):
    """Return the first word of each statement that a delivery of the event executes."""
    statements = []

    def note(execute, sql, *args):
        # Django's own log does not show what PyMySQL sent if the statement failed.
        statements.append(sql)
        return execute(sql, *args)

    with connection.execute_wrapper(note):
        deliver(client, event, **options)
    return [sql.split()[0] for sql in statements if not sql.startswith(TRANSACTIONS)]


@pytest.fixture
def handled(on):
    """A handler that executes no statement."""
    on(TYPE)(lambda webhook: None)


def test_an_event_without_a_handler_is_one_insert(client):
    assert statements_of(client, make_event()) == ["INSERT"]


def test_an_event_about_a_customer_is_first_compared_with_those_that_are_erased(client):
    event = make_event()
    event["data"]["object"] = {**event["data"]["object"], "customer": "cus_1"}

    assert statements_of(client, event) == ["SELECT", "INSERT"]


def test_an_applied_event_is_an_insert_and_an_update(client, handled):
    assert statements_of(client, make_event()) == ["INSERT", *LOCK, "UPDATE"]


def test_more_handlers_and_receivers_cost_nothing(client, handled, on, receiver):
    on("payout.*")(lambda webhook: None)
    receiver(lambda sender, **kwargs: None)

    assert statements_of(client, make_event()) == ["INSERT", *LOCK, "UPDATE"]


def test_a_redelivered_event_is_read_once(client, handled):
    event = make_event()
    deliver(client, event)

    assert statements_of(client, event) == ["INSERT", "SELECT"]


def test_a_redelivered_event_that_was_not_applied_is_read_and_updated_twice(client, handled):
    webhook = stored_event()

    # First its state alone. The attempt is counted before it begins.
    statements = ["INSERT", "SELECT", "SELECT", "UPDATE", *LOCK, "UPDATE"]
    assert statements_of(client, webhook.raw_data) == statements


def test_a_redelivered_event_that_another_process_is_applying_is_not_written(client, handled):
    webhook = stored_event()
    assert claim(row_of(webhook))

    # An UPDATE might wait for a lock.
    assert statements_of(client, webhook.raw_data) == ["INSERT", "SELECT", "SELECT"]


def test_an_event_of_the_wrong_mode_is_one_insert(client, handled):
    assert statements_of(client, make_event(livemode=True)) == ["INSERT"]


def test_a_deferred_event_is_one_insert(client, handled, settings):
    settings.STRIPE_WEBHOOK_PROCESSOR = "deferred"

    assert statements_of(client, make_event()) == ["INSERT"]


def test_an_event_whose_handler_fails_is_updated_twice(client, on):
    @on(TYPE)
    def fail(webhook):
        raise WentWrong

    # The error.
    assert statements_of(client, make_event()) == ["INSERT", *LOCK, "UPDATE"]


def test_a_rejected_request_costs_nothing(client, handled):
    assert statements_of(client, make_event(), secret="whsec_other") == []
