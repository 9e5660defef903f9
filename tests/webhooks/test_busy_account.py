"""A busy account with bad deliveries, handlers that fail and a server that is killed.

In the end, each event is stored once and applied once, and every row matches Stripe.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import stripe
from django.db import connection

from aa_stripe.exceptions import StripeInternalError
from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeCustomer,
    StripeSubscription,
    StripeSubscriptionPlan,
    StripeWebhook,
)
from aa_stripe.signals import stripe_charge_succeeded
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.processes import kill_group
from tests.support.waiting import wait_until
from tests.webhooks.busy import tables

SECRET = "whsec_test"
TIMEOUT = 300  # seconds
CUSTOMERS = 60
ROUNDS = 6
SENDERS = 4
DROPPED = 0.1
TROUBLE = "0.01"

CONFIRM = "POST /v1/payment_intents/*/confirm"
CARDS = [
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_chargeCustomerFail",
    "pm_card_authenticationRequired",
]

pytestmark = [
    pytest.mark.first,
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="A site this busy runs on PostgreSQL."
    ),
]


@pytest.fixture
def chance():
    return random.Random(20261124)


@pytest.fixture
def noted(transactional_db):
    """The tables in which the site and this process note applied events and sent signals."""

    def note_success(sender, instance, **kwargs):
        tables.note("busy_signals", instance.uuid)

    tables.create()
    stripe_charge_succeeded.connect(note_success)
    yield tables.noted
    stripe_charge_succeeded.disconnect(note_success)
    tables.drop()


@pytest.fixture
def environment(child_environment, served):
    return child_environment | {
        "DJANGO_SETTINGS_MODULE": "tests.webhooks.busy.settings",
        "SERVED_STRIPE": served.url,
        "BUSY_TROUBLE": TROUBLE,
    }


class Site:
    """A server that starts again whenever it dies, by itself or by ``kill()``."""

    def __init__(self, environment):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._children = []
        command = [sys.executable, "-m", "tests.webhooks.busy.server", str(self.port)]
        self._parent = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # a group of their own: close() kills parent and child
        )
        self._reader = threading.Thread(target=self._read_children, daemon=True)
        self._reader.start()

    def _read_children(self):
        for line in self._parent.stdout:
            self._children.append(int(line))

    @property
    def deaths(self):
        return len(self._children) - 1

    def accepts_connections(self):
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        with suppress(ProcessLookupError):  # it has just died by itself
            os.kill(self._children[-1], signal.SIGKILL)

    def close(self):
        kill_group(self._parent)
        self._reader.join()
        self._parent.stdout.close()


@pytest.fixture
def site(environment):
    site = Site(environment)
    yield site
    site.close()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def run_command(environment, *words):
    """Return the command's exit status, which is negative if a handler killed the process."""
    ran = subprocess.run(
        [sys.executable, "-m", "django", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert ran.returncode in (0, 1, -9), ran.stdout + ran.stderr
    return ran.returncode


# What happens at Stripe


def make_business(fake, chance):
    """Make some thousands of events, of which our rows know only a part."""
    plan = StripeSubscriptionPlan.objects.create(name="gold", amount=900, interval="month")
    plan.create_at_stripe()
    customers = [make_customer(card=chance.choice(CARDS)) for _ in range(CUSTOMERS)]
    for customer in customers:
        for _ in range(ROUNDS):
            do_business(fake, chance, customer, plan)
    for customer in chance.sample(customers, 5):
        fake.dashboard_delete_customer(customer.stripe_customer_id)
    for number in range(20):
        make_coupon(fake, chance, f"SALE{number}")


def do_business(fake, chance, customer, plan):
    charge = make_charge(customer, amount=chance.randrange(100, 100_000))
    if chance.random() < 0.3:
        fake.fail_next(CONFIRM, Fault.ANSWER_LOST)
    with suppress(StripeInternalError):  # the webhook settles it
        charge.charge()
    fake.clear_faults()
    intent = fake.account.get("payment_intent", charge.stripe_payment_intent_id)
    if intent["status"] == "succeeded" and chance.random() < 0.5:
        fake.dashboard_refund(intent["latest_charge"], chance.choice([None, 50]))
    elif charge.failure_code == "authentication_required" and chance.random() < 0.7:
        stripe.PaymentIntent.confirm(intent["id"], payment_method=customer.default_source)
        fake.complete_authentication(intent["id"])
    elif intent["status"] == "requires_payment_method" and chance.random() < 0.3:
        fake.dashboard_cancel(intent["id"])
    if chance.random() < 0.2:
        stripe.Customer.modify(customer.stripe_customer_id, description="changed")
        stripe.PaymentMethod.attach("pm_card_mastercard", customer=customer.stripe_customer_id)
    if chance.random() < 0.2 and "Fail" not in str(customer.stripe_js_response):
        subscribe(fake, chance, customer, plan)


def subscribe(fake, chance, customer, plan):
    subscription = StripeSubscription.objects.create(user=customer.user, plan=plan)
    if chance.random() < 0.3:
        fake.fail_next("POST /v1/subscriptions", Fault.ANSWER_LOST)
    try:
        subscription.create_at_stripe()
    except stripe.StripeError:
        fake.clear_faults()
        return
    if subscription.has_access and chance.random() < 0.5:
        fake.dashboard_cancel_subscription(
            subscription.stripe_subscription_id, at_period_end=chance.random() < 0.5
        )


def make_coupon(fake, chance, coupon_id):
    fake.dashboard_create_coupon(id=coupon_id, percent_off=10, duration="once")
    if chance.random() < 0.5:
        fake.dashboard_edit_coupon(coupon_id, name="Sale", metadata={"number": coupon_id})
    if chance.random() < 0.3:
        fake.dashboard_delete_coupon(coupon_id)


# Deliveries


def deliver_badly(fake, chance, site):
    """Deliver the events shuffled, from several senders, each up to three times or never.

    Return how often each status was returned.
    """
    sent = [event for event in fake.events for _ in range(copies(chance))]
    chance.shuffle(sent)

    def send(event):
        wait_until(site.accepts_connections)
        [status] = fake.deliver(f"{site.url}/aa-stripe/webhooks", SECRET, events=[event])
        return status

    wait_until(site.accepts_connections)  # a site that never starts fails here, once
    with ThreadPoolExecutor(SENDERS) as senders:
        deliveries = [senders.submit(send, event) for event in sent]
        while not all(it.done() for it in deliveries):
            time.sleep(chance.uniform(5, 15))
            site.kill()
        return Counter(it.result() for it in deliveries)


def copies(chance):
    if chance.random() < DROPPED:
        return 0
    return chance.choices((1, 2, 3), weights=(3, 2, 1))[0]


def apply_all(environment):
    """Run the commands that cron runs until all events are applied, without the delays."""
    while run_command(environment, "check_pending_webhooks", "--recover", "--grace", "0") < 0:
        pass
    for trouble in (TROUBLE, TROUBLE, "0"):
        left = StripeWebhook.objects.filter(is_parsed=False)
        left.update(retry_at=None, claimed_until=None)  # the claims of killed processes end
        run_command(environment | {"BUSY_TROUBLE": trouble}, "process_webhooks")


# The result


def assert_rows_match_stripe(fake):
    for charge in StripeCharge.objects.all():
        intent = fake.account.get("payment_intent", charge.stripe_payment_intent_id)
        is_paid = intent["status"] == "succeeded"
        assert charge.is_charged == is_paid, charge
        assert charge.charge_attempt_failed == (not is_paid), charge
        if is_paid:
            assert charge.stripe_charge_id == intent["latest_charge"], charge
            made = fake.account.get("charge", intent["latest_charge"])
            assert charge.amount_refunded == made["amount_refunded"], charge
            assert charge.is_refunded == made["refunded"], charge
    for customer in StripeCustomer.objects.all():
        known = fake.account.find("customer", customer.stripe_customer_id)
        assert customer.is_active != bool(known.get("deleted")), customer
        if customer.is_active:
            listed = stripe.Customer.list_payment_methods(customer.stripe_customer_id, limit=100)
            assert {it["id"] for it in customer.sources} == {it.id for it in listed.data}
    for subscription in StripeSubscription.objects.all():
        known = fake.account.get("subscription", subscription.stripe_subscription_id)
        assert subscription.status == known["status"], subscription
        assert subscription.at_period_end == known["cancel_at_period_end"], subscription
    stored = {it.coupon_id: it for it in StripeCoupon.objects.all()}
    known = {it["id"]: it for it in fake.account.all("coupon")}
    assert stored.keys() == known.keys()
    for coupon_id, coupon in stored.items():
        assert (coupon.name, coupon.metadata) == (
            known[coupon_id]["name"] or "",
            known[coupon_id]["metadata"],
        )


def test_each_event_is_stored_and_applied_once_despite_failures(
    noted, fake, chance, environment, site
):
    make_business(fake, chance)
    events = {event["id"] for event in fake.events}
    assert len(events) >= 2000

    statuses = deliver_badly(fake, chance, site)
    site.close()
    apply_all(environment)
    run_command(environment | {"BUSY_TROUBLE": "0"}, "charge_stripe")  # signals that are due

    assert {200, 201, 500, 0} <= statuses.keys()
    assert site.deaths > 3
    assert set(StripeWebhook.objects.values_list("pk", flat=True)) == events
    assert not StripeWebhook.objects.filter(is_parsed=False).exists()
    assert noted("busy_applied") == dict.fromkeys(events, 1)
    assert_rows_match_stripe(fake)
    charged = StripeCharge.objects.filter(is_charged=True).values_list("uuid", flat=True)
    assert noted("busy_signals") == {str(uuid): 1 for uuid in charged}
