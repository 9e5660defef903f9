"""Receiving an event: verify, store, hand it to whoever applies it.

Each step is committed before the next begins, so that nothing that Stripe was told we have is ever
lost. https://docs.stripe.com/webhooks
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from aa_stripe import gateway
from aa_stripe.exceptions import (
    StripeWebhookAlreadyParsed,
    StripeWebhookNotConfigured,
    StripeWebhookRefused,
)
from aa_stripe.models import StripeWebhook
from aa_stripe.models.rows import database_of, stored
from aa_stripe.models.webhook.apply import apply, delay_after
from aa_stripe.settings import DEFERRED, INLINE, PROCESSOR_PATHS, stripe_settings

logger = logging.getLogger("aa-stripe")

#: So long a queue has time before ``process_webhooks`` takes its message for lost.
QUEUE_TIME = timedelta(minutes=5)

#: MariaDB's JSON ends at 32 levels. Stripe's events have a dozen.
MAX_DEPTH = 31

# What fits into the column with the event's id, and into an address.
_EVENT_ID = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True)
class Received:
    """``is_new`` is false for an event that had been stored before."""

    webhook: StripeWebhook
    is_new: bool


# Verify


def read_event(body: bytes, signature: str) -> dict[str, Any]:
    """The event in ``body``, if Stripe has signed it for us.

    ``signature`` is the header ``Stripe-Signature``. Raises ``StripeWebhookRefused`` for anything
    else, and its subclass ``StripeWebhookNotConfigured`` while there is no secret to tell by.
    """
    secrets = endpoint_secrets()
    if not secrets:
        raise StripeWebhookNotConfigured
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise StripeWebhookRefused("The body is not UTF-8.") from error
    if not gateway.is_signed(text, signature, secrets):
        raise StripeWebhookRefused("The signature is missing, wrong or too old.")
    try:
        event = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StripeWebhookRefused("The body is no JSON that can be read.") from error
    _refuse_what_is_no_event(event)
    return event  # type: ignore[no-any-return]


def endpoint_secrets() -> list[str]:
    """The secrets that are in use, of which an endpoint has two while it gets another."""
    named = stripe_settings.WEBHOOK_ENDPOINT_SECRET
    secrets = [named] if isinstance(named, str) else list(named or ())
    return [secret for secret in secrets if isinstance(secret, str) and secret.strip()]


def _refuse_what_is_no_event(event: object) -> None:
    # Thin events, which are "v2.core.event", do not hold what they are about.
    if not isinstance(event, dict) or event.get("object") != "event":
        raise StripeWebhookRefused("The body is no event of the kind that is applied here.")
    id, type = event.get("id"), event.get("type")
    if not isinstance(id, str) or not _EVENT_ID.fullmatch(id):
        raise StripeWebhookRefused("The event has no id.")
    if not isinstance(type, str) or not type:
        raise StripeWebhookRefused("The event has no type.")
    if not _is_storable(event):
        raise StripeWebhookRefused("The event is nested too deeply.")


def _is_storable(event: dict[str, Any]) -> bool:
    level: list[Any] = [event]
    for _ in range(MAX_DEPTH):
        level = [part for it in level for part in _containers_in(it)]
        if not level:
            return True
    return False


def _containers_in(value: Any) -> list[Any]:
    parts = value.values() if isinstance(value, dict) else value
    return [part for part in parts if isinstance(part, (dict, list))]


# Store


def receive(event: dict[str, Any]) -> Received:
    """Store the event, then have it applied as ``STRIPE_WEBHOOK_PROCESSOR`` says.

    The same event again is stored once; if it was not applied yet, that is tried again. Raises
    what a receiver or a handler raises when it is applied at once; the event is stored then.
    """
    processor = stripe_settings.WEBHOOK_PROCESSOR
    received = store_event(event, processor)
    webhook = received.webhook
    if webhook.is_parsed or webhook.is_of_wrong_mode():
        return received
    if processor == INLINE:
        apply_first_or_again(received)
    elif processor != DEFERRED:
        transaction.on_commit(partial(_enqueue, processor, webhook.pk), using=database_of(webhook))
    return received


def _new(event: dict[str, Any], processor: object) -> StripeWebhook:
    webhook = StripeWebhook(id=event["id"], raw_data=event)
    if processor == INLINE:
        # One statement for all that nobody listens to, which is most of what Stripe sends.
        webhook.is_parsed = not webhook.has_listeners and not webhook.is_of_wrong_mode()
        webhook.attempts, webhook.retry_at = 1, None if webhook.is_parsed else delay_after(1)
    elif processor != DEFERRED:
        webhook.retry_at = timezone.now() + QUEUE_TIME
    return webhook


def store_event(event: dict[str, Any], processor: object = INLINE) -> Received:
    """Insert the event's row, or find the one that is here already."""
    webhook = _new(event, processor)
    try:
        with transaction.atomic(using=database_of(webhook)):
            webhook.store()
    except IntegrityError:
        found = stored(StripeWebhook).filter(pk=webhook.pk).first()
        if found is None:
            raise
        return Received(found, is_new=False)
    return Received(webhook, is_new=True)


# Hand over


def apply_first_or_again(received: Received) -> None:
    """Apply the event here and now, unless somebody else is at it. Raises what handlers raise."""
    if not received.is_new:
        received.webhook.retry()
        return
    try:
        apply(received.webhook)
    except StripeWebhookAlreadyParsed:
        logger.info("Event %s was applied by a repeated delivery.", received.webhook)


def _enqueue(processor: str | Callable[[str], object], webhook_id: str) -> None:
    """Give the id to the queue. What goes wrong is made good by ``process_webhooks``, so Stripe
    need not send the event again."""
    try:
        hand_over = processor_of(processor)
        hand_over(webhook_id)
    except Exception:
        logger.exception("Event %s could not be handed over; it stays stored.", webhook_id)


def processor_of(named: str | Callable[[str], object]) -> Callable[[str], object]:
    """The function that takes an event's id; raises ``ImportError`` if there is none."""
    if callable(named):
        return named
    found: Callable[[str], object] = import_string(PROCESSOR_PATHS.get(named, named))
    return found


def apply_webhook(webhook_id: str) -> bool:
    """For the worker of a queue: apply the stored event of that id; whether this call did it.

    An error is logged, recorded in the row and tried again by ``process_webhooks``. The same id
    may come twice, late, or after somebody else has applied the event.
    """
    webhook = stored(StripeWebhook).filter(pk=webhook_id, is_parsed=False).first()
    if webhook is None or webhook.is_of_wrong_mode():
        return False
    try:
        return bool(webhook.retry())
    except Exception:
        logger.exception("Event %s (%s) could not be applied.", webhook_id, webhook.event_type)
        return False
