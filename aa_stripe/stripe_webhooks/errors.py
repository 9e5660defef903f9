"""The translation of Stripe's errors for our handlers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError, StripeWebhookParseError
from aa_stripe.gateway import Meaning
from aa_stripe.money import StripeMoneyError


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
