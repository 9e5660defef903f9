"""The name that the README of 0.14 gives to a customer."""

from __future__ import annotations

from aa_stripe.models.customer import StripeCustomer


class StripeToken(StripeCustomer):
    """``content`` is ``stripe_js_response``, ``customer_id`` is ``stripe_customer_id``."""

    class Meta:
        proxy = True
