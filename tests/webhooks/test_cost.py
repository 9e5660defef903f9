"""What a delivery asks of the database, transactions apart."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.webhooks.deliveries import deliver
from tests.webhooks.effects import TYPE, WentWrong, make_event, stored_event

pytestmark = pytest.mark.django_db

TRANSACTIONS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK")


def statements_of(client, event, **options):
    """The first words of what is asked while the event is delivered."""
    asked = []

    def note(execute, sql, *args):
        # Django's own log does not know what PyMySQL has sent if it was refused.
        asked.append(sql)
        return execute(sql, *args)

    with connection.execute_wrapper(note):
        deliver(client, event, **options)
    return [sql.split()[0] for sql in asked if not sql.startswith(TRANSACTIONS)]


@pytest.fixture
def handled(on):
    """Somebody listens, and asks the database nothing."""
    on(TYPE)(lambda webhook: None)


def test_of_an_event_that_nobody_listens_to(client):
    assert statements_of(client, make_event()) == ["INSERT"]


def test_of_an_event_that_is_applied(client, handled):
    assert statements_of(client, make_event()) == ["INSERT", "UPDATE"]


def test_each_further_listener_costs_nothing(client, handled, on, receiver):
    on("payout.*")(lambda webhook: None)
    receiver(lambda sender, **kwargs: None)

    assert statements_of(client, make_event()) == ["INSERT", "UPDATE"]


def test_of_an_event_that_comes_again(client, handled):
    event = make_event()
    deliver(client, event)

    assert statements_of(client, event) == ["INSERT", "SELECT"]


def test_of_an_event_that_was_not_applied_and_comes_again(client, handled):
    webhook = stored_event()

    # It counts the attempt before it begins.
    assert statements_of(client, webhook.raw_data) == ["INSERT", "SELECT", "UPDATE", "UPDATE"]


def test_of_an_event_of_the_other_mode(client, handled):
    assert statements_of(client, make_event(livemode=True)) == ["INSERT"]


def test_of_an_event_that_is_applied_later(client, handled, settings):
    settings.STRIPE_WEBHOOK_PROCESSOR = "deferred"

    assert statements_of(client, make_event()) == ["INSERT"]


def test_of_an_event_whose_handler_fails(client, on):
    @on(TYPE)
    def fail(webhook):
        raise WentWrong

    # The mark, which is undone, and why.
    assert statements_of(client, make_event()) == ["INSERT", "UPDATE", "UPDATE"]


def test_what_is_refused_costs_nothing(client, handled):
    assert statements_of(client, make_event(), secret="whsec_other") == []
