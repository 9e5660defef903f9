"""Helpers of our handlers: the event's object, and the translation of Stripe's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError, StripeWebhookParseError
from aa_stripe.gateway import Meaning
from aa_stripe.models import StripeWebhook
from aa_stripe.money import StripeMoneyError


def object_of(webhook: StripeWebhook) -> dict[str, Any]:
    """Return the event's object. Raises ``StripeWebhookParseError`` if it has no id."""
    stripe_object = webhook.stripe_object
    if not isinstance(stripe_object.get("id"), str):
        raise StripeWebhookParseError("The event's object has no id.")
    return stripe_object


@contextmanager
def errors_translated() -> Iterator[None]:
    """Translate Stripe's errors in the block by whether a retry could succeed.

    Raises ``StripeInternalError`` if it could, and ``StripeWebhookParseError`` if Stripe would
    refuse the request again. An error of the configuration (a wrong API key) is raised unchanged.
    """
    try:
        yield
    except gateway.StripeError as error:
        meaning = gateway.meaning_of(error)
        if meaning is Meaning.MISCONFIGURED:
            raise
        if meaning is Meaning.UNKNOWN:
            raise StripeInternalError from error
        raise StripeWebhookParseError(f"Stripe refused the request: {error}") from error
    except StripeMoneyError as error:  # a currency without a known number of decimals
        raise StripeWebhookParseError(str(error)) from error
