"""A user with a customer, a card and a subscription."""

from __future__ import annotations

import pytest

from aa_stripe.models import StripeSubscription
from tests.support.builders import make_customer, make_plan


@pytest.fixture
def customer(db, fake):
    return make_customer()


@pytest.fixture
def subscription(customer):
    row = StripeSubscription.objects.create(user=customer.user, plan=make_plan())
    row.create_at_stripe()
    return row
