"""Webhooks in Stripe's format."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from random import Random
from typing import Any, Protocol

from aa_stripe.testing.account import API_VERSION, JSON
from aa_stripe.testing.base.ids import new_id
from aa_stripe.testing.base.samples import sample

TIMEOUT = 30
"""Seconds to wait for the response to a webhook."""

NO_RESPONSE = 0
"""Replaces the HTTP status if there was no response."""

LOSSES = (
    ConnectionError,
    TimeoutError,
    http.client.BadStatusLine,  # closed before the response
    http.client.IncompleteRead,  # closed during the response
)
"""Errors of a server that closes the connection or exceeds ``TIMEOUT``."""


class Client(Protocol):
    """The part of Django's test client that is used here."""

    def post(self, path: str, data: Any, content_type: str, **extra: Any) -> Any:
        """Send a POST; return a response with a ``status_code``."""


def event(
    type: str,
    about: JSON,
    *,
    previous_attributes: JSON | None = None,
    created: int | None = None,
    **fields: Any,
) -> JSON:
    """Return an event that Stripe could send: ``event("charge.refunded", charge)``.

    ``about`` is the object of the event. ``created`` is in seconds since 1970; ``None`` is now.
    ``fields`` replace other fields of the event, as in ``event(..., id="evt_1")``.
    """
    data: JSON = {"object": about}
    if previous_attributes is not None:
        data["previous_attributes"] = previous_attributes
    made = sample("event")
    made.update(
        id=new_id("event"),
        type=type,
        data=data,
        created=int(time.time()) if created is None else created,
        api_version=API_VERSION,
        pending_webhooks=1,
    )
    made.update(fields)
    return made


def signed(
    payload: str | bytes, secret: str | Iterable[str], timestamp: int | None = None
) -> dict[str, str]:
    """Return Stripe's headers for ``payload``: ``{"Stripe-Signature": "t=...,v1=..."}``.

    ``secret`` is the endpoint's secret. Several secrets, as during a rotation, give one signature
    each. ``timestamp`` is in seconds since 1970; ``None`` is now.
    """
    body = payload.encode() if isinstance(payload, str) else payload
    at = int(time.time()) if timestamp is None else timestamp
    secrets = [secret] if isinstance(secret, str) else list(secret)
    signatures = ",".join(f"v1={_signature(body, each, at)}" for each in secrets)
    return {"Stripe-Signature": f"t={at},{signatures}"}


def check_chances(*, copies: int, dropped: float) -> None:
    """Raise ``ValueError`` if ``copies`` is below 1 or ``dropped`` is not a probability."""
    if copies < 1:
        raise ValueError("copies must be at least 1.")
    if not 0 <= dropped <= 1:
        raise ValueError("dropped must be a probability from 0 to 1.")


def sendings(
    events: Iterable[JSON], *, shuffled: bool, copies: int, dropped: float, random: Random | None
) -> list[JSON]:
    """Return the events to send, in the order of sending.

    Each event is left out with the probability ``dropped``, else repeated 1 to ``copies`` times in
    a row. ``shuffled`` puts all of them in random order.
    """
    chance = Random() if random is None else random  # noqa: S311 - not a secret
    kept = [each for each in events if chance.random() >= dropped]
    sent = [each for each in kept for _ in range(chance.randint(1, copies))]
    if shuffled:
        chance.shuffle(sent)
    return sent


def send(url: str, events: Iterable[JSON], secret: str, *, client: Client | None) -> list[int]:
    """Send each event to ``url``, signed; return the HTTP status of each response.

    With a ``client`` (Django's test client) ``url`` is a path. Without a client the status is
    ``NO_RESPONSE`` if no response arrived.
    """
    return [_send_one(url, json.dumps(each, indent=2).encode(), secret, client) for each in events]


def _send_one(url: str, body: bytes, secret: str, client: Client | None) -> int:
    headers = signed(body, secret)
    if client is None:
        return _post(url, body, {**headers, "Content-Type": "application/json"})
    response = client.post(url, body, content_type="application/json", headers=headers)
    return int(response.status_code)


def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - a test's own
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
            response.read()  # raises if the response is incomplete
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return int(error.code)
    except (OSError, http.client.HTTPException) as error:
        if not _is_loss(error):
            raise
        return NO_RESPONSE


def _is_loss(error: Exception) -> bool:
    """Return whether the connection was lost; a URL that does not resolve is another error."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(cause, LOSSES)


def _signature(body: bytes, secret: str, timestamp: int) -> str:
    signed_text = f"{timestamp}.".encode() + body
    return hmac.new(secret.encode(), signed_text, hashlib.sha256).hexdigest()
