"""The events that are delivered, and the requests that deliver them, built beforehand."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from django.conf import settings

from aa_stripe.testing import event, signed
from aa_stripe.testing.base.samples import sample
from bench import stripe_stub

JSON = dict[str, Any]

#: A type that neither aa_stripe nor dj-stripe has a handler for.
UNHEARD = "bench.delivered"

INVOICE = sample("invoice")


class Row(TypedDict):
    """What an event has to know of a charge."""

    intent: str
    customer: str
    uuid: str


def unheard(number: int) -> list[JSON]:
    """Return events that nobody listens to; the body of each has about 3 kB."""
    return [event(UNHEARD, {**INVOICE, "id": f"in_{count}"}) for count in range(number)]


def succeeded(row: Row) -> JSON:
    """Return ``payment_intent.succeeded`` for the row's intent."""
    intent = stripe_stub.succeeded(row["intent"])
    intent["metadata"] = {"aa_stripe_charge_uuid": row["uuid"]}
    return event("payment_intent.succeeded", intent)


def customer_updated(row: Row) -> JSON:
    """Return ``customer.updated`` after a change of the default payment method."""
    before = {"invoice_settings": {"default_payment_method": "pm_before"}}
    customer = stripe_stub.customer(row["customer"])
    return event("customer.updated", customer, previous_attributes=before)


def request(path: str, about: JSON) -> bytes:
    """Return the HTTP request that delivers the event, formatted as Stripe does."""
    body = json.dumps(about, indent=2).encode()
    headers = {
        "Host": "127.0.0.1",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Accept": "*/*; q=0.5, application/xml",
        "Cache-Control": "no-cache",
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(body)),
        **signed(body, settings.STRIPE_WEBHOOK_ENDPOINT_SECRET),
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
