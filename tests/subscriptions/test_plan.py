"""Plans at Stripe."""

from __future__ import annotations

import pytest
import stripe

from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models import StripeSubscriptionPlan
from aa_stripe.testing import Fault

CREATE = "POST /v1/plans"

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan():
    return StripeSubscriptionPlan.objects.create(
        source={"a": "b"},
        amount=5000,
        name="gold-basic",
        interval=StripeSubscriptionPlan.INTERVAL_MONTH,
        interval_count=3,
        metadata={"tier": "gold"},
        statement_descriptor="GOLD",
        trial_period_days=14,
    )


def test_a_plan_is_created_with_the_values_of_its_row(plan, fake):
    returned = plan.create_at_stripe()

    known = fake.account.get("plan", returned.id)
    assert (known["amount"], known["currency"]) == (5000, "usd")
    assert (known["interval"], known["interval_count"]) == ("month", 3)
    assert (known["metadata"], known["trial_period_days"]) == ({"tier": "gold"}, 14)
    product = fake.account.get("product", known["product"])
    assert (product["name"], product["statement_descriptor"]) == ("gold-basic", "GOLD")


def test_the_row_stores_the_created_plan(plan, fake):
    returned = plan.create_at_stripe()

    row = StripeSubscriptionPlan.objects.get(pk=plan.pk)
    assert row.is_created_at_stripe
    assert row.stripe_plan_id == returned.id == str(plan.uuid)
    assert row.stripe_response["id"] == returned.id


def test_a_plan_is_created_once(plan, fake):
    plan.create_at_stripe()

    with pytest.raises(StripeMethodNotAllowed):
        plan.create_at_stripe()

    assert len(fake.account.all("plan")) == 1


def test_a_plan_that_was_never_saved_is_saved(db, fake):
    plan = StripeSubscriptionPlan(name="new", amount=100, interval="day")

    plan.create_at_stripe()

    assert StripeSubscriptionPlan.objects.get().is_created_at_stripe


def test_optional_values_that_are_not_set_are_not_sent(db, fake):
    plan = StripeSubscriptionPlan.objects.create(name="plain", amount=100, interval="day")

    plan.create_at_stripe()

    [request] = [it for it in fake.requests if it.path == "/v1/plans"]
    assert request.params["product"] == {"name": "plain"}
    assert "trial_period_days" not in request.params


@pytest.mark.parametrize("hours", [0, 25])
@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.GARBAGE])
def test_a_lost_response_makes_no_second_plan(plan, fake, fault, hours):
    fake.fail_next(CREATE, fault)
    with pytest.raises(stripe.StripeError):
        plan.create_at_stripe()
    fake.advance(hours * 3600)

    plan.create_at_stripe()

    assert [it["id"] for it in fake.account.all("plan")] == [plan.stripe_plan_id]


def test_a_refused_plan_leaves_the_row_as_it_was(plan, fake):
    plan.currency = "xxx"

    with pytest.raises(stripe.InvalidRequestError):
        plan.create_at_stripe()

    row = StripeSubscriptionPlan.objects.get(pk=plan.pk)
    assert (row.is_created_at_stripe, row.stripe_plan_id) == (False, "")


@pytest.mark.parametrize("fault", [Fault.ERROR_500_BEFORE, Fault.ERROR_500_AFTER])
def test_a_500_does_not_block_the_next_call(plan, fake, fault):
    fake.fail_next(CREATE, fault)
    with pytest.raises(stripe.APIError):
        plan.create_at_stripe()

    plan.create_at_stripe()

    assert [it["id"] for it in fake.account.all("plan")] == [plan.stripe_plan_id]


def test_a_refused_plan_is_created_once_it_is_corrected(plan, fake):
    plan.currency = "xxx"
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError):
            plan.create_at_stripe()
    plan.currency = "eur"

    plan.create_at_stripe()

    assert [it["currency"] for it in fake.account.all("plan")] == ["eur"]


def test_an_edit_after_a_lost_request_is_sent(plan, fake):
    fake.fail_next(CREATE, Fault.REQUEST_LOST)
    with pytest.raises(stripe.APIConnectionError):
        plan.create_at_stripe()
    plan.amount = 6000

    plan.create_at_stripe()

    assert [it["amount"] for it in fake.account.all("plan")] == [6000]


@pytest.mark.parametrize("hours", [0, 25])
def test_an_edit_of_other_values_after_a_lost_response_keeps_the_plan(plan, fake, hours):
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    with pytest.raises(stripe.APIConnectionError):
        plan.create_at_stripe()
    fake.advance(hours * 3600)
    plan.name = "renamed"

    plan.create_at_stripe()

    assert [it["id"] for it in fake.account.all("plan")] == [plan.stripe_plan_id]


@pytest.mark.parametrize("hours", [0, 25])
@pytest.mark.parametrize(
    "edit",
    [
        {"amount": 6000},
        {"currency": "eur"},
        {"interval": "year"},
        {"interval_count": 1},
        {"trial_period_days": 30},
    ],
)
def test_a_plan_with_another_price_is_not_taken_for_the_edited_row(plan, fake, edit, hours):
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    with pytest.raises(stripe.APIConnectionError):
        plan.create_at_stripe()
    fake.advance(hours * 3600)
    for name, value in edit.items():
        setattr(plan, name, value)

    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        plan.create_at_stripe()

    row = StripeSubscriptionPlan.objects.get(pk=plan.pk)
    assert (row.is_created_at_stripe, row.stripe_plan_id) == (False, "")


def test_str_returns_the_name(plan):
    assert str(plan) == "gold-basic"
