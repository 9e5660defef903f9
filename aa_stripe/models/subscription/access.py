"""The decision whether a subscription gives its user access."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.module_loading import import_string

from aa_stripe.settings import stripe_settings

if TYPE_CHECKING:
    from aa_stripe.models.subscription.model import StripeSubscription


def has_access(subscription: StripeSubscription) -> bool:
    """See ``StripeSubscription.has_access``."""
    path = stripe_settings.SUBSCRIPTION_HAS_ACCESS
    return bool(import_string(path)(subscription)) if path else subscription.is_current
