"""Requests to the webhook endpoint, with and without Stripe's signature."""

from __future__ import annotations

import asyncio
import json

from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIHandler

from aa_stripe.models import StripeWebhook
from aa_stripe.testing import signed

URL = "/aa-stripe/webhooks"
SECRET = "whsec_test"


def body_of(event):
    """Return the event as Stripe writes it."""
    return json.dumps(event, indent=2).encode()


def signature_of(body, secret=SECRET, timestamp=None):
    return signed(body, secret, timestamp)["Stripe-Signature"]


def post(client, body, signature=None, path=URL, **environ):
    """Post ``body`` with this header ``Stripe-Signature``; without the header for ``None``."""
    if signature is not None:
        environ["HTTP_STRIPE_SIGNATURE"] = signature
    return client.generic("POST", path, body, "application/json", **environ)


def post_signed(client, body, secret=SECRET, **environ):
    """Post ``body``, which need not be an event, with a valid signature."""
    return post(client, body, signature_of(body, secret), **environ)


def deliver(client, event, **options):
    return post_signed(client, body_of(event), **options)


def nothing_stored():
    """Return whether no event is stored."""
    return not StripeWebhook.objects.exists()


def nested(levels, inner=""):
    """Return JSON of ``levels`` nested lists."""
    return "[" * levels + inner + "]" * levels


@async_to_sync
async def post_over_asgi(*chunks, signature, headers=()):
    """Post the body in chunks, with only these extra headers; return the response's status.

    It is ``None`` if there was no response. A chunk of ``None`` is a client that disconnects.
    """
    scope = {
        "type": "http",
        "method": "POST",
        "path": URL,
        "query_string": b"",
        "headers": [
            (b"host", b"testserver"),
            (b"stripe-signature", signature.encode()),
            *headers,
        ],
    }
    arriving = [
        {"type": "http.disconnect"}
        if chunk is None
        else {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, 1)
    ]
    sent = []

    async def receive():
        if not arriving:
            await asyncio.Event().wait()  # the client waits for the response
        return arriving.pop(0)

    async def send(message):
        sent.append(message)

    await ASGIHandler()(scope, receive, send)
    return sent[0]["status"] if sent else None
