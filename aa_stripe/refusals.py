"""Stripe's refusals of what a client has sent, as errors of REST framework."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from aa_stripe import gateway
from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.gateway import Meaning

logger = logging.getLogger("aa-stripe")


def refusal_of(error: Exception) -> ValidationError | None:
    """Return a 400 with the displayable text as ``stripe_error``; ``None`` for any other error.

    It is a refusal if Stripe does not accept what the client has sent, or does not know the object
    in the URL of the request to Stripe (404).
    """
    if isinstance(error, StripeMethodNotAllowed):
        return ValidationError({"stripe_error": str(error)})
    if not isinstance(error, gateway.StripeError) or not _is_refusal(error):
        return None
    logger.info("Stripe refused what a client has sent: %s", error)
    message = gateway.displayable_message(error) or _("Stripe refused the request.")
    return ValidationError({"stripe_error": message})


@contextmanager
def refusals_translated() -> Iterator[None]:
    """Raise refusals as ``ValidationError``; other errors pass."""
    try:
        yield
    except (StripeMethodNotAllowed, gateway.StripeError) as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error


def _is_refusal(error: gateway.StripeError) -> bool:
    meaning = gateway.meaning_of(error)
    return meaning in {Meaning.DECLINED, Meaning.REFUSED} or error.http_status == 404
