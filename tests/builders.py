"""Small builders of the rows that tests begin with."""

from __future__ import annotations

from itertools import count

from django.contrib.auth import get_user_model

from aa_stripe.models import StripeCharge, StripeCustomer

numbers = count(1)


def make_user(**fields):
    number = next(numbers)
    return get_user_model().objects.create_user(f"payer{number}", **fields)


def make_customer(user=None, card="tok_visa"):
    """A customer that exists at (fake) Stripe and pays with ``card``."""
    customer = StripeCustomer.objects.create(
        user=user or make_user(), stripe_js_response={"id": card} if card else {}
    )
    return customer.create_at_stripe()


def make_charge(customer=None, **fields):
    """A pending charge of 10.00 dollars of a customer whose card is good."""
    customer = customer or make_customer()
    return StripeCharge.objects.create(**{"user": customer.user, "amount": 1000, **fields})
