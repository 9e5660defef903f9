"""Handlers of events about disputes.

https://docs.stripe.com/disputes
"""

from __future__ import annotations

import logging

from aa_stripe.models import StripeWebhook
from aa_stripe.webhooks import on

logger = logging.getLogger("aa-stripe")


@on("charge.dispute.*")
def log_dispute(webhook: StripeWebhook) -> None:
    """Log the dispute; it is handled in the Dashboard."""
    dispute = webhook.stripe_object
    logger.warning(
        "%s: dispute %s of charge %s, %s",
        webhook.event_type,
        dispute.get("id"),
        dispute.get("charge"),
        dispute.get("status"),
    )
