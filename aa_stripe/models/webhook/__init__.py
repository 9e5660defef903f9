"""A webhook: an event from Stripe, stored as it was delivered and applied once."""

from aa_stripe.models.webhook.apply import apply_event, give_up_event, too_slow
from aa_stripe.models.webhook.model import StripeWebhook, StripeWebhookQuerySet

__all__ = ["StripeWebhook", "StripeWebhookQuerySet", "apply_event", "give_up_event", "too_slow"]
