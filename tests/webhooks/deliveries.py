"""What reaches the endpoint: as Stripe sends it, or as somebody else would."""

from __future__ import annotations

import asyncio
import json

from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIHandler

from aa_stripe.models import StripeWebhook
from aa_stripe.testing import signed

ADDRESS = "/aa-stripe/webhooks"
SECRET = "whsec_test"


def body_of(event):
    """The event as Stripe writes it."""
    return json.dumps(event, indent=2).encode()


def signature_of(body, secret=SECRET, timestamp=None):
    return signed(body, secret, timestamp)["Stripe-Signature"]


def post(client, body, signature=None, path=ADDRESS, **environ):
    """Send ``body`` with that header ``Stripe-Signature``, or without any."""
    if signature is not None:
        environ["HTTP_STRIPE_SIGNATURE"] = signature
    return client.generic("POST", path, body, "application/json", **environ)


def post_signed(client, body, secret=SECRET, **environ):
    """Send ``body``, whatever it is, with a signature that is right."""
    return post(client, body, signature_of(body, secret), **environ)


def deliver(client, event, **options):
    return post_signed(client, body_of(event), **options)


def is_empty():
    """Whether no event is stored."""
    return not StripeWebhook.objects.exists()


def nested(levels, inner=""):
    """JSON: so many lists, one in the other."""
    return "[" * levels + inner + "]" * levels


@async_to_sync
async def post_over_asgi(*chunks, signature, headers=()):
    """Send the body in chunks, with no other headers than these; return the answer's status.

    That is ``None`` when there was no answer. A chunk of ``None`` is a client that goes away.
    """
    scope = {
        "type": "http",
        "method": "POST",
        "path": ADDRESS,
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
            await asyncio.Event().wait()  # the client waits for its answer
        return arriving.pop(0)

    async def send(message):
        sent.append(message)

    await ASGIHandler()(scope, receive, send)
    return sent[0]["status"] if sent else None
