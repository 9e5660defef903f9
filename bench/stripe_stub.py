"""A stand-in for Stripe in a process of its own: it creates and confirms PaymentIntents.

The objects are those of ``aa_stripe.testing``. Unlike FakeStripe it knows few other endpoints and
no idempotency, so that it takes little of the time of the processor that it shares with what is
measured. It counts the requests, and responds after a fixed latency.

For webhooks it also returns intents and customers. It stores neither: each intent has succeeded,
and its customer is in its id (``intent_of``). For jobs it lists events and customers.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from urllib.request import urlopen

from aa_stripe.testing.base.samples import sample
from bench.stub_listings import NUMBER, Listing

HOST = "127.0.0.1"
INTENTS = "/v1/payment_intents"
CUSTOMERS = "/v1/customers"
EVENTS = "/v1/events"
COUNTS = "/counts"
CREATE, CONFIRM, RETRIEVE, LIST, OTHER = "create", "confirm", "retrieve", "list", "other"

AMOUNT = 1000  # of the intents that were not created here, in cents
INTENT = sample("payment_intent")
CHARGE = sample("charge")
CUSTOMER = sample("customer")
PAYMENT_METHOD = sample("payment_method")

Form = dict[str, str]
Response = tuple[int, "dict[str, Any] | bytes"]


# For the benchmark


@dataclass(frozen=True)
class Counts:
    """The requests since the last call, by endpoint and status, and their CPU time in seconds."""

    requests: Counter[str]
    cpu: float

    def errors(self) -> int:
        return sum(count for key, count in self.requests.items() if not key.endswith(" 200"))


@dataclass(frozen=True)
class StripeStub:
    url: str

    def counts(self) -> Counts:
        """Return the counts, and begin to count anew."""
        with urlopen(self.url + COUNTS) as response:
            found = json.load(response)
        return Counts(Counter(found["requests"]), found["cpu"])


@contextmanager
def running(latency: float, *, events: int = 0, customers: int = 0) -> Iterator[StripeStub]:
    """Run a stub that responds after ``latency`` seconds, for the block.

    ``events`` and ``customers`` are how many of them it lists.
    """
    numbers = [str(it) for it in (latency, events, customers)]
    command = [sys.executable, "-m", "bench.stripe_stub", *numbers]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield StripeStub(process.stdout.readline().strip())
        finally:
            process.terminate()


# The server


class Server:
    def __init__(self, latency: float, events: int, customers: int) -> None:
        self.latency = latency
        self.listings = {
            EVENTS: Listing(EVENTS, listed_event(NUMBER), events),
            CUSTOMERS: Listing(CUSTOMERS, customer(f"cus_{NUMBER}"), customers),
        }
        self.intents: dict[str, Form] = {}  # the parameters of those that are not paid
        self.forget()

    def forget(self) -> None:
        self.requests: Counter[str] = Counter()
        self.cpu = time.process_time()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Respond to the requests of one connection until it is closed."""
        try:
            while True:
                path, form = await read_request(reader)
                if path == COUNTS:
                    writer.write(encoded(200, self.counts()))
                    continue
                await asyncio.sleep(self.latency)
                writer.write(encoded(*self.respond(path, form)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def counts(self) -> dict[str, Any]:
        found = {"requests": self.requests, "cpu": time.process_time() - self.cpu}
        self.forget()
        return found

    def respond(self, path: str, form: Form) -> Response:
        if path == INTENTS:
            endpoint, (status, body) = CREATE, self.create(form)
        elif path in self.listings:
            endpoint, status, body = LIST, 200, self.listings[path].page(form)
        elif path.endswith("/confirm"):
            endpoint, (status, body) = CONFIRM, self.confirm(path.split("/")[-2], form)
        elif path.startswith((INTENTS, CUSTOMERS)):
            endpoint, (status, body) = RETRIEVE, retrieved(path)
        else:
            endpoint, (status, body) = OTHER, refusal(404, "resource_missing")
        self.requests[f"{endpoint} {status}"] += 1
        return status, body

    def create(self, form: Form) -> Response:
        id = f"pi_{time.monotonic_ns()}"
        if form.get("confirm") == "true":
            return 200, paid(id, form, form)
        self.intents[id] = form
        return 200, intent(id, form)

    def confirm(self, id: str, form: Form) -> Response:
        created = self.intents.pop(id, None)
        if created is None:
            return refusal(400, "payment_intent_unexpected_state")
        return 200, paid(id, created, form)


async def read_request(reader: asyncio.StreamReader) -> tuple[str, Form]:
    """Return the path of the next request, and its parameters."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = head.split("\r\n")
    length = 0
    for line in lines:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    body = await reader.readexactly(length)
    path, _, query = lines[0].split(" ")[1].partition("?")
    return path, dict(parse_qsl(query or body.decode()))


def encoded(status: int, body: dict[str, Any] | bytes) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nRequest-Id: req_bench\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def intent(id: str, form: Form) -> dict[str, Any]:
    return {
        **INTENT,
        **terms(form),
        "id": id,
        "client_secret": f"{id}_secret_bench",
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    }


def paid(id: str, created: Form, confirmed: Form) -> dict[str, Any]:
    charge = {
        **CHARGE,
        **terms(created),
        "id": charge_of(id),
        "amount_captured": int(created["amount"]),
        "captured": True,
        "payment_intent": id,
        "payment_method": confirmed["payment_method"],
    }
    return {
        **intent(id, created),
        "status": "succeeded",
        "amount_received": int(created["amount"]),
        "latest_charge": charge if "latest_charge" in confirmed.values() else charge["id"],
        "payment_method": confirmed["payment_method"],
    }


def charge_of(intent_id: str) -> str:
    """Return the id of the charge that pays the intent."""
    return intent_id.replace("pi_", "ch_")


# Objects that were not created here


def retrieved(path: str) -> Response:
    """Return the intent, the customer, or the payment methods of the customer."""
    if path.startswith(INTENTS):
        return 200, succeeded(path.split("/")[-1], expanded=True)
    if path.endswith("/payment_methods"):
        methods = [payment_method(path.split("/")[-2])]
        return 200, {"object": "list", "url": path, "has_more": False, "data": methods}
    return 200, customer(path.split("/")[-1])


def intent_of(customer_id: str, number: int) -> str:
    """Return the id of the customer's intent with that number."""
    return f"pi_{number}_of_{customer_id}"


def succeeded(intent_id: str, *, expanded: bool = False) -> dict[str, Any]:
    """Return the intent, paid; ``expanded``: with its latest charge and not only the id."""
    _, _, customer_id = intent_id.partition("_of_")
    created = {"amount": str(AMOUNT), "currency": "usd", "customer": customer_id}
    confirmed = {"payment_method": payment_method_of(customer_id)}
    if expanded:
        confirmed["expand[0]"] = "latest_charge"
    return paid(intent_id, created, confirmed)


def customer(id: str) -> dict[str, Any]:
    invoice_settings = {"default_payment_method": payment_method_of(id)}
    return {**CUSTOMER, "id": id, "invoice_settings": invoice_settings}


def payment_method(customer_id: str) -> dict[str, Any]:
    return {**PAYMENT_METHOD, "id": payment_method_of(customer_id), "customer": customer_id}


def payment_method_of(customer_id: str) -> str:
    return customer_id.replace("cus_", "pm_")


def listed_event(number: str) -> dict[str, Any]:
    """Return an event that no handler listens to; its JSON has about 3 kB."""
    return {
        "id": f"evt_{number}",
        "object": "event",
        "type": "bench.delivered",
        "created": int(time.time()) - 3600,
        "livemode": False,
        "data": {"object": sample("invoice")},
    }


# Parts


def terms(form: Form) -> dict[str, Any]:
    """Return what an intent and its charge have in common."""
    nested = ((name.partition("[")[::2], value) for name, value in form.items())
    return {
        "amount": int(form["amount"]),
        "currency": form["currency"],
        "customer": form["customer"],
        "metadata": {key[:-1]: value for (name, key), value in nested if name == "metadata"},
        "created": int(time.time()),
    }


def refusal(status: int, code: str) -> Response:
    message = "The stub of the benchmark does not know this."
    return status, {
        "error": {"type": "invalid_request_error", "code": code, "message": message},
    }


async def main(latency: float, events: int, customers: int) -> None:
    stub = Server(latency, events, customers)
    server = await asyncio.start_server(stub.serve, HOST, backlog=128)
    print(f"http://{HOST}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
