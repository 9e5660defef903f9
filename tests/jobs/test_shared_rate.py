"""All processes of an account share one rate of requests, which Redis counts."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import uuid
from time import monotonic
from types import SimpleNamespace

import pytest
from django.core.exceptions import ImproperlyConfigured

from aa_stripe import gateway
from aa_stripe.jobs import charge_pending, shared_rate
from aa_stripe.jobs.pace import at_rate, at_rate_of_process
from aa_stripe.jobs.shared_rate import SharedRate
from tests.docs.blocks import ROOT
from tests.support.builders import make_charge, make_customer
from tests.support.processes import TIMEOUT

PASSWORD = "doNotShowMe"


@pytest.fixture
def account(settings, redis):
    """An API key of this test; what Redis has counted for it is deleted afterwards."""
    settings.STRIPE_API_KEY = f"sk_test_{uuid.uuid4().hex}"
    settings.STRIPE_RATE_LIMIT_URL = redis.url
    yield settings.STRIPE_API_KEY
    for key in keys_of(redis, settings.STRIPE_API_KEY):
        redis.delete(key)


@pytest.fixture(autouse=True)
def in_a_new_process():
    shared_rate._of_process.cache_clear()
    yield
    shared_rate._of_process.cache_clear()


@pytest.fixture
def shared(account, settings):
    """A function that returns one more user of the account's rate."""
    made = []

    def shared(rate, url=None):
        url = url or settings.STRIPE_RATE_LIMIT_URL
        made.append(SharedRate(url, rate, shared_rate._account()))
        return made[-1]

    yield shared
    for each in made:
        each._pool.disconnect()


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def clock(monkeypatch):
    """A clock that only ``sleep`` advances; a test may set ``now``. Redis has its own."""
    clock = SimpleNamespace(now=1000.0, pauses=[])

    def sleep(seconds):
        clock.now += seconds
        clock.pauses.append(seconds)

    time = SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep)
    monkeypatch.setattr(shared_rate, "time", time)
    return clock


def keys_of(redis, api_key):
    digest = hashlib.sha256(api_key.encode()).hexdigest()[:16]
    return list(redis.scan_iter(f"aa_stripe:*{digest}*"))


class Full(Exception):
    """Raised instead of the first pause."""


@pytest.fixture
def no_pause(monkeypatch):
    """Raise ``Full`` instead of a pause."""

    def sleep(seconds):
        raise Full

    monkeypatch.setattr(shared_rate, "time", SimpleNamespace(monotonic=monotonic, sleep=sleep))


def admitted(*users):
    """Return how many requests of the users, in turn, are admitted without a pause."""
    number = 0
    while True:
        for user in users:
            try:
                user.wait()
            except Full:
                return number
            number += 1


# Sharing. The window is an hour, so that it does not end during a test.


@pytest.fixture
def slow_window(monkeypatch):
    """Count requests per hour instead of per second."""
    original = SharedRate.__init__

    def init(self, url, rate, account):
        original(self, url, rate, account)
        self._seconds = 3600

    monkeypatch.setattr(SharedRate, "__init__", init)


@pytest.mark.usefixtures("slow_window", "no_pause")
def test_users_of_one_account_share_one_rate(shared):
    assert admitted(shared(20), shared(20), shared(20)) == 20


@pytest.mark.usefixtures("slow_window", "no_pause")
def test_a_user_with_a_lower_rate_counts_the_requests_of_the_others(shared):
    assert admitted(shared(20)) == 20
    assert admitted(shared(15)) == 0
    assert admitted(shared(25)) == 5


@pytest.mark.usefixtures("slow_window", "no_pause")
def test_threads_share_one_rate(shared):
    user, counted = shared(20), []
    threads = [threading.Thread(target=lambda: counted.append(admitted(user))) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)

    assert sum(counted) == 20


@pytest.mark.usefixtures("slow_window", "no_pause")
def test_another_account_has_its_own_rate(shared, account, settings, redis):
    admitted(shared(20))
    settings.STRIPE_API_KEY = f"{account}_of_another_account"

    assert admitted(shared(20)) == 20

    for key in keys_of(redis, settings.STRIPE_API_KEY):
        redis.delete(key)


PROGRAM = """
import sys
import django
django.setup()
from django.conf import settings
from aa_stripe.jobs import shared_rate
settings.STRIPE_API_KEY = sys.argv[1]
user = shared_rate.SharedRate(sys.argv[2], 50, shared_rate._account())
user._seconds = 3600
number = 0
def sleep(seconds):
    print(number)
    sys.exit()
shared_rate.time.sleep = sleep
print("ready", flush=True)
sys.stdin.readline()
while True:
    user.wait()
    number += 1
"""


def test_processes_share_one_rate(account, settings, tmp_path):
    program = tmp_path / "counting.py"
    program.write_text(PROGRAM)
    children = [
        subprocess.Popen(
            [sys.executable, str(program), account, settings.STRIPE_RATE_LIMIT_URL],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"

    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()

    assert sum(int(child.communicate(timeout=TIMEOUT)[0]) for child in children) == 50


# The rate


@pytest.mark.parametrize(
    ("rate", "amount", "seconds"),
    [(100, 100, 1), (1, 1, 1), (20.9, 20, 1), (1.5, 1, 1), (0.5, 1, 2), (0.3, 1, 4)],
)
def test_the_rate_is_rounded_down(shared, rate, amount, seconds):
    user = shared(rate)

    assert (user._amount, user._seconds) == (amount, seconds)
    assert amount / seconds <= rate


def test_a_refused_request_waits_for_random_times_around_the_interval(shared, clock, monkeypatch):
    user = shared(20)
    responses = iter([False] * 50 + [True])
    monkeypatch.setattr(user, "_is_admitted", lambda: next(responses))

    user.wait()

    assert len(set(clock.pauses)) == 50
    assert all(0.025 <= pause <= 0.075 for pause in clock.pauses)


def test_the_pauses_are_short_at_a_low_rate(shared, clock, monkeypatch):
    user = shared(0.01)
    responses = iter([False] * 20 + [True])
    monkeypatch.setattr(user, "_is_admitted", lambda: next(responses))

    user.wait()

    assert max(clock.pauses) <= 1.5


# Requests to Stripe


@pytest.fixture
def counted(account, redis, slow_window):
    """A function that returns how many requests to the account Redis has counted."""

    def counted():
        return [int(redis.get(key)) for key in keys_of(redis, account)]

    return counted


def test_each_request_is_counted(counted, fake):
    for _ in range(201):
        fake.account.add("customer")

    with at_rate(1000):
        list(gateway.customers())

    assert counted() == [len(fake.requests)] == [3]


@pytest.mark.django_db(transaction=True)
def test_the_requests_of_all_workers_are_counted(counted, fake):
    customer = make_customer()
    for _ in range(6):
        make_charge(customer)
    fake.requests.clear()

    charge_pending(rate=1000, workers=3)

    assert counted() == [len(fake.requests)] == [12]


def test_the_requests_of_all_tasks_are_counted(counted, fake):
    fake.account.add("customer")
    for _ in range(3):
        with at_rate_of_process():
            list(gateway.customers())

    assert counted() == [len(fake.requests)] == [3]


def test_the_runs_and_tasks_of_a_process_share_their_connection_to_redis(
    counted, fake, monkeypatch
):
    made, make = [], shared_rate._storage
    monkeypatch.setattr(shared_rate, "_storage", lambda url: made.append(url) or make(url))

    for _ in range(2):
        with at_rate(None):
            list(gateway.customers())
        with at_rate_of_process():
            list(gateway.customers())

    assert len(made) == 1


def test_no_key_in_redis_contains_the_api_key(shared, account, redis):
    shared(20).wait()

    assert len(keys_of(redis, account)) == 1
    assert not list(redis.scan_iter(f"*{account}*"))


def test_the_keys_in_redis_expire(shared, account, redis):
    shared(20).wait()

    [key] = keys_of(redis, account)
    assert 0 < redis.pttl(key) <= 2000


@pytest.mark.parametrize("url", [None, ""])
def test_without_the_setting_redis_is_not_used(fake, settings, monkeypatch, url):
    settings.STRIPE_RATE_LIMIT_URL = url
    monkeypatch.setattr(shared_rate, "SharedRate", None)

    with at_rate(1000):
        list(gateway.customers())

    assert len(fake.requests) == 1


# Redis is away


def test_without_redis_requests_are_sent_with_one_warning(shared, clock, free_port, caplog):
    user = shared(20, f"redis://:{PASSWORD}@127.0.0.1:{free_port}/0")

    for _ in range(5):
        user.wait()
        clock.now += 11

    assert clock.pauses == []
    [message] = caplog.messages
    assert message.startswith("Redis does not respond (ConnectionError), so this process")
    assert PASSWORD not in caplog.text


def test_each_time_that_redis_goes_away_is_logged(shared, clock, free_port, caplog):
    user = shared(20)
    server = user._pool.connection_kwargs
    for port in (free_port, server["port"], free_port):
        server["port"] = port
        user._pool.disconnect()
        user._pool.reset()
        user.wait()
        clock.now += 11

    assert len(caplog.messages) == 2


def test_redis_is_tried_again_after_ten_seconds(shared, clock, free_port, monkeypatch, account):
    user, tried = shared(20), []
    acquire = user._storage.acquire_sliding_window_entry

    def count(*arguments):
        tried.append(clock.now)
        return acquire(*arguments)

    monkeypatch.setattr(user._storage, "acquire_sliding_window_entry", count)
    server = user._pool.connection_kwargs
    server["port"], port = free_port, server["port"]

    for _ in range(3):
        user.wait()
    server["port"] = port
    user._pool.reset()  # its connection has the other port
    clock.now += 9
    user.wait()
    assert tried == [1000]
    clock.now += 2
    user.wait()
    user.wait()

    assert tried == [1000, 1011, 1011]


def test_a_redis_that_does_not_respond_holds_up_a_run_once(shared, clock, caplog, monkeypatch):
    monkeypatch.setattr(shared_rate, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        user = shared(20, f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        for _ in range(3):
            user.wait()

    assert [record.args[0] for record in caplog.records] == ["TimeoutError"]


def test_a_redis_that_rejects_the_password_is_not_used(shared, clock, redis, caplog):
    host = redis.connection_pool.connection_kwargs
    user = shared(20, f"redis://:{PASSWORD}@{host['host']}:{host['port']}/0")

    user.wait()

    assert len(caplog.records) == 1
    assert PASSWORD not in caplog.text


# Wrong settings


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}/@127.0.0.1/0",
        f"memcached://:{PASSWORD}@127.0.0.1",
        f"redis://:{PASSWORD}@127.0.0.1/0?timeout=20",  # socket_timeout
        f"rediss://:{PASSWORD}@127.0.0.1/0?ssl_cert_reqs=CERT_NONE",
    ],
)
def test_an_invalid_url_is_rejected_without_showing_it(settings, url):
    settings.STRIPE_RATE_LIMIT_URL = url

    with pytest.raises(ImproperlyConfigured) as raised, at_rate(20):
        pass

    assert str(raised.value) == "STRIPE_RATE_LIMIT_URL is not the URL of a Redis server."
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("missing", ["limits.storage", "redis"])
def test_a_missing_package_is_named(settings, monkeypatch, missing):
    settings.STRIPE_RATE_LIMIT_URL = "redis://127.0.0.1"
    monkeypatch.setitem(sys.modules, missing, None)

    with (
        pytest.raises(ImproperlyConfigured, match=r'pip install "aa-stripe\[redis\]"'),
        at_rate(20),
    ):
        pass
