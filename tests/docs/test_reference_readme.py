"""The code blocks of the README of 0.14 work as they are printed there.

Its code creates customers with a card token as their source, so it needs an account on which
Stripe still allows that. Two details cannot be run as printed and are corrected here: the body of
the webhook receiver is only a comment, which is a syntax error, and a field's name is misspelt.
Statements about webhooks and customers' cards are tested at the endpoint, with signed events.
"""

from __future__ import annotations

import re
import time
from datetime import date
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import stripe
from django.contrib.sites.models import Site
from django.core.management import call_command
from django.test import Client

from aa_stripe.exceptions import StripePendingWebhooksLimitExceeded
from aa_stripe.jobs import events
from aa_stripe.management.commands import check_pending_webhooks
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
from aa_stripe.testing import FakeStripe, event
from tests.docs.blocks import ROOT, blocks_of
from tests.support.builders import make_customer, make_user
from tests.support.signals import connected

#: A card that can be saved, and then declines every payment.
DECLINING_CARD = "4000000000000341"

PAGE = ROOT / "tests" / "docs" / "reference_readme.rst"

URL = "/aa-stripe/webhooks"

#: Types of events, each with its two parts as the README describes them.
TYPES = [
    ("coupon.created", "coupon", "created"),
    ("invoice.payment_failed", "invoice", "payment_failed"),
    ("charge.dispute.updated", "charge.dispute", "updated"),
    ("ping", None, None),
]

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
    """The response of stripe.createToken in the browser."""
    return {"id": account.create_token(card), "object": "token", "type": "card"}


@pytest.fixture
def names(user, data):
    """The names that the README's code uses without defining them."""
    return {"request": SimpleNamespace(user=user), "user": user, "data": data}


@pytest.fixture
def sent_signals():
    """Each signal that a charge sends, with its keyword arguments."""
    calls = []

    def receive(signal, **arguments):
        calls.append((signal, arguments))

    with (
        connected(stripe_charge_succeeded, receive),
        connected(stripe_charge_card_exception, receive),
    ):
        yield calls


def run(block, names, correct=lambda code: code):
    exec(compile(correct(block.code), str(block), "exec"), names)


def corrected_text():
    """Return the text with its misspelt name corrected."""
    return PAGE.read_text("utf-8").replace("charge_attept_failed", "charge_attempt_failed")


# Tokens


def test_creating_a_token_stores_the_customer(names, user, data):
    names |= {"stripe": stripe, "StripeToken": StripeToken}

    run(CREATE, names)

    token = StripeToken.objects.get(user=user)
    assert token.content == data
    assert token.customer_id == names["customer"]["id"]
    assert stripe.Customer.retrieve(token.customer_id).default_source.startswith("card_")


def test_the_endpoint_creates_a_customer_from_the_token(user, data):
    browser = Client()
    browser.force_login(user)

    response = browser.post(
        "/aa-stripe/customers", {"stripe_js_response": data}, content_type="application/json"
    )

    assert response.status_code == 201
    assert StripeCustomer.objects.get(user=user).is_created_at_stripe


def test_the_endpoint_requires_an_authenticated_user(data):
    response = Client().post(
        "/aa-stripe/customers", {"stripe_js_response": data}, content_type="application/json"
    )

    assert response.status_code in (401, 403)
    assert not StripeCustomer.objects.exists()


# Charging


def test_charging_with_the_token_collects_the_money(names, account, sent_signals):
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
    assert [(signal, it["instance"]) for signal, it in sent_signals] == [
        (stripe_charge_succeeded, charge)
    ]


def test_the_field_that_a_card_error_sets_exists():
    [name] = re.findall(r"If charge fails due to CardError, ``(\w+)`` is set", corrected_text())

    assert StripeCharge._meta.get_field(name)


@pytest.mark.parametrize("card", [DECLINING_CARD])
def test_a_card_error_is_recorded_and_signaled_and_the_command_skips_the_charge(
    names, account, sent_signals
):
    names |= {"StripeCharge": StripeCharge}
    run(SAVE, names)
    run(CHARGE, names)
    request_count = len(account.requests)

    call_command("charge_stripe", verbosity=0)

    charge = StripeCharge.objects.get()
    assert (charge.is_charged, charge.charge_attempt_failed) == (False, True)
    [(signal, arguments)] = sent_signals
    assert signal is stripe_charge_card_exception
    assert arguments["instance"] == charge
    assert isinstance(arguments["exception"], stripe.CardError)
    assert len(account.requests) == request_count


def test_the_command_processes_the_remaining_charges(names, sent_signals):
    run(SAVE, names)
    charge = StripeCharge.objects.create(user=names["user"], token=names["token"], amount=500)

    call_command("charge_stripe", verbosity=0)

    charge.refresh_from_db()
    assert charge.is_charged
    assert [signal for signal, _ in sent_signals] == [stripe_charge_succeeded]


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
    """The object that the subscription's block calls ``self``: a user, a token and a plan."""
    run(SAVE, names)
    return SimpleNamespace(customer=names["token"], user=names["user"], plan=plan)


@pytest.fixture
def subscription(subscriber):
    """The subscription that the README creates, at Stripe."""
    names = {"self": subscriber}
    run(SUBSCRIPTION, names)
    run(SUBSCRIPTION_TO_STRIPE, names)
    return names["subscription"]


def test_creating_a_subscription_does_not_send_it_to_stripe(subscriber, account):
    request_count = len(account.requests)

    run(SUBSCRIPTION, {"self": subscriber})

    subscription = StripeSubscription.objects.get()
    assert not subscription.is_created_at_stripe
    assert subscription.metadata == {"name": "test subscription"}
    assert len(account.requests) == request_count


def test_sending_a_subscription_returns_all_of_its_data(subscriber, account):
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


def test_refreshing_updates_the_status_from_stripe(subscription, account):
    account.dashboard_cancel_subscription(subscription.stripe_subscription_id)

    subscription.refresh_from_stripe()

    assert StripeSubscription.objects.get().status == StripeSubscription.STATUS_CANCELED


def test_canceling_cancels_at_stripe(subscription):
    subscription.cancel()

    known = stripe.Subscription.retrieve(subscription.stripe_subscription_id)
    assert known.status == subscription.status == "canceled"


def test_a_subscription_past_its_end_date_is_found_and_ended(subscription):
    assert list(StripeSubscription.get_subcriptions_for_cancel()) == []
    StripeSubscription.objects.update(end_date=date(2020, 1, 1))
    assert list(StripeSubscription.get_subcriptions_for_cancel()) == [subscription]

    StripeSubscription.end_subscriptions()

    assert list(StripeSubscription.get_subcriptions_for_cancel()) == []
    known = stripe.Subscription.retrieve(subscription.stripe_subscription_id)
    assert known.status == "canceled"


def test_the_command_cancels_at_the_period_end_by_default(subscription):
    StripeSubscription.objects.update(end_date=date(2020, 1, 1))
    [named] = re.findall(r"management command: (\w+)\.py", corrected_text())

    call_command(named, verbosity=0)

    known = stripe.Subscription.retrieve(subscription.stripe_subscription_id)
    assert (known.status, known.cancel_at_period_end) == ("active", True)
    assert StripeSubscription.objects.get().at_period_end


def test_the_command_exits_with_1_after_an_error(subscription, capsys):
    StripeSubscription.objects.update(
        end_date=date(2020, 1, 1), stripe_subscription_id="sub_unknown"
    )

    with pytest.raises(SystemExit) as ended:
        call_command("end_subscription", verbosity=0)

    assert ended.value.code == 1
    output = capsys.readouterr().out
    assert "Exception happened" in output
    assert f"Subscription id: {subscription.pk}" in output


def test_a_plan_is_created_at_stripe_by_a_call_of_its_own(account):
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


def test_a_coupon_is_created_and_deleted_at_stripe_and_its_row_is_kept(account, capsys):
    sent = []
    account.after_request.append(lambda made, _: sent.append((made.method, made.params)))

    run(COUPON, {})

    [(_, created)] = [it for it in sent if it[0] == "POST"]
    assert (created["id"], created["amount_off"], created["currency"]) == ("SALE10", "1000", "usd")
    assert account.account.all("coupon") == []
    assert capsys.readouterr().out == "True\n"
    assert StripeCoupon.objects.deleted().get().coupon_id == "SALE10"


def test_update_does_not_update_the_coupon_at_stripe(account):
    StripeCoupon.objects.create(coupon_id="SALE10", percent_off=10, duration="forever")

    StripeCoupon.objects.update(metadata={"a": "b"})

    [known] = account.account.all("coupon")
    assert known["metadata"] == {}


def test_the_command_applies_the_creation_and_deletion_of_coupons_at_stripe(account):
    StripeCoupon.objects.create(coupon_id="SALE10", percent_off=10, duration="forever")
    account.dashboard_delete_coupon("SALE10")
    account.dashboard_create_coupon(id="SALE20", percent_off=20, duration="forever")

    call_command("refresh_coupons", verbosity=0)

    assert [it.coupon_id for it in StripeCoupon.objects.all()] == ["SALE20"]
    assert [it.coupon_id for it in StripeCoupon.objects.deleted()] == ["SALE10"]


# Webhooks


@pytest.fixture
def deliver(account, client):
    """A function that delivers these events, or all new ones, and returns the statuses."""

    def deliver(*chosen, secret="whsec_test"):
        return account.deliver(URL, secret, events=chosen or None, client=client)

    return deliver


@pytest.fixture
def receiver():
    """The names of the README's receiver, which has a statement in place of its comment."""
    seen = []
    statement = "seen.append((event_type, event_model, event_action))"
    names = {"seen": seen}
    run(RECEIVER, names, correct=lambda code: code.replace("# parse", statement))
    yield names
    webhook_pre_parse.disconnect(names["stripewebhook_pre_parse"], sender=StripeWebhook)


def test_the_receiver_as_printed_is_a_syntax_error():
    with pytest.raises(IndentationError):
        run(RECEIVER, {})


@pytest.mark.parametrize("expected", TYPES)
def test_the_receiver_is_called_for_a_delivered_event(receiver, deliver, expected):
    payload = event(expected[0], {"id": "any", "object": "any"})

    assert deliver(payload) == [201]
    assert receiver["seen"] == [expected]


@pytest.mark.parametrize("expected", TYPES)
def test_the_receiver_is_called_for_an_event_that_is_created_as_a_row(account, receiver, expected):
    payload = event(expected[0], {"id": "any", "object": "any"})

    StripeWebhook.objects.create(id=payload["id"], raw_data=payload)

    assert receiver["seen"] == [expected]


def test_the_receiver_is_called_once_for_each_event(receiver, deliver):
    payload = event("ping", {})

    assert deliver(payload, payload) == [201, 200]
    assert receiver["seen"] == [("ping", None, None)]


def test_each_received_webhook_is_saved(deliver):
    payload = event("invoice.payment_failed", {"id": "in_1", "object": "invoice"})

    deliver(payload)

    webhook = StripeWebhook.objects.get()
    assert (webhook.pk, webhook.raw_data, webhook.is_parsed) == (payload["id"], payload, True)


def test_webhooks_are_verified_with_the_secret(deliver):
    assert deliver(event("ping", {}), secret="whsec_of_somebody_else") == [400]
    assert not StripeWebhook.objects.exists()


def test_changes_to_coupons_in_the_dashboard_are_applied(account, deliver):
    account.dashboard_create_coupon(id="SALE10", percent_off=10, duration="forever")
    deliver()
    assert StripeCoupon.objects.get().percent_off == 10

    account.dashboard_edit_coupon("SALE10", metadata={"campaign": "spring"})
    deliver()
    assert StripeCoupon.objects.get().metadata == {"campaign": "spring"}

    account.dashboard_delete_coupon("SALE10")
    deliver()
    assert StripeCoupon.objects.deleted().get().coupon_id == "SALE10"


def test_a_receiver_can_refresh_the_subscription_while_a_webhook_is_parsed(
    subscription, account, deliver
):
    statuses = []

    def verify(sender, instance, event_model, **kwargs):
        if event_model == "customer.subscription":
            subscription.refresh_from_stripe()
            statuses.append(subscription.status)

    webhook_pre_parse.connect(verify, sender=StripeWebhook)
    account.dashboard_cancel_subscription(subscription.stripe_subscription_id)

    deliver()

    webhook_pre_parse.disconnect(verify, sender=StripeWebhook)
    assert statuses[-1] == "canceled"


# The check_pending_webhooks command


@pytest.fixture
def mails():
    """The subject and the text of each mail sent to the admins."""
    sent = []

    def keep(subject, message, **options):
        sent.append((subject, message))

    with patch.object(check_pending_webhooks, "mail_admins", autospec=True, side_effect=keep):
        yield sent


@pytest.fixture
def missing(account, monkeypatch):
    """The ids of more missing events than the threshold allows, all ten minutes old."""
    for number in range(22):
        account.dashboard_create_coupon(id=f"C{number}", percent_off=10, duration="once")
    later = time.time() + 600
    monkeypatch.setattr(events.time, "time", lambda: later)
    return [it["id"] for it in account.events]


def run_failing_check(*arguments):
    """Return the message of the error that the command raises."""
    with pytest.raises(StripePendingWebhooksLimitExceeded) as failed:
        call_command("check_pending_webhooks", *arguments, verbosity=0)
    return str(failed.value)


def test_too_many_pending_webhooks_are_mailed_to_the_admins_and_fail(missing, mails):
    run_failing_check()

    [(subject, text)] = mails
    assert subject == "Stripe webhooks pending threshold exceeded"
    assert all(event_id in text for event_id in missing)
    assert "Server environment" not in text


def test_the_threshold_is_20_unless_it_is_set(missing, mails, settings):
    settings.STRIPE_PENDING_WEBHOOKS_THRESHOLD = len(missing)
    call_command("check_pending_webhooks", verbosity=0)
    assert mails == []

    del settings.STRIPE_PENDING_WEBHOOKS_THRESHOLD
    arrived = missing[:-20]
    StripeWebhook.objects.bulk_create(StripeWebhook(id=it, is_parsed=True) for it in arrived)
    call_command("check_pending_webhooks", verbosity=0)
    assert mails == []

    StripeWebhook.objects.filter(id=arrived[0]).delete()
    run_failing_check()
    assert len(mails) == 1


def test_the_mail_names_the_server_environment(missing, mails, settings):
    settings.ENV_PREFIX = "staging"

    run_failing_check()

    [(_, text)] = mails
    assert "Server environment: staging" in text


def test_the_mail_names_the_first_site_or_the_chosen_one(missing, mails):
    other = Site.objects.create(domain="other.example.com", name="other")

    run_failing_check()
    run_failing_check("--site", str(other.pk))

    [(_, first), (_, named)] = mails
    assert Site.objects.order_by("pk").first().domain in first
    assert "other.example.com" in named


# Customers' cards


@pytest.fixture
def customer(account):
    return make_customer()


@pytest.fixture
def another_card(customer):
    """The id of a card that was saved at Stripe and is not stored here."""
    method = stripe.PaymentMethod.attach("pm_card_mastercard", customer=customer.stripe_customer_id)
    stripe.Customer.modify(
        customer.stripe_customer_id, invoice_settings={"default_payment_method": method.id}
    )
    return method.id


def test_sources_are_updated_by_a_webhook_about_the_customer(
    customer, another_card, account, deliver
):
    [payload] = [it for it in account.events if it["type"] == "customer.updated"][-1:]

    assert deliver(payload) == [201]

    customer.refresh_from_db()
    assert another_card in [source["id"] for source in customer.sources]
    assert customer.default_source == another_card


def test_sources_are_updated_by_the_command(customer, another_card):
    call_command("refresh_customers", verbosity=0)

    customer.refresh_from_db()
    assert customer.default_source == another_card
