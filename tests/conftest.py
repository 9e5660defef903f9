"""What every test relies on: no live key, no network."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import subprocess
import sys

import pytest
from django.conf import settings as django_settings
from django.db import connection

from aa_stripe.testing import FakeStripe
from aa_stripe.webhooks import registry


def pytest_configure(config):
    refuse_live_keys()
    hear_interrupts()


def hear_interrupts():
    """A run in the background of a shell ignores SIGINT, and so would the processes it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def refuse_live_keys():
    """Stop before the first test when the key at hand could move real money."""
    keys = (os.environ.get("STRIPE_API_KEY"), getattr(django_settings, "STRIPE_API_KEY", None))
    if any(str(key).startswith(("sk_live_", "rk_live_")) for key in keys):
        pytest.exit(
            "STRIPE_API_KEY is a live key (sk_live_... or rk_live_...). "
            "The tests refuse to run with it: unset it, or use a test key.",
            returncode=4,
        )


@pytest.fixture(autouse=True, scope="session")
def only_this_machine():
    """Fail whatever looks up or connects to another machine than this one."""
    connect, connect_ex, getaddrinfo = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def guarded_connect(self, address):
        refuse_remote(self.family, address[0])
        return connect(self, address)

    def guarded_connect_ex(self, address):
        refuse_remote(self.family, address[0])
        return connect_ex(self, address)

    def guarded_getaddrinfo(host, *args, **kwargs):
        refuse_remote(socket.AF_INET, host)
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


def refuse_remote(family, host):
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
    """The same, also over HTTP for other processes, at its ``url``."""
    with fake.serve() as url:
        fake.url = url
        yield fake


@pytest.fixture
def on():
    """``@on("payout.paid")``, for this test."""
    handlers = []

    def on(*event_types):
        def register(handler):
            handlers.append(handler)
            return registry.on(*event_types)(handler)

        return register

    yield on
    for handler in handlers:
        registry.off(handler)


@pytest.fixture
def child_environment(transactional_db):
    """The environment for a process that works in this test's database.

    Another process sees only what is committed, hence ``transactional_db``.
    """
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TEST_DATABASE_OPEN": str(connection.settings_dict["NAME"]),
    }


@pytest.fixture
def start_module(child_environment):
    """``start_module("tests.coupons.child", url)``: a process that runs that module.

    Its output is piped unless told otherwise; it is ended with the test.
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
