"""A subscription: a plan that a customer pays for at each interval."""

from aa_stripe.models.subscription.model import (
    ENDED,
    StripeSubscription,
    StripeSubscriptionQuerySet,
)

__all__ = ["ENDED", "StripeSubscription", "StripeSubscriptionQuerySet"]
