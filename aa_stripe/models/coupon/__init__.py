"""A coupon: a discount on subscriptions, the same here and at Stripe."""

from aa_stripe.models.coupon.model import StripeCoupon, StripeCouponManager, StripeCouponQuerySet

__all__ = ["StripeCoupon", "StripeCouponManager", "StripeCouponQuerySet"]
