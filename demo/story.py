"""The steps of the demo. Each result is checked in the database and at Stripe, then printed."""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from datetime import datetime, timezone
from typing import Any

import stripe
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.dispatch import receiver
from django.test import Client
from django.urls import reverse

from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeCustomer,
    StripeSubscription,
    StripeSubscriptionPlan,
    StripeWebhook,
)
from aa_stripe.money import format_money
from aa_stripe.signals import (
    stripe_charge_card_exception,
    stripe_charge_refunded,
    stripe_charge_succeeded,
)
from aa_stripe.testing import signed

# Stripe's test cards: https://docs.stripe.com/testing
GOOD_CARD = "pm_card_visa"
DECLINING_CARD = "pm_card_chargeCustomerFail"  # can be saved, then declines every payment


#: Options of ``check_pending_webhooks``: how far it looks back, and when an event is missing.
RECENT = ("--since", "0.01", "--grace", "0")

#: Maximum number of seconds until Stripe lists an event.
EVENTS_WAIT = 30


class Unexpected(Exception):
    """A result that differs from the expected one."""


def run() -> None:
    """Run all steps. Raise ``Unexpected``, or the SDK's error if Stripe rejects the key."""
    stripe.Customer.list(limit=1)  # fails at once if Stripe rejects the key
    start = int(time.time())
    users = get_user_model().objects
    ann, bob = users.create_user("ann"), users.create_user("bob")

    print("\n1. Ann and Bob save a card over HTTP, as a front-end does.")
    say("Ann", save_card(ann, GOOD_CARD))
    say("Bob", save_card(bob, DECLINING_CARD))

    print("\n2. Ann is charged at once.")
    tickets = StripeCharge.objects.create(user=ann, amount=20_00, description="Two tickets")
    tickets.charge()
    check_paid(tickets, 20_00)
    say("Ann", f"{money(tickets.amount)} collected, {tickets.stripe_charge_id}")

    print("\n3. Bob's card is declined.")
    fee = StripeCharge.objects.create(user=bob, amount=35_00, description="A year's fee")
    check("what charge() returns", fee.charge(), None)
    check_declined(fee)
    say("Bob", f"{money(fee.amount)} not collected, {fee.failure_code}")

    print("\n4. A second charge of Ann is collected by cron, which runs charge_stripe.")
    shirt = StripeCharge.objects.create(user=ann, amount=12_50, description="A shirt")
    say("charge_stripe", output_of("charge_stripe"))
    check_paid(shirt, 12_50)
    say("Ann", f"{money(shirt.amount)} collected, {shirt.stripe_charge_id}")
    check_declined(fee)
    say("Bob", "skipped, a declined charge is not retried automatically")

    print("\n5. Ann gets a partial refund of the first payment.")
    tickets.refund(5_00)
    check_refunded(tickets, 5_00)
    say("Ann", f"{money(5_00)} refunded, {money(15_00)} kept, {tickets.stripe_refund_id}")

    print("\n6. The app creates a plan and a coupon, and Ann subscribes with them.")
    gold = StripeSubscriptionPlan.objects.create(
        name="aa_stripe demo", amount=40_00, interval=StripeSubscriptionPlan.INTERVAL_MONTH
    )
    gold.create_at_stripe()
    check_plan(gold, 40_00)
    say("Plan", f"{money(gold.amount)} a {gold.interval}, {gold.stripe_plan_id}")
    welcome = StripeCoupon.objects.create(
        name="aa_stripe demo", percent_off=25, duration=StripeCoupon.DURATION_ONCE
    )
    check_coupon(welcome, 25)
    say("Coupon", f"25 % off, {welcome.duration}, {welcome.coupon_id}")
    membership = StripeSubscription.objects.create(user=ann, plan=gold, coupon=welcome)
    membership.create_at_stripe()
    check_subscribed(membership, 30_00)
    say(
        "Ann", f"{money(30_00)} collected, {membership.status}, {membership.stripe_subscription_id}"
    )

    print("\n7. Ann cancels at the end of the paid period.")
    membership.cancel(at_period_end=True)
    end = check_ending(membership)
    say("Ann", f"{membership.status}, and ends on {end:%Y-%m-%d}")

    print("\n8. The rest of Ann's first payment is refunded in the Dashboard. Stripe sends")
    print("   webhooks, which arrive twice and in the wrong order.")
    stripe.Refund.create(charge=tickets.stripe_charge_id)
    say("Webhooks", deliver(events_until("charge.refunded", since=start, times=2)))
    check_refunded(tickets, 20_00)
    say("Ann", f"{money(20_00)} refunded, {tickets.stripe_charge_id}")

    print("\n9. The coupon is renamed in the Dashboard, and the webhook is lost. Cron recovers it.")
    stripe.Coupon.modify(welcome.coupon_id, name="aa_stripe demo, renamed")
    events_until("coupon.updated", since=start)
    say("check_pending_webhooks", output_of("check_pending_webhooks", *RECENT, "--recover"))
    check_renamed(welcome, "aa_stripe demo, renamed")
    say("Coupon", f'now "{welcome.name}"')

    check(
        "the number of signals",
        received,
        Counter(succeeded=2, card_exception=1, refunded=2),
    )
    print("\nAll of this was checked in the database and at Stripe.")


def save_card(user: Any, card: str) -> str:
    """Post ``card`` as ``user``; return a line that describes the new customer."""
    browser = Client(SERVER_NAME="127.0.0.1")
    browser.force_login(user)
    response = browser.post(
        reverse("stripe-customers"),
        {"stripe_js_response": {"id": card}},
        content_type="application/json",
    )
    check(f"the response to {user}'s card ({response.content.decode()})", response.status_code, 201)
    row = StripeCustomer.objects.get(user=user)
    known = stripe.Customer.retrieve(row.stripe_customer_id)
    check("the card", row.default_source, known.invoice_settings.default_payment_method)
    shown = row.default_source_data["card"]
    return f"{shown['brand']} ending in {shown['last4']} saved, {row.stripe_customer_id}"


def check_paid(charge: StripeCharge, amount: int) -> None:
    charge.refresh_from_db()
    intent = stripe.PaymentIntent.retrieve(charge.stripe_payment_intent_id)
    check("is_charged", charge.is_charged, True)
    check("Stripe's status", intent.status, "succeeded")
    check("what Stripe collected", intent.amount_received, amount)
    check("Stripe's charge", intent.latest_charge, charge.stripe_charge_id)


def check_declined(charge: StripeCharge) -> None:
    charge.refresh_from_db()
    intent = stripe.PaymentIntent.retrieve(charge.stripe_payment_intent_id)
    check("is_charged", charge.is_charged, False)
    check("charge_attempt_failed", charge.charge_attempt_failed, True)
    check("Stripe's status", intent.status, "requires_payment_method")
    check("Stripe's last attempt", intent.latest_charge, charge.stripe_charge_id)


def check_refunded(charge: StripeCharge, amount: int) -> None:
    charge.refresh_from_db()
    known = stripe.Charge.retrieve(charge.stripe_charge_id)
    check("amount_refunded", charge.amount_refunded, amount)
    check("what Stripe refunded", known.amount_refunded, amount)
    check("is_refunded", charge.is_refunded, amount == charge.amount)


def check_plan(plan: StripeSubscriptionPlan, amount: int) -> None:
    plan.refresh_from_db()
    known = stripe.Plan.retrieve(plan.stripe_plan_id, expand=["product"])
    check("is_created_at_stripe", plan.is_created_at_stripe, True)
    check("Stripe's price", (known.amount, known.currency), (amount, "usd"))
    check("Stripe's interval", (known.interval_count, known.interval), (1, plan.interval))
    check("the product", known.product.name, plan.name)


def check_coupon(coupon: StripeCoupon, percent: int) -> None:
    coupon.refresh_from_db()
    known = stripe.Coupon.retrieve(coupon.coupon_id)
    check("is_created_at_stripe", coupon.is_created_at_stripe, True)
    check("percent_off", coupon.percent_off, percent)
    check("what Stripe takes off", (known.percent_off, known.duration), (percent, "once"))
    check("the validity here and at Stripe", (coupon.valid, known.valid), (True, True))


def check_subscribed(subscription: StripeSubscription, amount: int) -> None:
    subscription.refresh_from_db()
    known = stripe.Subscription.retrieve(
        subscription.stripe_subscription_id, expand=["latest_invoice"]
    )
    [item] = known["items"].data
    check("has_access", subscription.has_access, True)
    check("Stripe's status", known.status, subscription.status)
    check("Stripe's customer", known.customer, subscription.customer.stripe_customer_id)
    check("Stripe's plan", item.price.id, subscription.plan.stripe_plan_id)
    check("what Stripe collected", known.latest_invoice.amount_paid, amount)


def check_ending(subscription: StripeSubscription) -> datetime:
    """Check a subscription that ends with its period; return the end."""
    subscription.refresh_from_db()
    known = stripe.Subscription.retrieve(subscription.stripe_subscription_id)
    [item] = known["items"].data
    check("is_ending", subscription.is_ending, True)
    check("Stripe's status", known.status, subscription.status)
    check("cancel_at_period_end", known.cancel_at_period_end, True)
    return datetime.fromtimestamp(item.current_period_end, timezone.utc)


def check_renamed(coupon: StripeCoupon, name: str) -> None:
    coupon.refresh_from_db()
    check(
        "the coupon's name",
        (coupon.name, stripe.Coupon.retrieve(coupon.coupon_id).name),
        (name,) * 2,
    )


def events_until(event_type: str, *, since: int, times: int = 1) -> list[stripe.Event]:
    """Return Stripe's events ``since`` a time, once it lists ``times`` events of the type."""
    for _ in range(EVENTS_WAIT):
        events = list(stripe.Event.list(created={"gte": since}, limit=100).auto_paging_iter())
        if sum(event.type == event_type for event in events) >= times:
            return events
        time.sleep(1)
    raise Unexpected(f"Stripe lists no event {event_type}.")


def deliver(events: list[stripe.Event]) -> str:
    """Deliver each event twice, the newest first, signed as Stripe signs them."""
    stripe_client = Client(SERVER_NAME="127.0.0.1")
    for event in [*events, *events]:
        body = json.dumps(event.to_dict(), default=str)
        response = stripe_client.post(
            reverse("stripe-webhooks"),
            body,
            content_type="application/json",
            headers=signed(body, settings.STRIPE_WEBHOOK_ENDPOINT_SECRET),
        )
        check(f"the response to {event.type}", response.status_code in (200, 201), True)
    rows = StripeWebhook.objects.filter(pk__in=[event.id for event in events])
    check("the number of events applied", rows.filter(is_parsed=True).count(), len(events))
    return f"{2 * len(events)} deliveries, {len(events)} events stored, each applied once"


def check(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Unexpected(f"Not as expected: {what} is {found!r} and should be {expected!r}.")


def output_of(*command: str) -> str:
    output = io.StringIO()
    call_command(*command, stdout=output, stderr=output)
    return ", ".join(output.getvalue().splitlines())


def money(amount: int) -> str:
    return format_money(amount, "usd")


def say(who: str, what: str) -> None:
    print(f"   {who}: {what}")


# Count the signals

received: Counter[str] = Counter()


@receiver(stripe_charge_succeeded)
def count_success(instance: StripeCharge, **kwargs: Any) -> None:
    received["succeeded"] += 1


@receiver(stripe_charge_card_exception)
def count_decline(instance: StripeCharge, exception: Exception, **kwargs: Any) -> None:
    received["card_exception"] += 1


@receiver(stripe_charge_refunded)
def count_refund(instance: StripeCharge, **kwargs: Any) -> None:
    received["refunded"] += 1
