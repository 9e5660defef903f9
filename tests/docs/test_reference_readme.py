"""What the README of 0.14 shows works as it is printed there, each of its blocks.

Its code makes customers with a card token as their source, so it needs an account on which Stripe
still allows that. Two things in it cannot be run as they are, and are mended here: the body of the
webhook receiver is a comment, which Python does not take, and a field's name is misspelt.
"""

from __future__ import annotations

import re
from datetime import date
from types import SimpleNamespace

import pytest
import stripe
from django.core.management import call_command
from django.test import Client

from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeCustomer,
    StripeSubscription,
    StripeSubscriptionPlan,
    StripeToken,
    StripeWebhook,
    webhook_pre_parse,
)
from aa_stripe.signals import stripe_charge_card_exception, stripe_charge_succeeded
from aa_stripe.testing import FakeStripe
from tests.builders import make_user
from tests.docs.blocks import ROOT, blocks_of

#: It can be saved, and then declines every payment.
DECLINING_CARD = "4000000000000341"

PAGE = ROOT / "tests" / "docs" / "reference_readme.rst"

[
    CREATE,
    SAVE,
    CHARGE,
    SUBSCRIPTION,
    SUBSCRIPTION_TO_STRIPE,
    PLAN,
    PLAN_TO_STRIPE,
    COUPON,
    RECEIVER,
] = blocks_of(PAGE)


@pytest.fixture
def account(db):
    with FakeStripe(allow_card_tokens=True) as fake:
        yield fake


@pytest.fixture
def user(account):
    return make_user()


@pytest.fixture
def card():
    return "4242424242424242"


@pytest.fixture
def data(account, card):
    """What stripe.createToken answers in the browser."""
    return {"id": account.create_token(card), "object": "token", "type": "card"}


@pytest.fixture
def names(user, data):
    """What the README's reader has at hand."""
    return {"request": SimpleNamespace(user=user), "user": user, "data": data}


@pytest.fixture
def heard():
    """The keyword arguments of each signal that a charge sends."""
    calls = []

    def listen(signal, **arguments):
        calls.append((signal, arguments))

    for signal in (stripe_charge_succeeded, stripe_charge_card_exception):
        signal.connect(listen)
    yield calls
    for signal in (stripe_charge_succeeded, stripe_charge_card_exception):
        signal.disconnect(listen)


def run(block, names, mend=lambda code: code):
    exec(compile(mend(block.code), str(block), "exec"), names)


def words():
    """The text with its misspelt name mended."""
    return PAGE.read_text("utf-8").replace("charge_attept_failed", "charge_attempt_failed")


# Tokens


def test_creating_a_token_stores_the_customer(names, user, data):
    names |= {"stripe": stripe, "StripeToken": StripeToken}

    run(CREATE, names)

    token = StripeToken.objects.get(user=user)
    assert token.content == data
    assert token.customer_id == names["customer"]["id"]
    assert stripe.Customer.retrieve(token.customer_id).default_source.startswith("card_")


def test_the_endpoint_creates_a_customer_of_the_token(user, data):
    browser = Client()
    browser.force_login(user)

    answer = browser.post(
        "/aa-stripe/customers", {"stripe_js_response": data}, content_type="application/json"
    )

    assert answer.status_code == 201
    assert StripeCustomer.objects.get(user=user).is_created_at_stripe


def test_the_endpoint_requires_an_authenticated_user(data):
    answer = Client().post(
        "/aa-stripe/customers", {"stripe_js_response": data}, content_type="application/json"
    )

    assert answer.status_code in (401, 403)
    assert not StripeCustomer.objects.exists()


# Charging


def test_charging_with_the_token_collects_the_money(names, account, heard):
    names |= {"StripeCharge": StripeCharge}

    run(SAVE, names)
    run(CHARGE, names)

    charge = StripeCharge.objects.get()
    assert charge.is_charged
    assert charge.token == StripeCustomer.objects.get()
    [intent] = account.account.all("payment_intent")
    assert intent["amount_received"] == 500
    assert intent["description"] == "Charge for stuff"
    assert intent["statement_descriptor_suffix"] == "My Company"
    assert [(signal, it["instance"]) for signal, it in heard] == [(stripe_charge_succeeded, charge)]


def test_the_field_that_a_card_error_sets_is_there():
    [name] = re.findall(r"If charge fails due to CardError, ``(\w+)`` is set", words())

    assert StripeCharge._meta.get_field(name)


@pytest.mark.parametrize("card", [DECLINING_CARD])
def test_a_card_error_is_recorded_told_and_left_alone_by_the_command(names, account, heard):
    names |= {"StripeCharge": StripeCharge}
    run(SAVE, names)
    run(CHARGE, names)
    asked = len(account.requests)

    call_command("charge_stripe", verbosity=0)

    charge = StripeCharge.objects.get()
    assert (charge.is_charged, charge.charge_attempt_failed) == (False, True)
    [(signal, arguments)] = heard
    assert signal is stripe_charge_card_exception
    assert arguments["instance"] == charge
    assert isinstance(arguments["exception"], stripe.CardError)
    assert len(account.requests) == asked


def test_the_command_processes_the_remaining_charges(names, heard):
    run(SAVE, names)
    charge = StripeCharge.objects.create(user=names["user"], token=names["token"], amount=500)

    call_command("charge_stripe", verbosity=0)

    charge.refresh_from_db()
    assert charge.is_charged
    assert [signal for signal, _ in heard] == [stripe_charge_succeeded]


# Subscriptions and plans


@pytest.fixture
def plan(account):
    """The plan that the README creates, at Stripe."""
    names = {}
    run(PLAN, names)
    run(PLAN_TO_STRIPE, names)
    return names["plan"]


@pytest.fixture
def subscriber(names, plan):
    """What the subscription's block calls ``self``: somebody with a token, and a plan."""
    run(SAVE, names)
    return SimpleNamespace(customer=names["token"], user=names["user"], plan=plan)


@pytest.fixture
def subscription(subscriber):
    """The subscription that the README creates, at Stripe."""
    names = {"self": subscriber}
    run(SUBSCRIPTION, names)
    run(SUBSCRIPTION_TO_STRIPE, names)
    return names["subscription"]


def test_a_subscription_is_not_sent_to_stripe_just_yet(subscriber, account):
    asked = len(account.requests)

    run(SUBSCRIPTION, {"self": subscriber})

    subscription = StripeSubscription.objects.get()
    assert not subscription.is_created_at_stripe
    assert subscription.metadata == {"name": "test subscription"}
    assert len(account.requests) == asked


def test_sending_a_subscription_returns_the_whole_of_it(subscriber, account):
    names = {"self": subscriber}
    run(SUBSCRIPTION, names)
    names["subscription"].coupon = StripeCoupon.objects.create(percent_off=50, duration="once")

    run(SUBSCRIPTION_TO_STRIPE, names)

    [known] = account.account.all("subscription")
    data = names["subscription_data"]
    assert (data["id"], data["customer"]) == (known["id"], subscriber.customer.stripe_customer_id)
    assert data["metadata"]["name"] == "test subscription"
    assert data["discounts"] == known["discounts"] != []
    assert StripeSubscription.objects.get().status == StripeSubscription.STATUS_ACTIVE


def test_refreshing_takes_over_what_stripe_says(subscription, account):
    account.dashboard_cancel_subscription(subscription.stripe_subscription_id)

    subscription.refresh_from_stripe()

    assert StripeSubscription.objects.get().status == StripeSubscription.STATUS_CANCELED


def test_canceling_cancels_at_stripe(subscription):
    subscription.cancel()

    known = stripe.Subscription.retrieve(subscription.stripe_subscription_id)
    assert known.status == subscription.status == "canceled"


def test_what_has_passed_its_end_date_is_found_and_ended(subscription):
    assert list(StripeSubscription.get_subcriptions_for_cancel()) == []
    StripeSubscription.objects.update(end_date=date(2020, 1, 1))
    assert list(StripeSubscription.get_subcriptions_for_cancel()) == [subscription]

    StripeSubscription.end_subscriptions()

    assert list(StripeSubscription.get_subcriptions_for_cancel()) == []
    known = stripe.Subscription.retrieve(subscription.stripe_subscription_id)
    assert known.status == "canceled"


def test_the_command_ends_with_the_period_by_default(subscription):
    StripeSubscription.objects.update(end_date=date(2020, 1, 1))
    [named] = re.findall(r"management command: (\w+)\.py", words())

    call_command(named, verbosity=0)

    known = stripe.Subscription.retrieve(subscription.stripe_subscription_id)
    assert (known.status, known.cancel_at_period_end) == ("active", True)
    assert StripeSubscription.objects.get().at_period_end


def test_the_command_returns_an_error_at_the_end(subscription, capsys):
    StripeSubscription.objects.update(
        end_date=date(2020, 1, 1), stripe_subscription_id="sub_unknown"
    )

    with pytest.raises(SystemExit) as ended:
        call_command("end_subscription", verbosity=0)

    assert ended.value.code == 1
    told = capsys.readouterr().out
    assert "Exception happened" in told
    assert f"Subscription id: {subscription.pk}" in told


def test_a_plan_has_to_be_sent_to_stripe(account):
    names = {}

    run(PLAN, names)
    assert account.account.all("plan") == []
    run(PLAN_TO_STRIPE, names)

    [known] = account.account.all("plan")
    data = names["plan_data"]
    assert data["id"] == known["id"] == StripeSubscriptionPlan.objects.get().stripe_plan_id
    assert (data["amount"], data["interval"], data["interval_count"]) == (5000, "month", 3)
    assert StripeSubscriptionPlan.objects.get().source == {"a": "b"}
    assert stripe.Product.retrieve(data["product"]).name == "gold-basic"


# Coupons


def test_a_coupon_is_created_and_deleted_at_stripe_and_kept_here(account, capsys):
    told = []
    account.after_request.append(lambda asked, _: told.append((asked.method, asked.params)))

    run(COUPON, {})

    [(_, created)] = [it for it in told if it[0] == "POST"]
    assert (created["id"], created["amount_off"], created["currency"]) == ("SALE10", "1000", "usd")
    assert account.account.all("coupon") == []
    assert capsys.readouterr().out == "True\n"
    assert StripeCoupon.objects.deleted().get().coupon_id == "SALE10"


def test_update_does_not_update_the_coupon_at_stripe(account):
    StripeCoupon.objects.create(coupon_id="SALE10", percent_off=10, duration="forever")

    StripeCoupon.objects.update(metadata={"a": "b"})

    [known] = account.account.all("coupon")
    assert known["metadata"] == {}


def test_the_command_brings_coupons_that_were_created_and_deleted_at_stripe(account):
    StripeCoupon.objects.create(coupon_id="SALE10", percent_off=10, duration="forever")
    account.dashboard_delete_coupon("SALE10")
    account.dashboard_create_coupon(id="SALE20", percent_off=20, duration="forever")

    call_command("refresh_coupons", verbosity=0)

    assert [it.coupon_id for it in StripeCoupon.objects.all()] == ["SALE20"]
    assert [it.coupon_id for it in StripeCoupon.objects.deleted()] == ["SALE10"]


# Webhooks


@pytest.fixture
def receiver():
    """What the README connects, with something to do in the place of its comment."""
    names = {"seen": []}
    run(RECEIVER, names, mend=lambda code: code.replace("# parse", "seen.append(event_type)"))
    yield names
    webhook_pre_parse.disconnect(names["stripewebhook_pre_parse"], sender=StripeWebhook)


def test_the_receivers_body_is_a_comment_which_python_does_not_take():
    with pytest.raises(IndentationError):
        run(RECEIVER, {})


@pytest.mark.parametrize(("is_parsed", "seen"), [(False, ["coupon.created"]), (True, [])])
def test_the_receiver_hears_the_signal_with_its_arguments(receiver, is_parsed, seen):
    # Sent by hand: this release applies no webhooks, so nothing else sends it.
    webhook_pre_parse.send(
        sender=StripeWebhook,
        instance=StripeWebhook(id="evt_1", is_parsed=is_parsed),
        event_type="coupon.created",
        event_model="coupon",
        event_action="created",
    )

    assert receiver["seen"] == seen
