"""Rows and arguments as code and dumps of 0.14 have them."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from django.core import serializers
from django.core.exceptions import ValidationError

from aa_stripe import gateway
from aa_stripe.models import (
    StripeCoupon,
    StripeCustomer,
    StripeSubscription,
    StripeSubscriptionPlan,
    StripeWebhook,
)
from tests.support.builders import make_customer, make_subscription, make_user

PLAN = {"name": "gold", "amount": 5000, "interval": "month"}
DATE = "2017-06-07T12:30:15Z"


def load(*rows):
    """Load the rows as ``loaddata`` does."""
    for row in serializers.deserialize("json", json.dumps(rows)):
        row.save()


@pytest.mark.django_db
def test_json_in_a_dump_of_0_14_is_read_as_json():
    """0.14 dumped the text of its column."""
    common = {"created": DATE, "updated": DATE, "stripe_response": '{"id": "x"}'}
    user = make_user()
    load(
        {
            "model": "aa_stripe.stripecustomer",
            "pk": 1,
            "fields": {
                **common,
                "user": user.pk,
                "stripe_js_response": '{"id": "tok_1"}',
                "sources": '[{"id": "card_1"}]',
            },
        },
        {
            "model": "aa_stripe.stripecoupon",
            "pk": 1,
            "fields": {**common, "coupon_id": "A", "duration": "once", "metadata": '{"a": 1}'},
        },
        {
            "model": "aa_stripe.stripewebhook",
            "pk": "evt_1",
            "fields": {"created": DATE, "updated": DATE, "raw_data": '{"type": "ping"}'},
        },
    )

    customer, coupon = StripeCustomer.objects.get(), StripeCoupon.objects.get()
    assert (customer.stripe_js_response, customer.sources) == ({"id": "tok_1"}, [{"id": "card_1"}])
    assert (coupon.metadata, coupon.stripe_response) == ({"a": 1}, {"id": "x"})
    assert StripeWebhook.objects.get().raw_data == {"type": "ping"}


@pytest.mark.django_db
@pytest.mark.parametrize("format", ["json", "xml"])
@pytest.mark.parametrize("value", [{"a": 1}, [], "text", "42", "{not JSON", 1.5])
def test_json_in_a_dump_of_today_keeps_its_value(value, format):
    plan = StripeSubscriptionPlan(**PLAN, source=value)
    plan.save()
    dumped = serializers.serialize(format, [plan])

    for row in serializers.deserialize(format, dumped):
        row.save()

    assert StripeSubscriptionPlan.objects.get().source == value


@pytest.mark.django_db(transaction=True)
def test_a_plan_of_0_14_without_stripe_plan_id_can_be_subscribed_to(fake):
    """0.14 gave Stripe the primary key as the plan's id."""
    plan = StripeSubscriptionPlan.objects.create(**PLAN, is_created_at_stripe=True)
    gateway.create_plan(
        {
            "id": str(plan.pk),
            "amount": 5000,
            "currency": "usd",
            "interval": "month",
            "product": {"name": "gold"},
        },
        idempotency_key="by 0.14",
    )
    subscription = make_subscription(plan=plan)

    subscription.create_at_stripe()

    [item] = subscription.stripe_response["items"]["data"]
    assert item["price"]["id"] == str(plan.pk)


def test_a_plan_that_is_not_at_stripe_has_no_id_there():
    assert StripeSubscriptionPlan(pk=7).price_id == ""
    assert StripeSubscriptionPlan(pk=7, is_created_at_stripe=True).price_id == "7"
    plan = StripeSubscriptionPlan(pk=7, is_created_at_stripe=True, stripe_plan_id="gold")
    assert plan.price_id == "gold"


@pytest.mark.django_db(transaction=True)
def test_stripe_js_response_may_be_the_id_alone(fake):
    customer = StripeCustomer.objects.create(user=make_user(), stripe_js_response="pm_card_visa")

    customer.create_at_stripe()

    assert customer.is_created_at_stripe
    assert customer.default_source.startswith("pm_")


@pytest.mark.django_db(transaction=True)
def test_a_tax_percent_of_none_is_no_tax(fake):
    customer = make_customer()
    plan = StripeSubscriptionPlan.objects.create(**PLAN)
    plan.create_at_stripe()

    subscription = StripeSubscription.objects.create(
        user=customer.user, plan=plan, tax_percent=None
    )
    subscription.create_at_stripe()

    assert StripeSubscription.objects.get().tax_percent == 0
    assert subscription.stripe_response["default_tax_rates"] == []


@pytest.mark.django_db
def test_none_in_a_json_field_is_null():
    plan = StripeSubscriptionPlan.objects.create(**PLAN, metadata=None)
    plan = StripeSubscriptionPlan.objects.get(pk=plan.pk)
    assert plan.metadata is None

    plan.name = "silver"
    plan.save()

    assert list(StripeSubscriptionPlan.objects.values_list("name", "metadata")) == [
        ("silver", None)
    ]


@pytest.mark.django_db(transaction=True)
def test_metadata_of_none_is_not_sent(fake):
    customer = make_customer()
    plan = StripeSubscriptionPlan.objects.create(**PLAN, metadata=None)
    plan.create_at_stripe()
    subscription = StripeSubscription.objects.create(user=customer.user, plan=plan, metadata=None)

    subscription.create_at_stripe()

    assert plan.stripe_response["metadata"] == {}
    assert list(subscription.stripe_response["metadata"]) == ["aa_stripe_subscription_uuid"]


@pytest.mark.django_db
def test_a_date_and_a_decimal_in_a_json_field_are_stored_as_text():
    source = {"day": date(2020, 2, 29), "weight": Decimal("1.50")}
    plan = StripeSubscriptionPlan.objects.create(**PLAN, source=source)

    plan.refresh_from_db()

    assert plan.source == {"day": "2020-02-29", "weight": "1.50"}


@pytest.mark.django_db
@pytest.mark.parametrize(("text", "value"), [('{"id": "x"}', {"id": "x"}), ("[1]", [1])])
def test_json_that_is_assigned_as_text_is_stored_as_json(text, value):
    plan = StripeSubscriptionPlan.objects.create(**PLAN, source=text)

    plan.refresh_from_db()

    assert plan.source == value
    assert StripeSubscriptionPlan.objects.filter(source=text).exists()


def test_validation_reads_text_as_json():
    plan = StripeSubscriptionPlan(**PLAN, source='{"id": "x"}')

    plan.clean_fields()

    assert plan.source == {"id": "x"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("model", "values"),
    [
        (StripeSubscriptionPlan, {**PLAN, "interval_count": 0}),
        (StripeSubscriptionPlan, {**PLAN, "trial_period_days": -1}),
        (StripeSubscription, {"tax_percent": Decimal(101)}),
        (StripeSubscription, {"tax_percent": Decimal(-1)}),
    ],
)
def test_numbers_out_of_their_range_are_invalid(model, values):
    [name] = values.keys() - PLAN.keys()

    with pytest.raises(ValidationError) as raised:
        model(**values).full_clean()

    assert name in raised.value.message_dict
