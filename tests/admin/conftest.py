"""URLs of the admin's pages, and a row of each model."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from aa_stripe.models import StripeCoupon, StripeJobRun, StripeWebhook
from tests.support.builders import make_charge, make_customer, make_plan


def list_url(model):
    return reverse(f"admin:aa_stripe_{model}_changelist")


def row_url(model, pk, page="change"):
    return reverse(f"admin:aa_stripe_{model}_{page}", args=[pk])


@pytest.fixture
def rows(db, fake):
    """One row of each model, by the model's name."""
    charge = make_charge(make_customer())
    charge.charge()
    charge.refund(400)
    plan = make_plan()
    subscription = charge.user.stripe_subscriptions.create(plan=plan)
    subscription.create_at_stripe()
    return {
        "stripecustomer": charge.customer,
        "stripecharge": charge,
        "striperefund": charge.refunds.get(),
        "stripesubscriptionplan": plan,
        "stripesubscription": subscription,
        "stripecoupon": StripeCoupon.objects.create(
            coupon_id="SALE10", duration="forever", percent_off=10
        ),
        "stripewebhook": StripeWebhook.objects.create(id="evt_1", raw_data={"type": "ping"}),
        "stripejobrun": StripeJobRun.objects.create(job="charge_stripe", ended_well=timezone.now()),
    }
