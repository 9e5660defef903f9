"""The names that the pages' blocks leave open: each is the fixture of that name."""

from __future__ import annotations

from queue import SimpleQueue
from types import SimpleNamespace
from unittest.mock import Mock, patch

import pytest
from django.contrib import admin

from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeSubscription,
    StripeSubscriptionPlan,
)
from aa_stripe.signals import webhook_pre_parse
from aa_stripe.webhooks import registry
from tests.support.builders import make_charge, make_customer, make_user


@pytest.fixture(autouse=True)
def admin_as_it_was():
    """Afterwards; a page may show how to register another."""
    with patch.dict(admin.site._registry):
        yield


@pytest.fixture(autouse=True)
def handlers_as_they_were():
    """Afterwards; a page shows how to register others."""
    with (
        patch.object(registry, "_registered", list(registry._registered)),
        patch.object(webhook_pre_parse, "receivers", list(webhook_pre_parse.receivers)),
    ):
        yield


@pytest.fixture
def fake(db, fake):
    """Every page works in the database."""
    return fake


@pytest.fixture
def user(fake):
    """Somebody who has saved a good card."""
    return make_customer().user


@pytest.fixture
def customer(user):
    return user.stripe_customers.get()


@pytest.fixture
def http_request(db):
    """A request of somebody who has saved no card yet."""
    return SimpleNamespace(user=make_user())


@pytest.fixture
def data():
    """What Stripe.js answered to the browser."""
    return {"id": "tok_visa", "object": "token"}


@pytest.fixture
def charge(customer) -> StripeCharge:
    """One that is paid."""
    charge = make_charge(customer)
    charge.charge()
    return charge


@pytest.fixture
def plan(fake) -> StripeSubscriptionPlan:
    """20 dollars a month."""
    plan = StripeSubscriptionPlan.objects.create(name="gold", amount=20_00, interval="month")
    plan.create_at_stripe()
    return plan


@pytest.fixture
def coupon(fake) -> StripeCoupon:
    return StripeCoupon.objects.create(coupon_id="HALF", percent_off=50, duration="once")


@pytest.fixture
def subscription(user, plan) -> StripeSubscription:
    """One that is active."""
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
