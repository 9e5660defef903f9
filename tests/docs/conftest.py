"""Fixtures for the names that the pages' code blocks use without defining them."""

from __future__ import annotations

from queue import SimpleQueue
from types import SimpleNamespace
from unittest.mock import Mock, patch

import pytest
from django.contrib import admin
from django.urls import get_resolver

from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeSubscription,
    StripeSubscriptionPlan,
)
from aa_stripe.signals import webhook_pre_parse
from aa_stripe.webhooks import registry
from tests.orders.models import Order
from tests.support.builders import make_charge, make_customer, make_user


@pytest.fixture(autouse=True)
def restored_admin():
    """The admin's registry, restored after the test; a page may register another admin."""
    # Load the URLs before: they keep the admins that are registered at that time.
    assert get_resolver().url_patterns
    with patch.dict(admin.site._registry):
        yield


@pytest.fixture(autouse=True)
def restored_handlers():
    """The webhook handlers and receivers, restored after the test; pages register others."""
    with (
        patch.object(registry, "_registered", list(registry._registered)),
        patch.object(webhook_pre_parse, "receivers", list(webhook_pre_parse.receivers)),
    ):
        yield


@pytest.fixture
def fake(db, fake):
    """The offline Stripe; every page also needs the database."""
    return fake


@pytest.fixture
def user(fake):
    """A user who has saved a good card."""
    return make_customer().user


@pytest.fixture
def order(db):
    """A row of the site's that is paid for; its primary key is a UUID."""
    return Order.objects.create()


@pytest.fixture
def customer(user):
    return user.stripe_customers.get()


@pytest.fixture
def http_request(db):
    """A request by a user who has no saved card yet."""
    return SimpleNamespace(user=make_user())


@pytest.fixture
def data():
    """The response of Stripe.js in the browser."""
    return {"id": "tok_visa", "object": "token"}


@pytest.fixture
def charge(customer) -> StripeCharge:
    """A paid charge."""
    charge = make_charge(customer)
    charge.charge()
    return charge


@pytest.fixture
def plan(fake) -> StripeSubscriptionPlan:
    """A plan of 20 dollars a month."""
    plan = StripeSubscriptionPlan.objects.create(name="gold", amount=20_00, interval="month")
    plan.create_at_stripe()
    return plan


@pytest.fixture
def coupon(fake) -> StripeCoupon:
    return StripeCoupon.objects.create(coupon_id="HALF", percent_off=50, duration="once")


@pytest.fixture
def subscription(user, plan) -> StripeSubscription:
    """An active subscription."""
    subscription = StripeSubscription.objects.create(user=user, plan=plan)
    subscription.create_at_stripe()
    return subscription


@pytest.fixture
def ship():
    return Mock()


@pytest.fixture
def write_to():
    return Mock()


@pytest.fixture
def grant():
    return Mock()


@pytest.fixture
def book():
    return Mock()


@pytest.fixture
def my_queue():
    return SimpleQueue()
