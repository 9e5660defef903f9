"""Builders of the rows that tests start from."""

from __future__ import annotations

from itertools import count

from django.contrib.auth import get_user_model

from aa_stripe.models import (
    StripeCharge,
    StripeCustomer,
    StripeSubscription,
    StripeSubscriptionPlan,
)

numbers = count(1)


def make_user(**fields):
    number = next(numbers)
    return get_user_model().objects.create_user(f"payer{number}", **fields)


def make_customer(user=None, card="tok_visa"):
    """Create a customer here and at the offline Stripe, with ``card`` as its default."""
    customer = StripeCustomer.objects.create(
        user=user or make_user(), stripe_js_response={"id": card} if card else {}
    )
    return customer.create_at_stripe()


def make_charge(customer=None, **fields):
    """Create a pending charge of 10 dollars for a customer with a good card."""
    customer = customer or make_customer()
    return StripeCharge.objects.create(**{"user": customer.user, "amount": 1000, **fields})


def make_plan(**fields):
    """Create a plan of 50 dollars a month, also at Stripe."""
    plan = StripeSubscriptionPlan.objects.create(
        **{"name": "gold", "amount": 5000, "interval": "month", **fields}
    )
    plan.create_at_stripe()
    return plan


def make_subscription(card="tok_visa", **fields):
    """Create a subscription that is not at Stripe yet, of a customer who pays with ``card``."""
    customer = make_customer(card=card)
    plan = fields.pop("plan", None) or make_plan()
    return StripeSubscription.objects.create(user=customer.user, plan=plan, **fields)
