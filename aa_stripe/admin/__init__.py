"""The admin: coupons can be changed, everything else is read-only."""

from aa_stripe.admin.base import ReadOnly, ReadOnlyBase
from aa_stripe.admin.charge import StripeChargeAdmin, StripeRefundAdmin
from aa_stripe.admin.coupon import StripeCouponAdmin
from aa_stripe.admin.customer import StripeCustomerAdmin
from aa_stripe.admin.job_run import StripeJobRunAdmin
from aa_stripe.admin.plan import StripeSubscriptionPlanAdmin
from aa_stripe.admin.subscription import StripeSubscriptionAdmin
from aa_stripe.admin.webhook import StripeWebhookAdmin

__all__ = [
    "ReadOnly",
    "ReadOnlyBase",
    "StripeChargeAdmin",
    "StripeCouponAdmin",
    "StripeCustomerAdmin",
    "StripeJobRunAdmin",
    "StripeRefundAdmin",
    "StripeSubscriptionAdmin",
    "StripeSubscriptionPlanAdmin",
    "StripeWebhookAdmin",
]
