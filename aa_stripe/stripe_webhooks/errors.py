"""The errors of our handlers: Stripe's, translated, and that of an object without a row."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.exceptions import (
    StripeInternalError,
    StripeWebhookParseError,
    StripeWebhookRowMissing,
)
from aa_stripe.gateway import Meaning
from aa_stripe.models import StripeWebhook
from aa_stripe.money import StripeMoneyError
from aa_stripe.settings import ALLOW, stripe_settings

logger = logging.getLogger("aa-stripe")

#: How long after the arrival of an event the transaction that creates its row may still be open.
TIME_TO_COMMIT = timedelta(hours=1)


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


def reject_without_row(made: str, metadata: dict[str, str], webhook: StripeWebhook) -> None:
    """Raise an error because Stripe has an object of this site's whose row does not exist.

    ``made`` names both for the message: "pi_1 was paid for the charge 6f1c...". Raises
    ``StripeWebhookRowMissing`` while the transaction that creates the row may still be open, which
    takes ``STRIPE_TRANSACTIONS = "allow"``; else ``StripeWebhookParseError``. Returns without an
    error if another site with the same Stripe account has made the object.
    """
    if _is_of_another_site(metadata):
        return
    is_young = timezone.now() - webhook.created < TIME_TO_COMMIT
    if is_young and stripe_settings.TRANSACTIONS == ALLOW:
        raise StripeWebhookRowMissing(f"{made}, which is not committed yet.")
    message = (
        f"{made}, which does not exist: the transaction that created it was rolled back, or it was "
        "deleted."
    )
    logger.error(message)
    raise StripeWebhookParseError(message)


def _is_of_another_site(metadata: dict[str, str]) -> bool:
    # Stripe's metadata has no empty values: without an origin the key is missing.
    return metadata.get("origin", "") != str(stripe_settings.PAYMENT_ORIGIN or "")
