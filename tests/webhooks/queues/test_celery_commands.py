"""The management commands as Celery tasks, in a real worker."""

from __future__ import annotations

import pytest
from django.utils import timezone

from aa_stripe.contrib import celery as tasks
from aa_stripe.exceptions import StripePendingWebhooksLimitExceeded
from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeSubscription,
    StripeSubscriptionPlan,
)
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer
from tests.support.processes import TIMEOUT
from tests.webhooks.effects import effects_of, stored_event


def test_a_worker_collects_charges(fake, celery_queue, start_celery, transactional_db):
    customer = make_customer()
    charges = [make_charge(customer) for _ in range(3)]
    start_celery()

    output = tasks.charge_stripe.delay("--limit", "2").get(TIMEOUT)

    assert output == "collected: 2 (20.00 USD)\n"
    assert list(StripeCharge.objects.pending()) == charges[2:]


def test_a_command_that_fails_does_not_end_the_worker(
    fake, celery_queue, start_celery, transactional_db
):
    charge = make_charge(make_customer())
    fake.fail_next("POST /v1/payment_intents", Fault.ERROR_500_BEFORE)
    worker = start_celery()

    with pytest.raises(tasks.JobFailed, match=f"Charge id: {charge.pk}\n(?s:.)*failed: 1"):
        tasks.charge_stripe.delay().get(TIMEOUT)

    assert tasks.refresh_customers.delay().get(TIMEOUT) == "unchanged: 1\n"
    assert worker.poll() is None


def test_a_worker_applies_events_that_were_not_applied_or_never_arrived(
    fake, celery_queue, start_celery, transactional_db
):
    late = stored_event()
    fake.dashboard_create_coupon(id="SALE", percent_off=10, duration="once")
    start_celery()

    with pytest.raises(StripePendingWebhooksLimitExceeded, match=": 1 event"):
        tasks.check_pending_webhooks.delay("--grace", "0").get(TIMEOUT)
    fetched = tasks.check_pending_webhooks.delay("--grace", "0", "--recover").get(TIMEOUT)
    applied = tasks.process_webhooks.delay().get(TIMEOUT)

    assert fetched == "missing: 1\napplied: 1\n"
    assert StripeCoupon.objects.get().coupon_id == "SALE"
    assert applied == "applied: 1\n"
    assert effects_of(late) == ["worker"]


@pytest.fixture
def work(fake, transactional_db):
    """Rows and events that give each command something to do."""
    customer = make_customer()
    make_charge(customer)
    make_charge(customer)
    plan = StripeSubscriptionPlan.objects.create(name="gold", amount=900, interval="month")
    plan.create_at_stripe()
    StripeSubscription.objects.create(
        user=customer.user, plan=plan, end_date=timezone.localdate()
    ).create_at_stripe()
    fake.dashboard_create_coupon(id="SALE", percent_off=10, duration="once")
    stored_event()


@pytest.mark.parametrize(
    ("task", "arguments", "output"),
    [
        (tasks.charge_stripe, ["--limit", "1"], "would be collected: 1 (10.00 USD)\n"),
        (tasks.end_subscriptions, [], "would be canceled: 1\n"),
        (tasks.refresh_coupons, [], "would be created: 1\n"),
        (tasks.refresh_customers, [], "would be updated: 1\n"),
        (tasks.process_webhooks, [], "would be applied: 1\n"),
        (tasks.check_pending_webhooks, ["--grace", "0"], "missing: "),
    ],
)
def test_a_task_runs_the_command_of_its_name_with_its_arguments(work, task, arguments, output):
    result = task.apply(args=["--dry-run", *arguments])

    assert result.get().startswith(output)
