"""The models, each in a file of its own, under the names of 0.14."""

from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models.base import USER_MODEL, StripeBasicModel
from aa_stripe.models.charge import StripeCharge
from aa_stripe.models.coupon import StripeCoupon, StripeCouponManager, StripeCouponQuerySet
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.plan import StripeSubscriptionPlan
from aa_stripe.models.refund import StripeRefund
from aa_stripe.models.subscription import StripeSubscription
from aa_stripe.models.token import StripeToken
from aa_stripe.models.webhook import StripeWebhook
from aa_stripe.signals import webhook_pre_parse

__all__ = [
    "USER_MODEL",
    "StripeBasicModel",
    "StripeCharge",
    "StripeCoupon",
    "StripeCouponManager",
    "StripeCouponQuerySet",
    "StripeCustomer",
    "StripeMethodNotAllowed",
    "StripeRefund",
    "StripeSubscription",
    "StripeSubscriptionPlan",
    "StripeToken",
    "StripeWebhook",
    "webhook_pre_parse",
]
