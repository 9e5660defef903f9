"""Webhooks as Stripe sends them."""

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
"""Seconds we wait for an answer to a webhook."""

NO_ANSWER = 0
"""Stands for the HTTP status where there was no answer."""

LOSSES = (
    ConnectionError,
    TimeoutError,
    http.client.BadStatusLine,  # closed before an answer began
    http.client.IncompleteRead,  # closed in the middle of it
)
"""What becomes of a request to a server that goes away or takes too long."""


class Client(Protocol):
    """What we need of Django's test client."""

    def post(self, path: str, data: Any, content_type: str, **extra: Any) -> Any:
        """Send a request; the answer has a ``status_code``."""


def event(
    type: str,
    about: JSON,
    *,
    previous_attributes: JSON | None = None,
    created: int | None = None,
    **fields: Any,
) -> JSON:
    """Return an event that Stripe could send: ``event("charge.refunded", charge)``.

    ``about`` is the object it is about; ``created`` is the time in seconds since 1970, now when
    ``None``. ``fields`` take the place of others, as in ``event(..., id="evt_1")``.
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
    """Return the headers Stripe sends with ``payload``: ``{"Stripe-Signature": "t=...,v1=..."}``.

    ``secret`` is the endpoint's; with several, as when one is being replaced, there is a
    signature for each. ``timestamp`` is in seconds since 1970, now when ``None``.
    """
    body = payload.encode() if isinstance(payload, str) else payload
    at = int(time.time()) if timestamp is None else timestamp
    secrets = [secret] if isinstance(secret, str) else list(secret)
    signatures = ",".join(f"v1={_signature(body, each, at)}" for each in secrets)
    return {"Stripe-Signature": f"t={at},{signatures}"}


def check_chances(*, copies: int, dropped: float) -> None:
    """Raise ``ValueError`` for less than one copy, or a ``dropped`` that is no probability."""
    if copies < 1:
        raise ValueError("copies is at least 1.")
    if not 0 <= dropped <= 1:
        raise ValueError("dropped is a probability, from 0 to 1.")


def sendings(
    events: Iterable[JSON], *, shuffled: bool, copies: int, dropped: float, random: Random | None
) -> list[JSON]:
    """Return each event as often as it is sent, in the order of sending.

    With the probability ``dropped`` that is never, else 1 to ``copies`` times in a row, unless
    all is ``shuffled``.
    """
    chance = Random() if random is None else random  # noqa: S311 - not a secret
    kept = [each for each in events if chance.random() >= dropped]
    sent = [each for each in kept for _ in range(chance.randint(1, copies))]
    if shuffled:
        chance.shuffle(sent)
    return sent


def send(url: str, events: Iterable[JSON], secret: str, *, client: Client | None) -> list[int]:
    """Send each event to ``url``, signed; return the HTTP status of each answer.

    With a ``client`` (Django's test client) ``url`` is a path. Without, ``NO_ANSWER`` stands for
    an answer that did not come.
    """
    return [_send_one(url, json.dumps(each, indent=2).encode(), secret, client) for each in events]


def _send_one(url: str, body: bytes, secret: str, client: Client | None) -> int:
    headers = signed(body, secret)
    if client is None:
        return _post(url, body, {**headers, "Content-Type": "application/json"})
    answer = client.post(url, body, content_type="application/json", headers=headers)
    return int(answer.status_code)


def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - a test's own
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            answer.read()  # one that breaks off is none
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return int(error.code)
    except (OSError, http.client.HTTPException) as error:
        if not _is_loss(error):
            raise
        return NO_ANSWER


def _is_loss(error: Exception) -> bool:
    """Whether the server went away, rather than that there is no such URL."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(cause, LOSSES)


def _signature(body: bytes, secret: str, timestamp: int) -> str:
    signed_text = f"{timestamp}.".encode() + body
    return hmac.new(secret.encode(), signed_text, hashlib.sha256).hexdigest()
