"""Requests go to Stripe at the configured rate, and no faster."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
import stripe

from aa_stripe import gateway
from aa_stripe.jobs import pace as pace_module
from aa_stripe.jobs.pace import Pace, at_rate
from aa_stripe.testing import Fault


@pytest.fixture
def clock(monkeypatch):
    """A clock that only ``sleep`` advances; a test may set ``now``."""
    clock = SimpleNamespace(now=1000.0)

    def sleep(seconds):
        clock.now += seconds

    monkeypatch.setattr(
        pace_module, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep)
    )
    return clock


@pytest.fixture
def waits():
    """A counter of the calls of its ``wait``."""
    waits = SimpleNamespace(number=0)

    def wait():
        waits.number += 1

    waits.wait = wait
    return waits


def turns(pace, clock, number):
    taken = []
    for _ in range(number):
        pace.wait()
        taken.append(clock.now - 1000)
    return taken


def test_turns_are_evenly_spaced(clock):
    pace = Pace(4)

    assert turns(pace, clock, 4) == [0, 0.25, 0.5, 0.75]


def test_unused_time_is_not_saved_up(clock):
    pace = Pace(4)
    pace.wait()
    clock.now += 60

    assert turns(pace, clock, 3) == [60, 60.25, 60.5]


def test_a_slow_caller_waits_only_for_the_rest_of_the_interval(clock):
    pace = Pace(4)
    pace.wait()
    clock.now += 0.2

    assert turns(pace, clock, 1) == [pytest.approx(0.25)]


def test_threads_share_one_limit():
    pace = Pace(100)
    threads = [threading.Thread(target=lambda: [pace.wait() for _ in range(5)]) for _ in range(4)]
    started = time.monotonic()

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert time.monotonic() - started >= 0.19  # twenty turns have nineteen gaps of 10 ms


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_an_invalid_rate_is_rejected(rate):
    with pytest.raises(ValueError, match="above 0"):
        Pace(rate)


# Too many requests


def respond(pace, status, while_sending=None):
    """Send a request that has a response with this status."""

    def send():
        if while_sending is not None:
            while_sending()
        return "", status, {}

    assert pace.send(send) == ("", status, {})


def test_a_rejected_request_halves_the_rate(clock):
    pace = Pace(4)
    respond(pace, 429)

    assert pace.rate == 2
    assert turns(pace, clock, 3) == [0.25, 0.75, 1.25]


def test_requests_whose_turn_was_before_the_halving_do_not_halve_it_again(clock):
    pace = Pace(16)

    respond(pace, 429, while_sending=lambda: respond(pace, 429, lambda: respond(pace, 429)))

    assert pace.rate == 8


def test_a_later_rejected_request_halves_the_rate_again(clock):
    pace = Pace(16)
    respond(pace, 429)
    respond(pace, 429)

    assert pace.rate == 4


def test_the_rate_is_not_below_a_sixteenth(clock):
    pace = Pace(16)
    for _ in range(10):
        respond(pace, 429)

    assert pace.rate == 1


@pytest.mark.parametrize("status", [200, 402, 404, 500])
def test_the_rate_recovers_with_seventy_other_responses(clock, status):
    pace = Pace(16)
    respond(pace, 429)

    for _ in range(69):
        respond(pace, status)
    assert pace.rate < 16
    respond(pace, status)

    assert pace.rate == 16


def test_the_rate_does_not_exceed_the_wanted_one(clock):
    pace = Pace(16)
    for _ in range(3):
        respond(pace, 200)

    assert pace.rate == 16


def test_a_request_without_a_response_does_not_change_the_rate(clock):
    pace = Pace(16)

    def send():
        raise ConnectionError

    with pytest.raises(ConnectionError):
        pace.send(send)

    assert pace.rate == 16


def test_a_run_slows_down_when_stripe_rejects_a_request(fake, clock):
    fake.fail_next("GET /v1/customers", Fault.RATE_LIMITED)

    with at_rate(4):
        with pytest.raises(gateway.StripeError):
            list(gateway.customers())
        list(gateway.customers())
        list(gateway.customers())

    assert clock.now == 1000.75


def test_the_retries_of_the_sdk_adapt_the_rate(fake, clock, settings, monkeypatch):
    settings.STRIPE_MAX_NETWORK_RETRIES = 2
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    fake.fail_next("GET /v1/customers", Fault.CONFLICT)
    pace = Pace(16)
    respond(pace, 429)

    with gateway.around_each_request(pace.send):
        list(gateway.customers())

    assert len(fake.requests) == 2
    assert pace.rate == pytest.approx(8 * 1.01**2)


def test_the_setting_is_the_default(fake, settings, clock):
    settings.STRIPE_REQUESTS_PER_SECOND = 2

    with at_rate(None):
        for _ in range(3):
            list(gateway.customers())

    assert clock.now == 1001


def test_each_page_of_a_list_waits_for_its_turn(fake, waits):
    for _ in range(201):
        fake.account.add("customer")

    with gateway.before_each_request(waits.wait):
        assert len(list(gateway.customers())) == 201

    assert waits.number == len(fake.requests) == 3


def test_the_retries_of_the_sdk_wait_for_their_turn(fake, waits, settings):
    settings.STRIPE_MAX_NETWORK_RETRIES = 2
    fake.fail_next("GET /v1/customers", Fault.REQUEST_LOST, times=2)

    with gateway.before_each_request(waits.wait):
        assert list(gateway.customers()) == []

    assert waits.number == len(fake.requests) == 3


def test_requests_outside_of_the_block_do_not_wait(fake, waits):
    with gateway.before_each_request(waits.wait):
        pass

    list(gateway.customers())

    assert waits.number == 0


def test_another_thread_does_not_wait(fake, waits):
    with gateway.before_each_request(waits.wait):
        other = threading.Thread(target=lambda: list(gateway.customers()))
        other.start()
        other.join()

    assert len(fake.requests) == 1
    assert waits.number == 0


def test_requests_of_the_project_itself_do_not_wait(fake, waits):
    with gateway.before_each_request(waits.wait):
        list(gateway.customers())
        stripe.Customer.list()

    assert waits.number == 1
    assert len(fake.requests) == 2
