"""A fake Stripe, a plan and a subscription to it."""

from __future__ import annotations

import pytest

from aa_stripe.models import StripeSubscription, StripeSubscriptionPlan
from tests.builders import make_customer


def make_plan(**fields):
    """A plan of 50 dollars a month that exists at Stripe."""
    plan = StripeSubscriptionPlan.objects.create(
        **{"name": "gold", "amount": 5000, "interval": "month", **fields}
    )
    plan.create_at_stripe()
    return plan


def make_subscription(card="tok_visa", **fields):
    """A row that is not at Stripe yet, of a customer who pays with ``card``."""
    customer = make_customer(card=card)
    plan = fields.pop("plan", None) or make_plan()
    return StripeSubscription.objects.create(user=customer.user, plan=plan, **fields)


@pytest.fixture
def plan(db, fake):
    return make_plan()


@pytest.fixture
def subscription(db, fake):
    return make_subscription()


@pytest.fixture
def active(subscription):
    subscription.create_at_stripe()
    return subscription
