"""A subscription: a plan that a customer pays for at each interval."""

from aa_stripe.models.subscription.cancel import ENDED
from aa_stripe.models.subscription.model import StripeSubscription
from aa_stripe.models.subscription.queryset import StripeSubscriptionQuerySet

__all__ = ["ENDED", "StripeSubscription", "StripeSubscriptionQuerySet"]
