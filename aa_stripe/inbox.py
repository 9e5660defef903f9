"""The receipt of an event: verify, store, hand over.

Each step is committed before the next one begins. So if Stripe got a 2xx for an event, the event
is stored.
https://docs.stripe.com/webhooks
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.exceptions import (
    StripeWebhookInProgress,
    StripeWebhookNotConfigured,
    StripeWebhookRefused,
)
from aa_stripe.models import StripeWebhook, apply_event
from aa_stripe.models.now import process_now
from aa_stripe.models.rows import database_of, stored
from aa_stripe.models.statements import read
from aa_stripe.processors import DEFERRED, EVENTS, INLINE
from aa_stripe.settings import stripe_settings
from aa_stripe.utils import TooDeep

logger = logging.getLogger("aa-stripe")

#: How long a queue may take before ``process_webhooks`` considers its message lost.
QUEUE_TIME = timedelta(minutes=5)

#: MariaDB's JSON is limited to 32 levels. Stripe's events have about a dozen.
MAX_DEPTH = 31

#: The reason that a sender without a valid signature gets; the log has the details.
NOT_SIGNED = "The signature is missing, wrong or too old."

# What fits into the id's column and into a URL.
_EVENT_ID = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True)
class Delivery:
    """An event that Stripe has signed, in the form that is stored, and the same as JSON."""

    event: dict[str, Any]
    text: bytes


@dataclass(frozen=True)
class Received:
    """A stored event. ``is_new`` is false if it had been stored before."""

    webhook: StripeWebhook
    is_new: bool


def receive(event: dict[str, Any]) -> Received:
    """Store the event, then apply it or hand it over, by ``STRIPE_WEBHOOK_PROCESSOR``.

    A redelivered event is stored once. If it was not applied yet, this delivery applies it.
    Raises ``StripeWebhookInProgress`` if another process is applying the event just now, and what a
    receiver or a handler raises if the event is applied here. The event is stored in both cases.
    """
    return receive_storable(gateway.storable(event))


def receive_storable(event: dict[str, Any]) -> Received:
    """Receive an event that is in the form that is stored; see ``receive``."""
    processor = EVENTS.value()
    received = store_event(event, processor)
    webhook = received.webhook
    if webhook.is_parsed or webhook.is_of_wrong_mode():
        return received
    if processor == INLINE:
        if _is_claimed(received) or not (apply_received(received) or webhook.is_parsed):
            raise StripeWebhookInProgress
    elif processor != DEFERRED:
        EVENTS.pass_on(processor, webhook.pk, using=database_of(webhook))
    return received


def _is_claimed(received: Received) -> bool:
    """Return whether another process is applying the event, without waiting for a lock."""
    until = None if received.is_new else received.webhook.claimed_until
    return until is not None and until > process_now(database_of(StripeWebhook))


# Verify


def read_event(body: bytes, signature: str) -> dict[str, Any]:
    """Return the event in ``body`` if Stripe has signed it with one of our secrets.

    It is in the form that is stored, without client secrets. ``signature`` is the header
    ``Stripe-Signature``. Raises ``StripeWebhookRefused`` for anything else, and its subclass
    ``StripeWebhookNotConfigured`` if no secret is set.
    """
    return read_delivery(body, signature).event


def read_delivery(body: bytes, signature: str) -> Delivery:
    """Return the event in ``body`` and its JSON; raise as ``read_event`` does."""
    signed = _read_signed(body, signature)
    _check_event(signed)
    try:
        event = gateway.storable(signed, MAX_DEPTH)
    except TooDeep as error:
        raise StripeWebhookRefused("The event is nested too deeply.") from error
    return Delivery(event, body if event is signed else json.dumps(event).encode())


def _read_signed(body: bytes, signature: str) -> Any:
    secrets = endpoint_secrets()
    if not secrets:
        raise StripeWebhookNotConfigured
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise StripeWebhookRefused("The body is not UTF-8.") from error
    try:
        gateway.check_signature(text, signature, secrets)
    except gateway.SignatureProblem as error:
        raise StripeWebhookRefused(NOT_SIGNED, error) from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StripeWebhookRefused("The body is not valid JSON.") from error


def endpoint_secrets() -> list[str]:
    """Return the signing secrets in use; there are two while one is being rolled."""
    setting = stripe_settings.WEBHOOK_ENDPOINT_SECRET
    secrets = [setting] if isinstance(setting, str) else list(setting or ())
    return [secret for secret in secrets if isinstance(secret, str) and secret.strip()]


def _check_event(event: object) -> None:
    """Raise ``StripeWebhookRefused`` if the JSON is not an event that can be stored."""
    # A thin event ("v2.core.event") does not contain the object it is about.
    if not isinstance(event, dict) or event.get("object") != "event":
        raise StripeWebhookRefused("The body is not a Stripe snapshot event.")
    id, type = event.get("id"), event.get("type")
    if not isinstance(id, str) or not _EVENT_ID.fullmatch(id):
        raise StripeWebhookRefused("The event has no id.")
    if not isinstance(type, str) or not type:
        raise StripeWebhookRefused("The event has no type.")


# Store


def store_event(event: dict[str, Any], processor: object = INLINE) -> Received:
    """Insert and return a row for the event, or return the row that is stored already.

    The event is in the form that is stored.
    """
    webhook = _new_webhook(event, processor)
    try:
        webhook.insert()
    except IntegrityError:
        found = _stored_before(webhook.pk)
        if found is None:
            raise
        return Received(found, is_new=False)
    return Received(webhook, is_new=True)


def _stored_before(webhook_id: str) -> StripeWebhook | None:
    """Return the stored event. Of one that was applied nothing more is read, and nothing needed."""
    using, key = database_of(StripeWebhook), {"id": webhook_id}
    found = read(StripeWebhook, using, key, only=["id", "is_parsed"])
    if found is None or found.is_parsed:
        return found
    return read(StripeWebhook, using, key)


def _new_webhook(event: dict[str, Any], processor: object) -> StripeWebhook:
    webhook = StripeWebhook(id=event["id"], raw_data=event)
    if processor == INLINE:
        if webhook.has_listeners or webhook.is_of_wrong_mode():
            webhook.claim_first_attempt()
        else:
            # Most of Stripe's events have no handler. These need no second statement.
            webhook.is_parsed, webhook.attempts = True, 1
    elif processor != DEFERRED:
        webhook.retry_at = timezone.now() + QUEUE_TIME
    return webhook


# Hand over


def apply_received(received: Received) -> bool:
    """Apply the event now, unless another process does; return whether this call applied it.

    The INSERT of a new event has claimed it. Raises what handlers raise.
    """
    return apply_event(received.webhook, is_claimed=received.is_new)


def apply_webhook(webhook_id: str) -> bool:
    """Apply the stored event of that id; return whether this call applied it. For queue workers.

    An exception is logged and recorded in the row, and ``process_webhooks`` retries the event.
    Calling this twice, late, or after another process has applied the event is safe.
    """
    webhook = stored(StripeWebhook).filter(pk=webhook_id, is_parsed=False).first()
    if webhook is None or webhook.is_of_wrong_mode():
        return False
    try:
        return apply_event(webhook)
    except Exception:
        logger.exception("Event %s (%s) could not be applied.", webhook_id, webhook.event_type)
        return False
