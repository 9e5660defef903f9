"""A payment of a subscription that the customer has to authenticate (3-D Secure)."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
import stripe

from aa_stripe.jobs import refresh_subscriptions
from aa_stripe.models import StripeSubscription
from aa_stripe.signals import stripe_subscription_requires_action
from aa_stripe.testing import Fault
from tests.support.builders import make_subscription
from tests.support.requests import calls
from tests.support.signals import connected
from tests.webhooks.account import deliver, newest

ALWAYS = "tok_authenticationRequired"
PAYMENTS = "GET /v1/invoice_payments"
NEEDED = "invoice.payment_action_required"
MONTH = timedelta(days=31).total_seconds()

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked():
    """The keys of the rows for which the signal was sent."""
    keys = []

    def receive(sender, instance, **kwargs):
        assert sender is StripeSubscription
        assert instance.requires_action
        keys.append(instance.pk)

    with connected(stripe_subscription_requires_action, receive):
        yield keys


@pytest.fixture
def unauthenticated(db, fake, asked):
    """A subscription whose first payment has to be authenticated."""
    subscription = make_subscription(card=ALWAYS)
    subscription.create_at_stripe()
    return subscription


def stored():
    return StripeSubscription.objects.get()


def intent_of(fake, subscription):
    """Return the payment intent of the subscription's latest invoice."""
    known = fake.account.get("subscription", subscription.stripe_subscription_id)
    [payment] = stripe.InvoicePayment.list(invoice=known["latest_invoice"]).data
    return stripe.PaymentIntent.retrieve(payment.payment.payment_intent)


def confirm(fake, subscription):
    """Confirm the payment as the customer does in a browser; return its intent."""
    return stripe.PaymentIntent.confirm(
        intent_of(fake, subscription).id,
        payment_method=subscription.customer.default_source,
        return_url="https://example.com/",
    )


def authenticate(fake, subscription):
    """Pay as the customer does in a browser, and pass 3-D Secure."""
    intent = confirm(fake, subscription)
    fake.complete_authentication(intent.id)


# The first payment


def test_the_need_is_known_and_announced_when_the_subscription_is_created(unauthenticated, asked):
    row = stored()
    assert (row.status, row.requires_action, row.has_access) == ("incomplete", True, False)
    assert asked == [row.pk]


def test_it_is_announced_once(unauthenticated, fake, asked):
    deliver(fake, *[it for it in fake.events if it["type"].startswith(("invoice.", "customer."))])
    stored().refresh_from_stripe()
    refresh_subscriptions(everything=True)

    assert asked == [unauthenticated.pk]


def test_it_is_known_after_the_event_if_the_response_was_lost(db, fake, asked):
    fake.fail_next("POST /v1/subscriptions", Fault.ANSWER_LOST)
    subscription = make_subscription(card=ALWAYS)
    with pytest.raises(stripe.APIConnectionError):
        subscription.create_at_stripe()

    deliver(fake, newest(fake, "customer.subscription.created"))

    assert stored().requires_action
    assert asked == [subscription.pk]


def test_an_error_after_the_creation_is_logged_and_the_event_announces(db, fake, asked, caplog):
    caplog.set_level(logging.WARNING, logger="aa-stripe")
    subscription = make_subscription(card=ALWAYS)
    fake.fail_next(PAYMENTS, Fault.ERROR_500_BEFORE)

    subscription.create_at_stripe()

    assert (stored().status, stored().requires_action, asked) == ("incomplete", False, [])
    assert "was created, but not refreshed" in caplog.text

    deliver(fake, newest(fake, NEEDED))

    assert stored().requires_action
    assert asked == [subscription.pk]


def test_a_paid_subscription_needs_nothing_and_takes_no_request_for_it(unauthenticated, fake):
    authenticate(fake, unauthenticated)
    fake.requests.clear()

    deliver(fake, newest(fake, "customer.subscription.updated"))

    row = stored()
    assert (row.status, row.requires_action, row.has_access) == ("active", False, True)
    assert calls(fake) == ["GET /v1/subscriptions/*"]


def test_an_ended_subscription_needs_nothing(unauthenticated):
    unauthenticated.cancel()

    assert (stored().status, stored().requires_action) == ("incomplete_expired", False)


def test_a_payment_that_failed_authentication_needs_another_card(unauthenticated, fake):
    intent = confirm(fake, unauthenticated)
    assert intent.status == "requires_action"
    unauthenticated.refresh_from_stripe()
    assert stored().requires_action
    fake.fail_authentication(intent.id)

    deliver(fake, newest(fake, "invoice.payment_failed"))

    assert (stored().status, stored().requires_action) == ("incomplete", False)


@pytest.mark.parametrize("behavior", ["allow_incomplete", "default_incomplete"])
def test_a_declined_or_unconfirmed_payment_needs_no_authentication(db, fake, settings, behavior):
    settings.STRIPE_SUBSCRIPTION_PAYMENT_BEHAVIOR = behavior
    subscription = make_subscription(card="tok_chargeCustomerFail")

    subscription.create_at_stripe()

    assert (stored().status, stored().requires_action) == ("incomplete", False)


def test_no_client_secret_is_stored(unauthenticated, fake):
    assert "_secret_" not in str(stored().stripe_response)


# Renewals


def test_each_invoice_is_announced(db, fake, asked):
    subscription = make_subscription()
    subscription.create_at_stripe()
    subscription.customer.add_new_source(ALWAYS)

    for _ in range(2):
        fake.advance(MONTH)
        deliver(fake, newest(fake, NEEDED))
        assert (stored().status, stored().requires_action) == ("past_due", True)
        authenticate(fake, subscription)
        deliver(fake, newest(fake, "invoice.paid"))
        assert (stored().status, stored().requires_action) == ("active", False)

    assert stored().latest_invoice_id == stored().announced_invoice_id
    assert asked == [subscription.pk] * 2


# Crashes


class WentWrong(Exception):
    pass


def test_the_signal_stays_due_if_a_receiver_fails(db, fake):
    def fail(sender, instance, **kwargs):
        StripeSubscription.objects.update(tax_percent=7)
        raise WentWrong

    subscription = make_subscription(card=ALWAYS)
    with (
        connected(stripe_subscription_requires_action, fail),
        pytest.raises(WentWrong),
    ):
        subscription.create_at_stripe()

    row = stored()
    assert (row.status, row.requires_action, row.tax_percent) == ("incomplete", True, 0)
    assert list(StripeSubscription.objects.with_signal_due()) == [row]
    assert subscription.announced_invoice_id == ""


def test_a_due_signal_is_sent_by_the_next_refresh(unauthenticated, asked):
    asked.clear()
    StripeSubscription.objects.update(announced_invoice_id="")

    refresh_subscriptions(dry_run=True)
    assert asked == []

    refresh_subscriptions()

    assert asked == [unauthenticated.pk]


def test_an_old_object_sends_no_second_signal(unauthenticated, asked):
    stale = stored()
    stale.announced_invoice_id = ""

    stale.send_due_signals()

    assert asked == [unauthenticated.pk]


def test_an_old_object_of_a_paid_subscription_sends_no_signal(unauthenticated, fake, asked):
    asked.clear()
    stale = stored()
    stale.announced_invoice_id = ""
    authenticate(fake, unauthenticated)
    StripeSubscription.objects.update(announced_invoice_id="")
    stored().refresh_from_stripe()

    stale.send_due_signals()

    assert asked == []
