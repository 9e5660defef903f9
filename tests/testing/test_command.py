from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe

from aa_stripe.testing import __main__ as command
from tests.testing.conftest import customer_with, plan_params, subscribe

DAY = 24 * 60 * 60

COMMAND = [sys.executable, "-m", "aa_stripe.testing"]


class Webhook(ThreadingHTTPServer):
    """A webhook that verifies the signatures, and keeps the events that it accepted."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), WebhookHandler)
        self.events = []
        self.arrived = threading.Condition()
        self.url = f"http://127.0.0.1:{self.server_port}/hooks"

    def wait_for(self, type, times):
        def has_arrived():
            return [event["type"] for event in self.events].count(type) >= times

        with self.arrived:
            assert self.arrived.wait_for(has_arrived, timeout=30), self.events


class WebhookHandler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        stripe.WebhookSignature.verify_header(
            body.decode(), self.headers["Stripe-Signature"], "whsec_1", 300
        )
        with self.server.arrived:
            self.server.events.append(json.loads(body))
            self.server.arrived.notify_all()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def webhook():
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def client_at(url):
    return stripe.StripeClient("sk_test_1", base_addresses={"api": url}).v1


def post(url, params):
    data = urllib.parse.urlencode(params).encode()
    with urllib.request.urlopen(url, data, timeout=10) as response:
        return json.load(response)


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_the_command_serves_until_it_is_interrupted():
    with subprocess.Popen(
        [*COMMAND, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        line = process.stdout.readline()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(line.split()[3] + "/v1/customers", timeout=10)
        caught.value.close()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)

    assert line.startswith("Fake Stripe at http://127.0.0.1:")
    assert caught.value.code == 401
    assert (process.returncode, errors) == (0, "")
    assert "Traceback" not in output


@pytest.mark.slow
def test_the_command_delivers_signed_events_while_its_clock_advances(webhook):
    with subprocess.Popen(
        [*COMMAND, "--port", "0", "--deliver-to", webhook.url, "--webhook-secret", "whsec_1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        url = process.stdout.readline().split()[3]
        api = client_at(url)
        subscriber = customer_with(api)
        api.plans.create(plan_params(id="gold"))
        subscribe(api, subscriber)
        post(f"{url}/_fake/advance", {"seconds": 32 * DAY})
        webhook.wait_for("invoice.paid", times=2)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)

    paid = [event for event in webhook.events if event["type"] == "invoice.paid"]
    assert [each["data"]["object"]["billing_reason"] for each in paid] == [
        "subscription_create",
        "subscription_cycle",
    ]
    assert f"customer.created {webhook.events[0]['id']}: 200" in output.splitlines()
    assert (process.returncode, errors) == (0, "")


def test_the_secret_of_the_environment_is_not_printed(monkeypatch, capsys):
    monkeypatch.setenv("STRIPE_WEBHOOK_ENDPOINT_SECRET", "whsec_mine")
    monkeypatch.setattr(command.Server, "serve_forever", lambda server: None)

    command.main(["--port", "0", "--deliver-to", "http://127.0.0.1:9/hooks"])

    assert "whsec" not in capsys.readouterr().out


def test_a_secret_is_made_and_printed_if_there_is_none(monkeypatch, capsys):
    monkeypatch.delenv("STRIPE_WEBHOOK_ENDPOINT_SECRET", raising=False)
    monkeypatch.setattr(command.Server, "serve_forever", lambda server: None)

    command.main(["--port", "0", "--deliver-to", "http://127.0.0.1:9/hooks"])

    assert "\nSTRIPE_WEBHOOK_ENDPOINT_SECRET=whsec_" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["127.0.0.1:8000/hooks", "ftp://127.0.0.1/hooks", "http://"])
def test_an_address_that_is_not_of_http_is_refused(url, capsys):
    with pytest.raises(SystemExit):
        command.main(["--deliver-to", url])

    assert "is not an address that begins with http://" in capsys.readouterr().err


def test_a_port_in_use_is_reported(taken_port, capsys):
    status = command.main(["--port", str(taken_port)])

    assert status == 1
    assert capsys.readouterr().err == (
        f"Port {taken_port} of 127.0.0.1 is in use; choose another one with --port, or 0 for any.\n"
    )


def test_an_invalid_port_is_reported(capsys):
    assert command.main(["--port", "99999"]) == 1
    assert "Cannot listen on port 99999" in capsys.readouterr().err


def test_ctrl_c_exits_with_status_0(monkeypatch, capsys):
    def interrupted(server):
        assert server.api.account.allow_card_tokens
        raise KeyboardInterrupt

    monkeypatch.setattr(command.Server, "serve_forever", interrupted)

    assert command.main(["--port", "0", "--allow-card-tokens"]) == 0
    assert capsys.readouterr().out.startswith("Fake Stripe at ")
