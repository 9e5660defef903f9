"""The public models, with the names of 0.14; other code imports from here only.

Each kind of object has a module, or a package: the model, and one module for each operation on it.
"""

from aa_stripe.exceptions import (
    StripeCouponAlreadyExists,
    StripeInternalError,
    StripeMethodNotAllowed,
    StripeWebhookAlreadyParsed,
    StripeWebhookParseError,
)
from aa_stripe.models.base import USER_MODEL, StripeBasicModel
from aa_stripe.models.charge import StripeCharge, StripeChargeQuerySet, StripeRefund
from aa_stripe.models.coupon import StripeCoupon, StripeCouponManager, StripeCouponQuerySet
from aa_stripe.models.customer import StripeCustomer, StripeToken, customer_data
from aa_stripe.models.job_run import StripeJobRun
from aa_stripe.models.plan import StripeSubscriptionPlan
from aa_stripe.models.subscription import ENDED, StripeSubscription, StripeSubscriptionQuerySet
from aa_stripe.models.webhook import (
    StripeWebhook,
    StripeWebhookQuerySet,
    apply_event,
    give_up_event,
    too_slow,
)
from aa_stripe.settings import stripe_settings
from aa_stripe.signals import (
    stripe_charge_card_exception,
    stripe_charge_refunded,
    stripe_charge_succeeded,
    webhook_pre_parse,
)

__all__ = [
    "ENDED",
    "USER_MODEL",
    "StripeBasicModel",
    "StripeCharge",
    "StripeChargeQuerySet",
    "StripeCoupon",
    "StripeCouponAlreadyExists",
    "StripeCouponManager",
    "StripeCouponQuerySet",
    "StripeCustomer",
    "StripeInternalError",
    "StripeJobRun",
    "StripeMethodNotAllowed",
    "StripeRefund",
    "StripeSubscription",
    "StripeSubscriptionPlan",
    "StripeSubscriptionQuerySet",
    "StripeToken",
    "StripeWebhook",
    "StripeWebhookAlreadyParsed",
    "StripeWebhookParseError",
    "StripeWebhookQuerySet",
    "apply_event",
    "customer_data",
    "give_up_event",
    "stripe_charge_card_exception",
    "stripe_charge_refunded",
    "stripe_charge_succeeded",
    "stripe_settings",
    "too_slow",
    "webhook_pre_parse",
]
