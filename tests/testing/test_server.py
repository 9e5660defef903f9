from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import urllib.parse
from contextlib import contextmanager

import pytest
import stripe

from aa_stripe.testing import Fault
from aa_stripe.testing.http.server import HOST
from tests.testing.conftest import intent_params


@pytest.fixture
def url(fake):
    with fake.serve() as url:
        yield url


@pytest.fixture
def remote(url):
    with remote_client(url) as client:
        yield client


@contextmanager
def remote_client(url):
    """Yield the SDK's usual client, which sends requests over HTTP."""
    http_client = stripe.RequestsClient()
    try:
        yield stripe.StripeClient(
            "sk_test_1",
            base_addresses={"api": url},
            http_client=http_client,
            max_network_retries=0,
        ).v1
    finally:
        http_client.close()


def exchange(url, method, path, headers=None, body=None):
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def run_concurrently(number, action):
    """Run ``action(index)`` in that many threads that start together; return the results."""
    barrier, results = threading.Barrier(number), [None] * number

    def run(index):
        barrier.wait()
        try:
            results[index] = action(index)
        except stripe.StripeError as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_the_account_is_the_same_over_http(api, remote):
    made = remote.customers.create({"name": "Ada"})
    assert api.customers.retrieve(made.id).name == "Ada"

    remote.customers.delete(made.id)
    assert remote.customers.retrieve(made.id).deleted


def test_errors_are_returned_over_http(remote):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        remote.payment_intents.create(intent_params(amount=0))

    assert caught.value.code == "parameter_invalid_integer"
    assert caught.value.request_id.startswith("req_")


def test_concurrent_confirmations_collect_once(fake, url, intent, card):
    def confirm(index):
        with remote_client(url) as remote:
            return remote.payment_intents.confirm(intent.id, {"payment_method": card.id})

    results = run_concurrently(8, confirm)

    refused = [each for each in results if isinstance(each, stripe.InvalidRequestError)]
    assert len(refused) == 7
    assert {each.code for each in refused} == {"payment_intent_unexpected_state"}
    assert len(fake.account.all("charge")) == 1


def test_concurrent_confirmations_with_one_key_collect_once(fake, url, intent, card):
    fake.fail_next("POST /v1/payment_intents/*/confirm", Fault.SLOW, times=None, seconds=0.1)

    def confirm(index):
        with remote_client(url) as remote:
            return remote.payment_intents.confirm(
                intent.id, {"payment_method": card.id}, {"idempotency_key": "k"}
            )

    results = run_concurrently(6, confirm)

    assert any(not isinstance(each, stripe.StripeError) for each in results)
    assert {each.http_status for each in results if isinstance(each, stripe.StripeError)} == {409}
    assert len(fake.account.all("charge")) == 1


def test_concurrent_refunds_do_not_exceed_the_payment(fake, url, paid):
    def refund(index):
        with remote_client(url) as remote:
            return remote.refunds.create({"payment_intent": paid.id, "amount": 400})

    results = run_concurrently(6, refund)

    assert sum(isinstance(each, stripe.InvalidRequestError) for each in results) == 4
    assert fake.account.get("charge", paid.latest_charge)["amount_refunded"] == 800


def test_slow_requests_do_not_wait_for_each_other(fake, url):
    fake.fail_next("GET /v1/customers", Fault.SLOW, times=None, seconds=0.5)
    waiting = threading.Barrier(4, timeout=5)
    fake.before_request.append(lambda request: waiting.wait())

    def read(index):
        with remote_client(url) as remote:
            return remote.customers.list()

    results = run_concurrently(4, read)

    assert [each.data for each in results] == [
        []
    ] * 4  # the barrier breaks if they wait for each other


@pytest.mark.parametrize(("fault", "made"), [(Fault.REQUEST_LOST, 0), (Fault.ANSWER_LOST, 1)])
def test_a_lost_request_or_response_closes_the_connection(fake, remote, fault, made):
    fake.fail_next("POST /v1/payment_intents", fault)

    with pytest.raises(stripe.APIConnectionError):
        remote.payment_intents.create(intent_params())

    assert len(fake.account.all("payment_intent")) == made


def test_a_client_that_disconnects_early_causes_no_error_output(fake, url, capfd):
    fake.fail_next("GET /v1/customers", Fault.SLOW, seconds=0.2)
    gone, responded = threading.Event(), threading.Event()
    fake.before_request.append(lambda request: gone.wait(5))
    fake.after_request.append(lambda request, response: responded.set())
    client = socket.create_connection((HOST, urllib.parse.urlsplit(url).port))
    client.sendall(b"GET /v1/customers HTTP/1.1\r\nAuthorization: Bearer sk_test_1\r\n\r\n")

    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset it
    client.close()
    gone.set()

    assert responded.wait(5)
    exchange(url, "OPTIONS", "/v1/customers")  # gives the other thread time to print an error
    assert capfd.readouterr().err == ""


def test_an_error_in_the_server_itself_is_printed(fake, url, capfd):
    fake.before_request.append(lambda request: 1 / 0)

    with pytest.raises(http.client.HTTPException):
        exchange(url, "GET", "/v1/customers")

    assert "ZeroDivisionError" in capfd.readouterr().err


def test_garbage_is_returned_over_http(fake, remote):
    fake.fail_next("POST /v1/payment_intents", Fault.GARBAGE)

    with pytest.raises(stripe.APIError) as caught:
        remote.payment_intents.create(intent_params())

    assert caught.value.http_status == 200
    assert "<html>" in caught.value.http_body


def test_a_page_of_another_origin_may_send_requests(url):
    status, headers, _ = exchange(url, "OPTIONS", "/v1/payment_methods")

    assert status == 204
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "authorization" in headers["Access-Control-Allow-Headers"]


def test_a_body_that_is_not_text_is_a_400(url):
    status, _, body = exchange(
        url, "POST", "/v1/customers", {"Authorization": "Bearer sk_test_1"}, b"\xff\xfe"
    )

    assert status == 400
    assert b"unknown parameter" in body


def test_a_port_can_be_chosen_and_is_free_afterwards(fake):
    with fake.serve() as url:
        port = urllib.parse.urlsplit(url).port

    with fake.serve(port) as url:
        assert urllib.parse.urlsplit(url).port == port


def test_two_servers_cannot_use_one_port(fake, url):
    with (
        pytest.raises(OSError, match="in use"),
        fake.serve(urllib.parse.urlsplit(url).port),
    ):
        pass


@pytest.mark.parametrize("seconds", ["60", "0", "1e3"])
def test_the_clock_is_advanced_over_http(fake, url, seconds):
    before = fake.now

    status, _, body = exchange(url, "POST", "/_fake/advance", body=f"seconds={seconds}")

    assert status == 200
    assert json.loads(body)["now"] >= before + float(seconds)
    assert fake.requests == []


@pytest.mark.parametrize("sent", ["", "seconds=-1", "seconds=soon", "seconds=nan", "seconds=inf"])
def test_the_clock_is_not_set_back(url, sent):
    status, _, body = exchange(url, "POST", "/_fake/advance", body=sent)

    assert status == 400
    assert "the clock cannot go back" in json.loads(body)["error"]["message"]
