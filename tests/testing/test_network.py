"""Tests without an offline Stripe do not reach Stripe."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from aa_stripe.testing.network import HOSTS, Guard

ROOT = Path(__file__).parents[2]

SETTINGS = """
    SECRET_KEY = "secret"
    INSTALLED_APPS = [
        "django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "aa_stripe"
    ]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    STRIPE_API_KEY = "sk_test_1"
    STRIPE_MAX_NETWORK_RETRIES = 0
"""

CONFTEST = """
    import socket

    pytest_plugins = ["aa_stripe.testing.fixtures"]

    looked_up = []

    def getaddrinfo(host, *args, **kwargs):
        looked_up.append(host)
        raise socket.gaierror("no network")

    socket.getaddrinfo = getaddrinfo
"""

TESTS = """
    import pytest
    import responses
    import stripe
    import urllib.request
    from aa_stripe import gateway
    from conftest import looked_up

    URL = "https://api.stripe.com/v1/customers"

    def test_the_gateway():
        gateway.retrieve_customer("cus_1")

    def test_the_sdk():
        stripe.StripeClient("sk_test_1").v1.customers.list()

    def test_urllib():
        urllib.request.urlopen(URL)

    def test_through_a_proxy(monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        stripe.StripeClient("sk_test_1").v1.customers.list()

    def test_with_the_fixture(fake_stripe):
        stripe.Customer.create()
        assert fake_stripe.account.all("customer")

    @responses.activate
    def test_with_mocked_responses():
        responses.get(URL, json={"object": "list", "data": []})
        assert stripe.StripeClient("sk_test_1").v1.customers.list().data == []

    def test_another_host():
        with pytest.raises(OSError):
            urllib.request.urlopen("https://example.com/")
        assert looked_up[-1] == "example.com"

    @pytest.mark.real_stripe
    def test_with_the_marker():
        with pytest.raises(stripe.APIConnectionError):
            stripe.StripeClient("sk_test_1", max_network_retries=0).v1.customers.list()
        assert looked_up[-1] == "api.stripe.com"
        looked_up.clear()

    def test_after_the_marker():
        stripe.StripeClient("sk_test_1").v1.customers.list()
"""

BLOCKED = ["the_gateway", "the_sdk", "urllib", "through_a_proxy", "after_the_marker"]
ALLOWED = ["with_the_fixture", "with_mocked_responses", "another_host", "with_the_marker"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The output of pytest in a small project that uses the plugin."""
    project = tmp_path_factory.mktemp("project")
    files = {"project_settings": SETTINGS, "conftest": CONFTEST, "test_project": TESTS}
    for name, text in files.items():
        (project / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "--strict-markers", "--ds=project_settings"],
        cwd=project,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "COLUMNS": "200",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(project)]),
        },
    )
    return run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKED)
def test_a_test_without_an_offline_stripe_fails(report, name):
    line = re.search(rf"^FAILED .*::test_{name} - (.*)$", report, re.MULTILINE)

    assert line is not None, report
    assert line[1].startswith("Failed: This test tried to reach Stripe at api.stripe.com.")


@pytest.mark.slow
def test_the_error_names_the_fixture_and_the_marker(report):
    assert "Use the fixture fake_stripe, or mark the test with @pytest.mark.real_stripe" in report


@pytest.mark.slow
@pytest.mark.parametrize("name", ALLOWED)
def test_other_tests_pass(report, name):
    assert re.search(rf"^PASSED .*::test_{name}$", report, re.MULTILINE), report


class Blocked(Exception):
    """Stripe's address was blocked."""


@pytest.fixture
def guard():
    def block(host):
        raise Blocked(host)

    guard = Guard(block)
    guard.install()
    yield guard
    guard.uninstall()


@pytest.mark.usefixtures("guard")
@pytest.mark.parametrize(
    "host", [*sorted(HOSTS), "API.Stripe.com", "api.stripe.com.", b"api.stripe.com"]
)
def test_the_address_of_stripe_is_not_looked_up(host):
    with pytest.raises(Blocked):
        socket.getaddrinfo(host, 443)


@pytest.mark.usefixtures("guard")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", None])
def test_other_addresses_are_looked_up(host):
    assert socket.getaddrinfo(host, 443)


def test_an_open_connection_is_blocked_as_well(guard, monkeypatch):
    from aa_stripe.testing import fixtures  # imported earlier, it could not be loaded as a plugin

    monkeypatch.setattr(fixtures._guard, "is_lifted", True)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = http.client.HTTPConnection("api.stripe.com")
        connection.sock = ours
        with pytest.raises(Blocked):
            connection.request("GET", "/v1/customers")
        guard.is_lifted = True
        connection.request("GET", "/v1/customers")
        assert theirs.recv(100).startswith(b"GET /v1/customers")


def test_uninstalling_keeps_what_was_replaced_since(monkeypatch):
    guard = Guard(print)
    guard.install()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: "newer")

    guard.uninstall()

    assert socket.getaddrinfo() == "newer"
