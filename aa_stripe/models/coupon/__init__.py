"""A coupon: a discount on subscriptions, the same here and at Stripe."""

from aa_stripe.models.coupon.model import StripeCoupon
from aa_stripe.models.coupon.queryset import StripeCouponManager, StripeCouponQuerySet

__all__ = ["StripeCoupon", "StripeCouponManager", "StripeCouponQuerySet"]
