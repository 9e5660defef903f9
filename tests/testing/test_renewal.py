"""Subscriptions while time passes: renewals, failed payments, trials and pauses."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise

import pytest

from aa_stripe.testing import FakeStripe
from tests.testing.conftest import (
    change_card,
    client_of,
    customer_with,
    plan_params,
    refusal_of,
    subscribe,
    types_of,
)

pytestmark = pytest.mark.usefixtures("still")

DAY = 24 * 60 * 60


def invoices_of(api, subscription):
    """Return the invoices of the subscription, oldest first."""
    return api.invoices.list({"subscription": subscription.id, "limit": 100}).data[::-1]


def status_of(api, subscription):
    return api.subscriptions.retrieve(subscription.id).status


def end_of(subscription):
    """Return the time at which the subscription's period ends."""
    return subscription["items"].data[0].current_period_end


# Periods


def test_a_good_card_is_charged_for_each_period(fake, api, subscription):
    before = len(fake.events)

    fake.advance(end_of(subscription) - fake.now)

    renewed = api.subscriptions.retrieve(subscription.id)
    (item,) = renewed["items"].data
    assert renewed.status == "active"
    assert item.current_period_start == end_of(subscription) < item.current_period_end
    first, second = invoices_of(api, subscription)
    assert (second.id, second.status, second.amount_paid) == (renewed.latest_invoice, "paid", 1000)
    assert (first.billing_reason, second.billing_reason) == (
        "subscription_create",
        "subscription_cycle",
    )
    assert types_of(fake)[before:] == [
        "customer.subscription.updated",
        "invoice.created",
        "payment_intent.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]
    assert {event["request"]["id"] for event in fake.events[before:]} == {None}
    assert set(fake.events[before]["data"]["previous_attributes"]) == {"items"}


def test_a_subscription_is_not_renewed_before_its_period_ends(fake, api, subscription):
    fake.advance(end_of(subscription) - fake.now - 60)

    assert len(invoices_of(api, subscription)) == 1


def test_many_periods_are_renewed_in_one_advance_each_at_its_time(fake, api, subscriber):
    api.plans.create(plan_params(id="gold", interval="week"))
    subscription = subscribe(api, subscriber)

    fake.advance(10 * 7 * DAY)

    made = [invoice.created for invoice in invoices_of(api, subscription)]
    assert len(made) == 11
    gaps = {round((later - earlier) / DAY, 2) for earlier, later in pairwise(made)}
    assert gaps == {7}


@pytest.mark.parametrize(
    ("interval", "count", "days"), [("day", 1, 1), ("week", 2, 14), ("day", 10, 10)]
)
def test_a_period_lasts_for_the_plans_interval(fake, api, subscriber, interval, count, days):
    api.plans.create(plan_params(id="gold", interval=interval, interval_count=count))

    subscription = subscribe(api, subscriber)

    assert end_of(subscription) - subscription.created == days * DAY


def test_the_day_of_renewal_is_kept_after_shorter_months(fake, api, subscriber, plan):
    begun = datetime(2031, 1, 31, 12, tzinfo=timezone.utc)
    fake.advance(begun.timestamp() - fake.now)
    subscription = subscribe(api, subscriber)

    fake.advance(100 * DAY)

    starts = [
        datetime.fromtimestamp(invoice.period_start, timezone.utc)
        for invoice in invoices_of(api, subscription)
    ]
    assert [(start.month, start.day) for start in starts] == [(1, 31), (2, 28), (3, 31), (4, 30)]


def test_a_yearly_period_that_begins_on_february_29_ends_on_february_28(fake, api, subscriber):
    api.plans.create(plan_params(id="gold", interval="year"))
    fake.advance(datetime(2032, 2, 29, 12, tzinfo=timezone.utc).timestamp() - fake.now)

    subscription = subscribe(api, subscriber)

    ends = datetime.fromtimestamp(end_of(subscription), timezone.utc)
    assert (ends.year, ends.month, ends.day) == (2033, 2, 28)


def test_several_subscriptions_are_renewed_in_order(fake, api, subscriber, plan):
    first = subscribe(api, subscriber)
    fake.advance(DAY)
    second = subscribe(api, subscriber)

    fake.advance(32 * DAY)

    renewed = [
        invoice["parent"]["subscription_details"]["subscription"]
        for invoice in fake.account.all("invoice")
    ]
    assert renewed == [first.id, second.id, first.id, second.id]


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("keep_as_draft", "draft"), ("mark_uncollectible", "uncollectible"), ("void", "void")],
)
def test_nothing_is_collected_while_the_collection_is_paused(
    fake, api, subscription, behavior, status
):
    api.subscriptions.update(subscription.id, {"pause_collection": {"behavior": behavior}})
    fake.advance(end_of(subscription) - fake.now)
    api.subscriptions.update(subscription.id, {"pause_collection": ""})
    fake.advance(31 * DAY)

    statuses = [invoice.status for invoice in invoices_of(api, subscription)]

    assert statuses == ["paid", status, "paid"]
    assert status_of(api, subscription) == "active"


def test_a_free_period_is_settled_also_while_the_collection_is_paused(fake, api, subscriber):
    api.plans.create(plan_params(id="gold", amount=0))
    subscription = subscribe(api, subscriber)
    api.subscriptions.update(subscription.id, {"pause_collection": {"behavior": "void"}})

    fake.advance(end_of(subscription) - fake.now)

    assert [it.status for it in invoices_of(api, subscription)] == ["paid", "paid"]


def test_a_pause_with_an_end_is_not_supported(api, subscription):
    pause = {"behavior": "void", "resumes_at": 2_000_000_000}

    error = refusal_of(api.subscriptions.update, subscription.id, {"pause_collection": pause})

    assert error.param == "pause_collection[resumes_at]"


def test_the_clock_cannot_go_back(fake, subscription):
    with pytest.raises(ValueError, match="must not be negative"):
        fake.advance(-1)


# Failed payments


def test_a_declining_card_is_retried_and_then_the_subscription_is_canceled(
    fake, api, subscriber, subscription
):
    change_card(api, subscriber, "pm_card_chargeCustomerFail")
    fake.advance(end_of(subscription) - fake.now + 60)

    due = api.invoices.retrieve(api.subscriptions.retrieve(subscription.id).latest_invoice)
    assert status_of(api, subscription) == "past_due"
    assert (due.status, due.attempt_count) == ("open", 1)
    assert due.next_payment_attempt == pytest.approx(end_of(subscription) + 3 * DAY, abs=2)
    assert types_of(fake)[-2:] == ["invoice.payment_failed", "customer.subscription.updated"]
    for days, attempts in ((3, 2), (5, 3)):
        fake.advance(days * DAY)
        assert api.invoices.retrieve(due.id).attempt_count == attempts
        assert status_of(api, subscription) == "past_due"
    fake.advance(7 * DAY)

    ended = api.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    assert ended.ended_at == ended.canceled_at
    assert api.invoices.retrieve(due.id).next_payment_attempt is None
    assert types_of(fake)[-1] == "customer.subscription.deleted"
    assert len(api.charges.list({"customer": subscriber.id}).data) == 1 + 4
    fake.advance(100 * DAY)
    assert len(invoices_of(api, subscription)) == 2


@pytest.mark.parametrize("status", ["unpaid", "past_due"])
def test_the_status_after_the_last_retry_can_be_chosen(status):
    fake = FakeStripe(after_last_retry=status)
    api = client_of(fake)
    api.plans.create(plan_params(id="gold", interval="year"))
    customer = customer_with(api)
    subscription = subscribe(api, customer)
    change_card(api, customer, "pm_card_chargeCustomerFail")

    fake.advance(400 * DAY)
    assert status_of(api, subscription) == status

    change_card(api, customer, "pm_card_visa")
    latest = api.subscriptions.retrieve(subscription.id).latest_invoice
    assert api.invoices.pay(latest).status == "paid"
    assert status_of(api, subscription) == "active"


def test_an_unknown_status_after_the_last_retry_is_an_error():
    with pytest.raises(ValueError, match="canceled, unpaid, past_due"):
        FakeStripe(after_last_retry="forgotten")


def test_an_unpaid_subscription_is_renewed_with_draft_invoices():
    fake = FakeStripe(after_last_retry="unpaid")
    api = client_of(fake)
    api.plans.create(plan_params(id="gold"))
    customer = customer_with(api)
    subscription = subscribe(api, customer)
    change_card(api, customer, "pm_card_chargeCustomerFail")

    fake.advance(65 * DAY)

    assert status_of(api, subscription) == "unpaid"
    latest = invoices_of(api, subscription)[-1]
    assert (latest.status, latest.auto_advance, latest.attempt_count) == ("draft", False, 0)
    assert "Only an open invoice" in str(refusal_of(api.invoices.pay, latest.id).user_message)


def test_a_replaced_card_pays_the_open_invoice_on_the_next_retry(
    fake, api, subscriber, subscription
):
    change_card(api, subscriber, "pm_card_chargeCustomerFail")
    fake.advance(end_of(subscription) - fake.now + DAY)
    change_card(api, subscriber, "pm_card_visa")

    fake.advance(3 * DAY)

    assert status_of(api, subscription) == "active"
    assert [invoice.status for invoice in invoices_of(api, subscription)] == ["paid", "paid"]
    assert types_of(fake)[-1] == "customer.subscription.updated"
    assert fake.events[-1]["data"]["previous_attributes"] == {"status": "past_due"}


def test_the_customer_can_pay_a_past_due_invoice_in_the_browser(
    fake, api, subscriber, subscription
):
    change_card(api, subscriber, "pm_card_authenticationRequired")
    fake.advance(end_of(subscription) - fake.now + DAY)
    assert status_of(api, subscription) == "past_due"
    latest = api.subscriptions.retrieve(
        subscription.id, {"expand": ["latest_invoice.payments"]}
    ).latest_invoice
    intent = latest.payments.data[0].payment.payment_intent

    api.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})

    assert status_of(api, subscription) == "active"


def test_a_renewal_without_a_card_is_a_failed_attempt(fake, api, subscriber, subscription):
    api.customers.update(subscriber.id, {"invoice_settings": {"default_payment_method": ""}})

    fake.advance(end_of(subscription) - fake.now + 60)

    assert status_of(api, subscription) == "past_due"
    assert types_of(fake)[-2:] == ["invoice.payment_failed", "customer.subscription.updated"]
    latest = invoices_of(api, subscription)[-1]
    assert "no attached payment source" in str(refusal_of(api.invoices.pay, latest.id).user_message)
    fake.advance(3 * DAY)
    assert api.invoices.retrieve(latest.id).attempt_count == 2


def test_paying_an_older_invoice_does_not_activate_the_subscription(fake, api, subscriber):
    api.plans.create(plan_params(id="gold", interval="day"))
    subscription = subscribe(api, subscriber)
    change_card(api, subscriber, "pm_card_chargeCustomerFail")
    fake.advance(2 * DAY + 60)
    _, older, newer = invoices_of(api, subscription)
    change_card(api, subscriber, "pm_card_visa")

    api.invoices.pay(older.id)
    assert status_of(api, subscription) == "past_due"

    api.invoices.pay(newer.id)
    assert status_of(api, subscription) == "active"


def test_a_failed_older_invoice_does_not_change_the_status(fake, api, subscriber):
    api.plans.create(plan_params(id="gold", interval="day"))
    subscription = subscribe(api, subscriber)
    bad = change_card(api, subscriber, "pm_card_chargeCustomerFail")
    fake.advance(2 * DAY + 60)
    _, older, newer = invoices_of(api, subscription)
    change_card(api, subscriber, "pm_card_visa")
    api.invoices.pay(newer.id)

    with pytest.raises(Exception, match="declined"):
        api.invoices.pay(older.id, {"payment_method": bad.id})

    assert status_of(api, subscription) == "active"


def test_a_subscription_with_a_short_period_is_canceled_after_the_last_retry(fake, api, subscriber):
    api.plans.create(plan_params(id="gold", interval="week"))
    subscription = subscribe(api, subscriber)
    change_card(api, subscriber, "pm_card_chargeCustomerFail")

    fake.advance(60 * DAY)

    ended = api.subscriptions.retrieve(subscription.id)
    assert ended.status == "canceled"
    assert ended.ended_at == pytest.approx(end_of(subscription) + 15 * DAY, abs=10)


def test_voiding_the_open_invoice_activates_the_subscription(fake, api, subscriber, subscription):
    change_card(api, subscriber, "pm_card_chargeCustomerFail")
    fake.advance(end_of(subscription) - fake.now + 60)
    latest = api.subscriptions.retrieve(subscription.id).latest_invoice

    assert api.invoices.void_invoice(latest).status == "void"

    assert status_of(api, subscription) == "active"
    assert refusal_of(api.invoices.void_invoice, latest).http_status == 400
    (payment,) = api.invoice_payments.list({"invoice": latest}).data
    assert payment.status == "canceled"


def test_an_open_invoice_is_collected_only_by_hand_after_the_cancellation(
    fake, api, subscriber, subscription
):
    change_card(api, subscriber, "pm_card_chargeCustomerFail")
    fake.advance(end_of(subscription) - fake.now + 60)
    latest = api.subscriptions.retrieve(subscription.id).latest_invoice
    api.subscriptions.cancel(subscription.id)
    charges = len(fake.account.all("charge"))

    fake.advance(30 * DAY)
    assert len(fake.account.all("charge")) == charges
    with pytest.raises(Exception, match="declined"):
        api.invoices.pay(latest)
    assert api.invoices.retrieve(latest).next_payment_attempt is None

    change_card(api, subscriber, "pm_card_visa")
    assert api.invoices.pay(latest).status == "paid"
    assert status_of(api, subscription) == "canceled"


# Trials


@pytest.fixture
def with_trial(api):
    """The plan with a trial of 14 days."""
    return api.plans.create(plan_params(id="gold", trial_period_days=14))


def test_a_plans_trial_is_used_only_when_it_is_requested(fake, api, subscriber, with_trial):
    before = len(fake.events)
    trial = subscribe(api, subscriber, trial_from_plan=True)
    without = subscribe(api, subscriber)

    assert (trial.status, without.status) == ("trialing", "active")
    assert trial.trial_start == trial.created
    assert trial.trial_end == end_of(trial) == trial.billing_cycle_anchor
    assert trial.trial_end == trial.created + 14 * DAY
    invoice = api.invoices.retrieve(trial.latest_invoice)
    assert (invoice.total, invoice.status, invoice.attempt_count) == (0, "paid", 0)
    assert invoice.lines.data[0].description == "Trial period for Gold"
    assert types_of(fake)[before : before + 5] == [
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.created",
    ]


def test_there_is_no_trial_from_a_plan_without_one(api, subscriber, plan):
    assert subscribe(api, subscriber, trial_from_plan=True).status == "active"


@pytest.mark.parametrize("params", [{"trial_period_days": 0}, {"trial_end": "now"}])
def test_a_subscription_can_be_created_without_a_trial(api, subscriber, with_trial, params):
    assert subscribe(api, subscriber, **params).status == "active"


def test_the_trial_days_of_the_subscription_override_the_plans(api, subscriber, with_trial):
    trial = subscribe(api, subscriber, trial_from_plan=True, trial_period_days=30)

    assert trial.trial_end == trial.created + 30 * DAY


def test_a_trial_needs_no_card(api, with_trial):
    assert subscribe(api, api.customers.create(), trial_from_plan=True).status == "trialing"


def test_the_end_of_a_trial_is_announced_and_then_the_period_is_paid(
    fake, api, subscriber, with_trial
):
    trial = subscribe(api, subscriber, trial_from_plan=True)
    assert "customer.subscription.trial_will_end" not in types_of(fake)

    fake.advance(11 * DAY + 60)
    assert types_of(fake)[-1] == "customer.subscription.trial_will_end"
    fake.advance(3 * DAY)

    begun = api.subscriptions.retrieve(trial.id)
    assert begun.status == "active"
    assert begun["items"].data[0].current_period_start == trial.trial_end
    assert [invoice.total for invoice in invoices_of(api, trial)] == [0, 1000]
    assert types_of(fake).count("customer.subscription.trial_will_end") == 1


def test_the_end_of_a_short_trial_is_announced_immediately(fake, api, subscriber, plan):
    subscribe(api, subscriber, trial_end=fake.now + 3 * DAY)

    assert types_of(fake)[-1] == "customer.subscription.trial_will_end"
    fake.advance(5 * DAY)
    assert types_of(fake).count("customer.subscription.trial_will_end") == 1


def test_a_trial_that_ends_with_a_declining_card_is_past_due(fake, api, with_trial):
    trial = subscribe(api, customer_with(api, "pm_card_chargeCustomerFail"), trial_from_plan=True)

    fake.advance(14 * DAY + 60)

    assert status_of(api, trial) == "past_due"


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("create_invoice", "past_due"), ("pause", "paused"), ("cancel", "canceled")],
)
def test_the_trial_settings_decide_the_status_after_a_trial_without_a_card(
    fake, api, with_trial, behavior, status
):
    trial = subscribe(
        api,
        api.customers.create(),
        trial_from_plan=True,
        trial_settings={"end_behavior": {"missing_payment_method": behavior}},
    )

    fake.advance(14 * DAY + 60)

    ended = api.subscriptions.retrieve(trial.id)
    assert ended.status == status
    assert ended.ended_at == (trial.trial_end if status == "canceled" else None)


def test_an_invoice_is_created_after_a_trial_by_default(api, subscriber, with_trial):
    trial = subscribe(api, subscriber, trial_from_plan=True)

    assert trial.trial_settings.end_behavior.missing_payment_method == "create_invoice"


def test_a_subscription_canceled_in_its_trial_is_never_charged(fake, api, subscriber, with_trial):
    trial = subscribe(api, subscriber, trial_from_plan=True)
    api.subscriptions.update(trial.id, {"cancel_at_period_end": True})

    fake.advance(60 * DAY)

    ended = api.subscriptions.retrieve(trial.id)
    assert (ended.status, ended.ended_at) == ("canceled", trial.trial_end)
    assert fake.account.all("charge") == []


def test_a_trial_can_be_ended_immediately(api, subscriber, with_trial):
    trial = subscribe(api, subscriber, trial_from_plan=True)

    begun = api.subscriptions.update(trial.id, {"trial_end": "now"})

    assert begun.status == "active"
    assert [invoice.total for invoice in invoices_of(api, trial)] == [0, 1000]
    again = api.subscriptions.update(trial.id, {"trial_end": "now"})
    assert again.latest_invoice == begun.latest_invoice


def test_a_trial_can_be_extended(fake, api, subscriber, with_trial):
    trial = subscribe(api, subscriber, trial_from_plan=True)
    fake.advance(12 * DAY)
    later = fake.now + 20 * DAY

    longer = api.subscriptions.update(trial.id, {"trial_end": later})

    assert (longer.trial_end, end_of(longer)) == (later, later)
    fake.advance(10 * DAY)
    assert status_of(api, trial) == "trialing"
    fake.advance(11 * DAY)
    assert status_of(api, trial) == "active"
    assert types_of(fake).count("customer.subscription.trial_will_end") == 2


def test_a_trial_cannot_be_added_to_an_active_subscription(fake, api, subscription):
    error = refusal_of(api.subscriptions.update, subscription.id, {"trial_end": fake.now + 5 * DAY})

    assert error.param == "trial_end"


# Pauses


@pytest.fixture
def paused(fake, api, with_trial):
    """A subscription whose trial ended without a card."""
    trial = subscribe(
        api,
        api.customers.create(),
        trial_from_plan=True,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )
    fake.advance(14 * DAY + 60)
    return api.subscriptions.retrieve(trial.id)


def test_a_pause_sends_an_event_and_has_no_end(fake, api, paused):
    assert types_of(fake)[-2:] == ["customer.subscription.updated", "customer.subscription.paused"]

    fake.advance(365 * DAY)

    assert status_of(api, paused) == "paused"
    assert len(invoices_of(api, paused)) == 1


def test_a_paused_subscription_is_resumed_when_its_invoice_is_paid(fake, api, paused):
    change_card(api, api.customers.retrieve(paused.customer), "pm_card_visa")

    resumed = api.subscriptions.resume(paused.id)

    assert resumed.status == "active"
    assert resumed["items"].data[0].current_period_start == fake.now
    assert types_of(fake)[-2:] == [
        "customer.subscription.updated",
        "customer.subscription.resumed",
    ]
    assert refusal_of(api.subscriptions.resume, paused.id).http_status == 400


def test_a_resumed_subscription_stays_paused_until_its_invoice_is_paid(api, paused):
    customer = api.customers.retrieve(paused.customer)
    change_card(api, customer, "pm_card_chargeCustomerFail")

    resumed = api.subscriptions.resume(paused.id)

    assert resumed.status == "paused"
    change_card(api, customer, "pm_card_visa")
    api.invoices.pay(resumed.latest_invoice)
    assert status_of(api, paused) == "active"


@pytest.mark.parametrize("as_object", [False, True])
def test_resuming_with_an_unchanged_billing_anchor_is_refused(api, paused, as_object):
    """The anchor is a string up to version 15 of the SDK, and an object later."""
    sent = {"type": "unchanged"} if as_object else "unchanged"

    error = refusal_of(api.subscriptions.resume, paused.id, {"billing_cycle_anchor": sent})

    assert error.param == "billing_cycle_anchor"


def test_a_paused_subscription_can_be_canceled(api, paused):
    assert api.subscriptions.cancel(paused.id).status == "canceled"
