"""A customer: a payer's cards and other payment methods at Stripe."""

from aa_stripe.models.customer.details import customer_data
from aa_stripe.models.customer.model import StripeCustomer
from aa_stripe.models.customer.token import StripeToken

__all__ = ["StripeCustomer", "StripeToken", "customer_data"]
