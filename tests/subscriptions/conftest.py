"""A fake Stripe, a plan and a subscription to it."""

from __future__ import annotations

import pytest

from tests.support.builders import make_plan, make_subscription


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
