"""The examples of docs/quickstart.rst work, and what the page says is true."""

from __future__ import annotations

import re

import pytest
import stripe
from django.core.management import get_commands, load_command_class
from django.urls import resolve

from aa_stripe import signals
from aa_stripe.jobs import coupons, events, subscriptions, webhooks
from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeSubscription,
    StripeSubscriptionPlan,
    StripeToken,
    StripeWebhook,
)
from aa_stripe.testing import FakeStripe, event
from tests.docs.blocks import ROOT, run, table_below, the_block
from tests.support.builders import make_charge, make_customer

#: The commands for cron.
CRON = {
    "charge_stripe",
    "check_pending_webhooks",
    "end_subscriptions",
    "process_webhooks",
    "refresh_coupons",
    "refresh_customers",
    "refresh_subscriptions",
}

PAGE = "quickstart.rst"
PATH = ROOT / "docs" / PAGE
TEXT = PATH.read_text("utf-8")


def setup_intent():
    return stripe.SetupIntent.create(
        confirm=True,
        payment_method="pm_card_visa",
        automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
    ).id


@pytest.mark.parametrize(
    "make_id",
    [setup_intent, lambda: "pm_card_visa", lambda: "tok_visa"],
    ids=["setup intent", "payment method", "card token"],
)
def test_the_response_of_stripe_js_creates_a_customer_that_can_be_charged(
    fake, http_request, request, make_id
):
    block = the_block(PAGE, "user=request.user, stripe_js_response=data")

    run(block, request, request=http_request, data={"id": make_id()})

    charge = StripeCharge.objects.create(user=http_request.user, amount=500)
    assert charge.charge() is not None


def test_another_card_becomes_the_default(customer, request):
    block = the_block(PAGE, "add_new_source")

    run(block, request, customer=customer, data={"id": "pm_card_mastercard"})

    assert customer.default_source_data["card"]["brand"] == "mastercard"
    assert [source["card"]["brand"] for source in customer.sources] == ["mastercard", "visa"]


def test_a_customer_made_with_a_card_token_can_be_charged(db, http_request, request):
    with FakeStripe(allow_card_tokens=True):
        run(the_block(PAGE, "StripeToken"), request, request=http_request)

        charge = StripeCharge.objects.create(
            user=http_request.user, token=StripeToken.objects.get(), amount=500
        )
        charge.charge()

    assert charge.is_charged


def test_stripe_refuses_a_card_token_as_source_on_a_new_account(fake, http_request, request):
    with pytest.raises(stripe.InvalidRequestError):
        run(the_block(PAGE, "StripeToken"), request, request=http_request)


def test_a_charge_sends_what_the_comments_say(fake, user, request):
    run(the_block(PAGE, "Charge for stuff"), request, user=user)

    [intent] = fake.account.all("payment_intent")
    assert intent["amount_received"] == 500
    assert intent["description"] == "Charge for stuff"
    assert intent["statement_descriptor_suffix"] == "My Company"
    assert "internal information" not in str(intent)


def test_refunds_give_back_a_part_and_then_the_rest(charge, request):
    run(the_block(PAGE, "charge.refund(200)"), request, charge=charge)

    assert [refund.amount for refund in charge.refunds.all()] == [200, 800]
    assert charge.is_refunded


def test_a_plan_is_created_with_the_shown_values(fake, request):
    run(the_block(PAGE, "gold-basic"), request)

    row = StripeSubscriptionPlan.objects.get()
    plan = stripe.Plan.retrieve(row.stripe_plan_id)
    assert (plan.amount, plan.currency) == (50_00, "usd")
    assert (plan.interval, plan.interval_count, plan.trial_period_days) == ("month", 3, 14)
    assert stripe.Product.retrieve(plan.product).name == "gold-basic"


def test_a_plan_created_in_the_dashboard_can_be_subscribed_to(fake, user):
    known = stripe.Plan.create(
        amount=10_00, currency="usd", interval="month", product={"name": "silver"}
    )
    plan = StripeSubscriptionPlan.objects.create(
        name="silver",
        amount=10_00,
        interval="month",
        stripe_plan_id=known.id,
        is_created_at_stripe=True,
    )
    subscription = StripeSubscription.objects.create(user=user, plan=plan)

    subscription.create_at_stripe()

    assert subscription.has_access


def test_a_subscription_sends_the_coupon_the_tax_and_the_metadata(
    fake, user, plan, coupon, request, capsys
):
    block = the_block(PAGE, "tax_percent=19")

    run(block, request, user=user, plan=plan, coupon=coupon)

    [known] = fake.account.all("subscription")
    invoice = stripe.Invoice.retrieve(known["latest_invoice"])
    assert known["metadata"]["name"] == "test subscription"
    assert invoice.subtotal == 20_00
    assert invoice.amount_paid == 11_90  # half of it, and 19 % on top
    assert capsys.readouterr().out == "active True\n"


def test_a_subscription_is_canceled_at_its_period_end_and_then_immediately(
    subscription, request, capsys
):
    run(the_block(PAGE, "subscription.cancel()"), request, subscription=subscription)

    assert capsys.readouterr().out == "True\n"
    assert subscription.status == StripeSubscription.STATUS_CANCELED


def test_a_declined_first_payment_makes_the_subscription_incomplete_without_access(fake, plan):
    declined = make_customer(card="tok_chargeCustomerFail").user
    subscription = StripeSubscription.objects.create(user=declined, plan=plan)

    subscription.create_at_stripe()

    assert (subscription.status, subscription.has_access) == ("incomplete", False)


def test_a_coupon_is_created_edited_and_deleted_at_stripe(fake, request, capsys):
    sent = []
    fake.after_request.append(lambda made, _response: sent.append((made.method, made.params)))

    names = run(the_block(PAGE, 'coupon_id="SALE10"'), request)

    # The coupon is read from Stripe before each change.
    [(_, created), (_, changed), (last, _)] = [it for it in sent if it[0] != "GET"]
    assert (created["amount_off"], created["currency"]) == ("1000", "usd")
    assert changed == {"metadata": {"campaign": "spring"}}
    assert last == "DELETE"
    assert fake.account.all("coupon") == []
    assert capsys.readouterr().out == "True\n"
    assert list(StripeCoupon.objects.all()) == []
    assert list(StripeCoupon.objects.deleted()) == [names["coupon"]]


def test_the_receivers_are_called_for_a_payment_and_a_decline(
    fake, charge, ship, write_to, request
):
    names = run(the_block(PAGE, "@receiver"), request)
    paid = make_charge(charge.customer)
    declined = make_charge(make_customer(card="tok_chargeCustomerFail"))

    paid.charge()
    declined.charge()

    assert names
    ship.assert_called_once_with(paid)
    write_to.assert_called_once_with(declined.user, "Your card was declined.")


def test_a_custom_handler_is_called_once_for_an_event(fake, customer, write_to, client, request):
    run(the_block(PAGE, "def ask_to_pay"), request, write_to=write_to)
    invoice = {"id": "in_1", "object": "invoice", "customer": customer.stripe_customer_id}
    twice = [event("invoice.payment_failed", invoice)] * 2

    statuses = fake.deliver("/aa-stripe/webhooks", "whsec_test", events=twice, client=client)

    assert statuses == [201, 200]
    write_to.assert_called_once_with(customer.user, "We could not collect.")
    assert StripeWebhook.objects.get().is_parsed


def test_each_endpoint_exists_and_accepts_the_method():
    for named, _ in table_below(PATH, "HTTP endpoints"):
        method, path = named.split()
        path = re.sub("<uuid>", "00000000-0000-0000-0000-000000000000", path)
        view = resolve("/" + re.sub("<.*>", "cus_1", path)).func.view_class
        assert hasattr(view, method.lower()), named


def test_each_command_exists_with_the_listed_options():
    commands = set(re.findall(r"manage\.py (\w+_\w+)", TEXT))

    assert commands == CRON
    for name in {*commands, "end_subscription"}:
        command = load_command_class(get_commands()[name], name)
        options = command.create_parser("manage.py", name).format_help()
        assert all(option in options for option in ("--dry-run", "--limit", "--rate"))


def test_the_operations_page_has_the_same_cron_table_and_a_section_for_each_command():
    page = (ROOT / "docs" / "operations.rst").read_text("utf-8")

    table = re.findall(r"^    \S+ \S+ \S+ \S+ \S+ +cd /srv/site .*$", TEXT, re.MULTILINE)
    assert len(table) == len(CRON)
    assert all(line in page for line in table)
    assert set(re.findall(r"^``(\w+)``$", page, re.MULTILINE)) >= CRON


def test_the_operations_page_has_the_lines_of_the_reports():
    page = (ROOT / "docs" / "operations.rst").read_text("utf-8")

    for line in (
        *(subscriptions.CANCELED, subscriptions.ENDING, subscriptions.ENDED_ALREADY),
        *(coupons.CREATED, coupons.UPDATED, coupons.UNCHANGED, coupons.DELETED),
        *(coupons.CHANGED_MEANWHILE, subscriptions.SETTLED_MEANWHILE),
        *(webhooks.APPLIED, webhooks.APPLIED_WITH_ERROR, webhooks.PRUNED),
        *(webhooks.ALREADY_APPLIED, webhooks.OTHER_MODE, webhooks.SETTLED_MEANWHILE),
        *(events.MISSING, events.STORED),
        *(events.DELIVERED_MEANWHILE, events.OTHER_MODE, events.GONE),
    ):
        assert f"``{line}``" in page


def test_each_signal_of_a_charge_is_named():
    named = set(re.findall(r"``(stripe_charge_(?:succ|refunded|card|requires)\w*)``", TEXT))

    assert named == {name for name in vars(signals) if name.startswith("stripe_charge_")}
