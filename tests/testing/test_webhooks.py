from __future__ import annotations

import copy
import itertools
import json
import socket
import struct
import threading
import time
import urllib.error
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

import pytest
import stripe

from aa_stripe.testing import event, signed, webhooks

SECRET = "whsec_one"

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Site:
    """A replacement for Django's test client that checks signatures and records deliveries."""

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


def test_the_sdk_rejects_another_secret_or_another_body():
    header = signed("{}", SECRET)["Stripe-Signature"]

    for body, secret in (("{}", "whsec_two"), ('{"a":1}', SECRET)):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(body, header, secret, tolerance=300)


def test_the_sdk_rejects_an_old_signature():
    header = signed("{}", SECRET, timestamp=1)["Stripe-Signature"]

    assert header.startswith("t=1,v1=")
    with pytest.raises(stripe.SignatureVerificationError, match="outside the tolerance"):
        stripe.WebhookSignature.verify_header("{}", header, SECRET, tolerance=300)


def test_an_event_can_be_signed_with_two_secrets():
    header = signed("{}", [SECRET, "whsec_two"])["Stripe-Signature"]

    for secret in (SECRET, "whsec_two"):
        assert stripe.WebhookSignature.verify_header("{}", header, secret, tolerance=300)


def test_an_event_can_be_built():
    made = event("charge.refunded", {"id": "ch_1", "object": "charge"})

    assert made["id"].startswith("evt_")
    assert (made["object"], made["type"]) == ("event", "charge.refunded")
    assert made["data"] == {"object": {"id": "ch_1", "object": "charge"}}
    assert made["created"] > 0


def test_each_field_of_an_event_can_be_set():
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


def test_each_event_is_delivered_once(fake, api, customer):
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


def test_chosen_events_are_delivered_as_often_as_they_are_given(fake, customer):
    site = Site(status=500)
    last = fake.events[-1]

    assert fake.deliver("/hook", SECRET, events=[last, last], client=site) == [500, 500]
    assert len(fake.deliver("/hook", SECRET, client=site)) == 2


def several(number=30):
    """Return events of the types "0", "1" and so on."""
    return [event(str(index), {}) for index in range(number)]


def received_of(fake, events, **options):
    """Deliver the events with a ``Site`` as the client; return the types it received."""
    site = Site()
    fake.deliver("/hook", SECRET, events=events, client=site, **options)
    return [type for _, _, type in site.received]


def without_repetition(types):
    return [type for type, _ in itertools.groupby(types)]


def test_shuffled_events_are_all_delivered_in_another_order(fake):
    events = several()

    received = received_of(fake, events, shuffled=True, random=Random(1))

    types = [each["type"] for each in events]
    assert received != types
    assert Counter(received) == Counter(types)


def test_each_copy_is_delivered_after_its_original(fake):
    events = several()

    received = received_of(fake, events, copies=3, random=Random(1))

    assert without_repetition(received) == [each["type"] for each in events]
    assert set(Counter(received).values()) == {1, 2, 3}


def test_a_copy_is_the_same_event(fake):
    bodies = []

    class Reader(Site):
        def post(self, path, data, content_type, **extra):
            bodies.append(json.loads(data))
            return super().post(path, data, content_type, **extra)

    made = event("charge.refunded", {"id": "ch_1"})
    fake.deliver("/hook", SECRET, events=[made] * 5, client=Reader(), copies=2, random=Random(1))

    assert len(bodies) > 5
    assert all(body == made for body in bodies)


def test_shuffled_copies_are_delivered_between_other_events(fake):
    received = received_of(fake, several(), shuffled=True, copies=3, random=Random(1))

    assert len(without_repetition(received)) > 30
    assert set(Counter(received).values()) == {1, 2, 3}


def test_about_the_given_share_of_events_is_dropped(fake):
    events = several(1000)

    received = received_of(fake, events, dropped=0.2, random=Random(1))

    assert 750 < len(received) < 850
    assert received == sorted(received, key=int)
    assert len(set(received)) == len(received)


def test_a_dropped_event_is_not_delivered_later(fake, customer):
    site = Site()

    assert fake.deliver("/hook", SECRET, client=site, dropped=1) == []
    assert fake.deliver("/hook", SECRET, client=site) == []
    assert site.received == []


def test_there_is_a_status_for_each_delivery_in_its_order(fake):
    class Varying(Site):
        @property
        def status_code(self):
            return 200 + int(self.received[-1][2])

    site = Varying()
    statuses = fake.deliver(
        "/hook",
        SECRET,
        events=several(),
        client=site,
        shuffled=True,
        copies=2,
        dropped=0.5,
        random=Random(1),
    )

    assert statuses == [200 + int(type) for _, _, type in site.received]
    assert statuses != sorted(statuses)


UNRELIABLY = {"shuffled": True, "copies": 3, "dropped": 0.3}


def test_the_same_seed_delivers_the_same_events(fake):
    events = several()

    first, again, other = (
        received_of(fake, events, random=Random(seed), **UNRELIABLY) for seed in (1, 1, 2)
    )

    assert first == again != other


def test_without_a_seed_each_delivery_differs(fake):
    events = several()

    first, second = (received_of(fake, events, **UNRELIABLY) for _ in range(2))

    assert first != second


def test_the_given_events_are_not_changed(fake):
    events = several()
    before = copy.deepcopy(events)

    received_of(fake, events, random=Random(1), **UNRELIABLY)

    assert events == before


@pytest.mark.parametrize(
    "options",
    [{"copies": 0}, {"copies": -1}, {"dropped": -0.1}, {"dropped": 1.1}, {"dropped": float("nan")}],
    ids=str,
)
def test_invalid_options_are_rejected_and_no_event_is_lost(fake, customer, options):
    site = Site()

    with pytest.raises(ValueError, match=f"^{next(iter(options))} must be "):
        fake.deliver("/hook", SECRET, client=site, **options)

    assert fake.deliver("/hook", SECRET, client=site) == [200, 200]


@contextmanager
def listening(respond):
    """Serve HTTP and yield the URL; each delivery calls ``respond(event, handler)``.

    ``respond`` writes the response to ``handler.wfile``.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            stripe.WebhookSignature.verify_header(
                body.decode(), self.headers["Stripe-Signature"], SECRET, tolerance=300
            )
            respond(json.loads(body), self)

    class Server(ThreadingHTTPServer):
        shutdown_request = ThreadingHTTPServer.close_request  # immediately, also after a reset

    with Server(("127.0.0.1", 0), Handler) as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{site.server_port}/hook"
        finally:
            site.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [200, 400])
def test_events_are_delivered_over_http(fake, customer, status):
    received = []

    def respond(event, handler):
        received.append(event["type"])
        handler.wfile.write(OK.replace(b"200", b"%d" % status))

    with listening(respond) as url:
        statuses = fake.deliver(url, SECRET)

    assert statuses == [status, status]
    assert received == ["customer.created", "payment_method.attached"]


@pytest.mark.parametrize(
    "beginning",
    [b"", b"HTT", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nThanks"],
    ids=["nothing", "half a word", "half a body"],
)
def test_a_delivery_with_an_incomplete_response_has_no_status(fake, beginning):
    def respond(event, handler):
        handler.wfile.write(beginning if event["type"] == "1" else OK)

    with listening(respond) as url:
        statuses = fake.deliver(url, SECRET, events=several(3))

    assert statuses == [200, 0, 200]


@pytest.mark.parametrize("beginning", [b"", OK[:20]], ids=["nothing", "half a header"])
def test_a_delivery_whose_connection_is_reset_has_no_status(fake, beginning):
    def respond(event, handler):
        handler.wfile.write(beginning)
        reset = struct.pack("ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)

    with listening(respond) as url:
        statuses = fake.deliver(url, SECRET, events=several(1))

    assert statuses == [0]


def test_a_delivery_without_a_server_has_no_status(fake):
    with listening(None) as url:
        pass

    assert fake.deliver(url, SECRET, events=several(2)) == [0, 0]


def test_a_delivery_without_a_response_has_no_status(fake, monkeypatch):
    monkeypatch.setattr(webhooks, "TIMEOUT", 0.2)
    over = threading.Event()

    with listening(lambda event, handler: over.wait(10)) as url:
        statuses = fake.deliver(url, SECRET, events=several(1))
        over.set()

    assert statuses == [0]


def test_an_invalid_url_is_an_error_and_not_a_lost_delivery(fake):
    with pytest.raises(urllib.error.URLError, match="unknown url type"):
        fake.deliver("htp://127.0.0.1/hook", SECRET, events=several(1))


def test_several_threads_can_deliver_over_http_concurrently(fake):
    together = threading.Barrier(8, timeout=10)
    received = []

    def respond(event, handler):
        together.wait()  # breaks if the deliveries wait for each other
        received.append(event["type"])
        handler.wfile.write(OK)

    with listening(respond) as url, ThreadPoolExecutor(8) as threads:
        sent = [threads.submit(fake.deliver, url, SECRET, events=[it] * 3) for it in several(8)]
        statuses = [each.result() for each in sent]

    assert statuses == [[200] * 3] * 8
    assert Counter(received) == {str(index): 3 for index in range(8)}


def test_two_threads_do_not_deliver_the_same_event_twice(fake, customer, monkeypatch):
    class SlowList(list):
        def __len__(self):
            time.sleep(0.1)
            return super().__len__()

    everything = fake.account.all
    monkeypatch.setattr(fake.account, "all", lambda kind: SlowList(everything(kind)))

    with ThreadPoolExecutor(2) as threads:
        sent = [threads.submit(fake.deliver, "/hook", SECRET, client=Site()) for _ in range(2)]
        statuses = [each.result() for each in sent]

    assert sorted(statuses) == [[], [200, 200]]
