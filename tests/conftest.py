"""Fixtures of the whole suite, its guards (no live key, no network) and its markers."""

from __future__ import annotations

import inspect
import ipaddress
import itertools
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from django.conf import settings as django_settings
from django.db import connection
from redis import Redis, RedisError

from aa_stripe.testing import FakeStripe
from aa_stripe.webhooks import registry
from tests.migrations.old_site import OldSite
from tests.support.signals import collected_signals

CONNECT_TIMEOUT = 5  # seconds

#: Fixtures that open the database for a test. Without one, pytest-django blocks it.
OPEN_THE_DATABASE = {"db", "transactional_db", "unblocked"}

#: Fixtures that start processes or migrate whole databases: seconds for each test.
SLOW = {"child_environment", "new_name"}


def pytest_configure(config):
    reject_live_keys()
    restore_interrupts()


def pytest_itemcollected(item):
    if not opens_database(item):
        item.add_marker("once")
    if SLOW.intersection(item.fixturenames):
        item.add_marker("slow")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


def opens_database(item):
    """Return whether the test can reach the database, as far as can be seen without running it."""
    # A test that takes ``request`` may ask for further fixtures by name.
    takes_request = "request" in inspect.signature(item.function).parameters
    is_marked = item.get_closest_marker("django_db") is not None
    return takes_request or is_marked or bool(OPEN_THE_DATABASE.intersection(item.fixturenames))


def restore_interrupts():
    """Handle SIGINT even in a background run, whose child processes would ignore it too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def reject_live_keys():
    """Stop before the first test if ``STRIPE_API_KEY`` is a live key."""
    keys = (os.environ.get("STRIPE_API_KEY"), getattr(django_settings, "STRIPE_API_KEY", None))
    if any(str(key).startswith(("sk_live_", "rk_live_")) for key in keys):
        pytest.exit(
            "STRIPE_API_KEY is a live key (sk_live_... or rk_live_...). "
            "The tests refuse to run with it: unset it, or use a test key.",
            returncode=4,
        )


@pytest.fixture(autouse=True, scope="session")
def only_this_machine():
    """Raise an error on each look-up of or connection to another machine."""
    connect, connect_ex, getaddrinfo = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def guarded_connect(self, address):
        reject_remote(self.family, address[0])
        return connect(self, address)

    def guarded_connect_ex(self, address):
        reject_remote(self.family, address[0])
        return connect_ex(self, address)

    def guarded_getaddrinfo(host, *args, **kwargs):
        reject_remote(socket.AF_INET, host)
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


def reject_remote(family, host):
    if family not in (socket.AF_INET, socket.AF_INET6) or host in (None, "", "localhost"):
        return
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise RuntimeError(f"A test tried to reach {host}; only this machine is allowed.")


@pytest.fixture
def fake():
    with FakeStripe() as fake:
        yield fake


@pytest.fixture
def served(fake):
    """The fake that is also served over HTTP at its ``url``, for other processes."""
    with fake.serve() as url:
        fake.url = url
        yield fake


@pytest.fixture
def later(monkeypatch):
    """``later(seconds)`` advances the monotonic clock of this process."""

    def later(seconds):
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + seconds)

    return later


@pytest.fixture
def sent():
    """The charge signals that were sent, each as ``(name, primary key)``."""
    with collected_signals() as signals:
        yield signals


@pytest.fixture
def on():
    """The decorator ``@on("payout.paid")``; its handlers are removed after the test."""
    handlers = []

    def on(*event_types):
        def register(handler):
            handlers.append(handler)
            return registry.on(*event_types)(handler)

        return register

    yield on
    for handler in handlers:
        registry.off(handler)


@pytest.fixture(scope="session")
def redis():
    """The server at ``TEST_REDIS_URL``.

    Without the server, the test is skipped, or fails if ``TEST_BROKER_REQUIRED`` is set.
    """
    url = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
    client = Redis.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT)
    try:
        client.ping()
    except RedisError as error:
        absent = f"No Redis responds at {url} (TEST_REDIS_URL names another): {error}"
        if "TEST_BROKER_REQUIRED" in os.environ:
            pytest.fail(absent)
        pytest.skip(absent)
    client.url = url
    yield client
    client.close()


@pytest.fixture
def child_environment(transactional_db):
    """The environment of a process that uses this test's database.

    Another process sees committed rows only, hence ``transactional_db``.
    """
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TEST_DATABASE_OPEN": str(connection.settings_dict["NAME"]),
    }


@pytest.fixture
def start_module(child_environment):
    """``start_module("tests.coupons.child", url)`` starts a process that runs that module.

    By default its output is piped. It is killed after the test.
    """
    children = []

    def start_module(*words, env=None, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more):
        child = subprocess.Popen(
            [sys.executable, "-m", *words],
            env=child_environment | (env or {}),
            stdout=stdout,
            stderr=stderr,
            text=True,
            **more,
        )
        children.append(child)
        return child

    yield start_module
    for child in children:
        child.kill()
        child.communicate()


# Databases for whole migrations


@pytest.fixture(scope="session")
def old_site(request):
    """The site with aa-stripe 0.13.0; its virtualenv is built on first use."""
    return OldSite(request.config.rootpath / ".pytest_cache" / "d")


@pytest.fixture(scope="session")
def unblocked(django_db_blocker):
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="session")
def new_name(tmp_path_factory):
    """``new_name()`` returns a name for a database that no other run uses."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    prefix = f"{os.environ.get('TEST_DATABASE_NAME', 'aa_stripe')}_migrations_{worker}_"
    numbers = itertools.count(1)
    directory = tmp_path_factory.mktemp("databases")

    def name():
        short = f"{prefix}{next(numbers)}"
        is_file = os.environ.get("TEST_DATABASE", "sqlite") == "sqlite"
        return str(directory / f"{short}.sqlite3") if is_file else short

    return name
