"""The examples of docs/subscriptions.rst work as the page says."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
import stripe

from aa_stripe.models import StripeSubscription, StripeSubscriptionPlan
from tests.docs.blocks import ROOT, run, the_block

PAGE = "subscriptions.rst"


def test_a_plan_sends_what_the_comments_say(fake, request):
    names = run(the_block(PAGE, "source="), request)

    plan = stripe.Plan.retrieve(names["plan_data"]["id"])
    product = stripe.Product.retrieve(plan.product)
    assert (product.name, product.statement_descriptor) == ("gold-basic", "GOLD")
    assert (plan.amount, plan.interval_count, plan.trial_period_days) == (50_00, 3, 14)
    assert plan.metadata["tier"] == "gold"
    assert "sheet" not in str(fake.account.all("plan"))
    assert StripeSubscriptionPlan.objects.get().stripe_plan_id == plan.id


def test_the_discount_and_the_tax_are_applied(user, plan, coupon, fake, request):
    run(the_block(PAGE, "19.25"), request, user=user, plan=plan, coupon=coupon)

    [known] = fake.account.all("subscription")
    assert stripe.Invoice.retrieve(known["latest_invoice"]).amount_paid == 11_93  # of 10.00


def test_the_same_tax_rate_is_used_again(user, plan, coupon, fake, request):
    for _ in range(2):
        run(the_block(PAGE, "19.25"), request, user=user, plan=plan, coupon=coupon)

    [rate] = fake.account.all("tax_rate")
    assert (rate["display_name"], rate["percentage"]) == ("Tax", 19.25)
    assert rate["metadata"]["aa_stripe_tax_percent"] == "19.25"


def test_canceling_prints_what_the_comments_say(subscription, request, capsys):
    run(the_block(PAGE, "cancel(at_period_end=True)"), request, subscription=subscription)
    run(the_block(PAGE, "subscription.cancel()"), request, subscription=subscription)

    assert capsys.readouterr().out == "active True\ncanceled\n"


def test_a_subscription_whose_period_has_ended_is_canceled_after_a_refresh(
    subscription, fake, request
):
    subscription.cancel(at_period_end=True)
    fake.advance(32 * 24 * 60 * 60)

    run(the_block(PAGE, "STATUS_ACTIVE"), request)

    subscription.refresh_from_db()
    assert (subscription.status, subscription.has_access) == ("canceled", False)


def test_an_end_date_is_not_sent_to_stripe(subscription, fake, request):
    request_count = len(fake.requests)

    run(the_block(PAGE, "end_date"), request, subscription=subscription)

    assert StripeSubscription.objects.get().end_date == date(2027, 6, 30)
    assert len(fake.requests) == request_count


def test_each_status_is_listed_with_the_access_it_gives():
    page = (ROOT / "docs" / PAGE).read_text("utf-8")

    listed = page.split("``has_access``\n")[1].split("``is_ending``")[0]

    for status in StripeSubscription.STATUS_CHOICES:
        value = status[0]
        [row] = [it for it in listed.split("   * - ") if it.startswith(f"``{value}``")]
        says_yes = row.rstrip().endswith("- yes")
        assert says_yes == StripeSubscription(status=value).has_access, value


@pytest.mark.parametrize(
    ("behavior", "status"), [("allow_incomplete", "active"), ("default_incomplete", "incomplete")]
)
def test_a_good_card_is_charged_immediately_or_after_confirmation_in_the_browser(
    user, plan, settings, behavior, status
):
    settings.STRIPE_SUBSCRIPTION_PAYMENT_BEHAVIOR = behavior
    subscription = StripeSubscription.objects.create(user=user, plan=plan, tax_percent=Decimal(0))

    subscription.create_at_stripe()

    assert subscription.status == status


def test_a_user_is_deleted_once_the_subscriptions_have_ended(subscription, request, capsys):
    user = subscription.user

    run(the_block(PAGE, "ProtectedError"), request)["delete_account"](user)

    assert capsys.readouterr().out == ""
    subscription.refresh_from_db()
    assert (subscription.user, subscription.status) == (None, "canceled")
