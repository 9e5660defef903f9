from __future__ import annotations

import pytest

from aa_stripe.testing import deliveries
from aa_stripe.testing.deliveries import ATTEMPTS, Deliveries
from tests.testing.conftest import customer_with, subscribe

DAY = 24 * 60 * 60


@pytest.fixture
def webhook(monkeypatch):
    """A webhook that responds with the given statuses, then with 200; it keeps the events."""

    class Webhook:
        statuses = []
        received = []

    def send(url, events, secret, *, client):
        (event,) = events
        status = Webhook.statuses.pop(0) if Webhook.statuses else 200
        if isinstance(status, Exception):
            raise status
        if status == 200:
            Webhook.received.append(event["type"])
        return [status]

    monkeypatch.setattr(deliveries, "send", send)
    return Webhook


@pytest.fixture
def lines():
    return []


@pytest.fixture
def sender(fake, lines):
    return Deliveries(fake, "http://127.0.0.1:8000/hooks", "whsec_1", lines.append)


def test_each_event_is_sent_once(api, sender, webhook, lines):
    api.customers.create()
    sender.run_once()
    api.customers.create()
    sender.run_once()
    sender.run_once()

    assert webhook.received == ["customer.created", "customer.created"]
    assert [line.rpartition(": ")[2] for line in lines] == ["200", "200"]


@pytest.mark.parametrize("failure", [500, 302, 0, OSError("unknown host")])
def test_an_event_that_was_not_accepted_is_sent_again_before_newer_ones(
    api, sender, webhook, failure
):
    api.customers.create({"payment_method": "pm_card_visa"})
    webhook.statuses[:] = [failure]

    sender.run_once()
    assert webhook.received == []
    sender.run_once()

    assert webhook.received == ["customer.created", "payment_method.attached"]


def test_an_event_is_given_up_after_some_attempts(api, sender, webhook, lines):
    api.customers.create({"payment_method": "pm_card_visa"})
    webhook.statuses[:] = [500] * ATTEMPTS

    for _ in range(ATTEMPTS):
        sender.run_once()

    assert webhook.received == ["payment_method.attached"]
    assert [line.rpartition(": ")[2] for line in lines] == [
        "500",
        "500, given up after 5 attempts",
        "200",
    ]


def test_a_webhook_that_is_not_running_is_waited_for(api, sender, webhook, lines):
    api.customers.create()
    webhook.statuses[:] = [0] * 50

    for _ in range(51):
        sender.run_once()

    assert webhook.received == ["customer.created"]
    assert [line.rpartition(": ")[2] for line in lines] == ["no response", "200"]


def test_what_falls_due_in_real_time_happens(fake, api, plan, sender, webhook):
    subscription = subscribe(api, customer_with(api), trial_period_days=30)
    fake.account.advance(30 * DAY + 60)  # only the clock, as real time passes

    sender.run_once()

    assert api.subscriptions.retrieve(subscription.id).status == "active"
    assert "invoice.paid" in webhook.received
