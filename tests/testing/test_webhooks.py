from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import stripe

from aa_stripe.testing import event, signed

SECRET = "whsec_one"


class Site:
    """Stands for Django's test client: checks signatures, and remembers what came."""

    def __init__(self, status=200):
        self.status = status
        self.received = []

    def post(self, path, data, content_type, **extra):
        header = extra["headers"]["Stripe-Signature"]
        checked = stripe.Webhook.construct_event(data, header, SECRET)
        self.received.append((path, content_type, checked.type))
        return self

    @property
    def status_code(self):
        return self.status


@pytest.mark.parametrize("payload", ["{}", b"{}"])
def test_the_sdk_accepts_the_signature(payload):
    header = signed(payload, SECRET)["Stripe-Signature"]

    assert stripe.WebhookSignature.verify_header("{}", header, SECRET, tolerance=300)


def test_another_secret_or_another_body_does_not_fit():
    header = signed("{}", SECRET)["Stripe-Signature"]

    for body, secret in (("{}", "whsec_two"), ('{"a":1}', SECRET)):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(body, header, secret, tolerance=300)


def test_an_old_signature_is_too_old():
    header = signed("{}", SECRET, timestamp=1)["Stripe-Signature"]

    assert header.startswith("t=1,v1=")
    with pytest.raises(stripe.SignatureVerificationError, match="outside the tolerance"):
        stripe.WebhookSignature.verify_header("{}", header, SECRET, tolerance=300)


def test_while_a_secret_is_replaced_both_sign():
    header = signed("{}", [SECRET, "whsec_two"])["Stripe-Signature"]

    for secret in (SECRET, "whsec_two"):
        assert stripe.WebhookSignature.verify_header("{}", header, secret, tolerance=300)


def test_an_event_can_be_made_up():
    made = event("charge.refunded", {"id": "ch_1", "object": "charge"})

    assert made["id"].startswith("evt_")
    assert (made["object"], made["type"]) == ("event", "charge.refunded")
    assert made["data"] == {"object": {"id": "ch_1", "object": "charge"}}
    assert made["created"] > 0


def test_an_event_can_be_made_up_to_the_letter():
    made = event(
        "coupon.updated",
        {},
        previous_attributes={"name": "old"},
        created=5,
        id="evt_1",
        livemode=True,
    )

    assert made["data"]["previous_attributes"] == {"name": "old"}
    assert (made["id"], made["created"], made["livemode"]) == ("evt_1", 5, True)


def test_what_happened_is_delivered_once(fake, api, customer):
    site = Site()

    first = fake.deliver("/hook", SECRET, client=site)
    api.customers.delete(customer.id)
    second = fake.deliver("/hook", SECRET, client=site)

    assert (first, second) == ([200, 200], [200])
    assert site.received == [
        ("/hook", "application/json", "customer.created"),
        ("/hook", "application/json", "payment_method.attached"),
        ("/hook", "application/json", "customer.deleted"),
    ]


def test_chosen_events_are_delivered_as_often_as_wanted(fake, customer):
    site = Site(status=500)
    last = fake.events[-1]

    assert fake.deliver("/hook", SECRET, events=[last, last], client=site) == [500, 500]
    assert len(fake.deliver("/hook", SECRET, client=site)) == 2


@pytest.mark.parametrize("status", [200, 400])
def test_events_are_delivered_over_http(fake, customer, status):
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            stripe.WebhookSignature.verify_header(
                body.decode(), self.headers["Stripe-Signature"], SECRET, tolerance=300
            )
            received.append(json.loads(body)["type"])
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.05,))
        thread.start()
        try:
            answers = fake.deliver(f"http://127.0.0.1:{site.server_port}/hook", SECRET)
        finally:
            site.shutdown()
            thread.join()

    assert answers == [status, status]
    assert received == ["customer.created", "payment_method.attached"]
