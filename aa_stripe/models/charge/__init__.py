"""A charge: an amount to collect once, and its refunds."""

from aa_stripe.models.charge.model import StripeCharge
from aa_stripe.models.charge.queryset import StripeChargeQuerySet
from aa_stripe.models.charge.refund import StripeRefund

__all__ = ["StripeCharge", "StripeChargeQuerySet", "StripeRefund"]
