"""The command that ends the due subscriptions."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from aa_stripe.models import StripeSubscription
from aa_stripe.testing import Fault
from tests.support.builders import make_subscription
from tests.support.clock import let_pass

pytestmark = pytest.mark.django_db

RETRIEVE = "GET /v1/subscriptions/*"


@pytest.fixture
def due(db, fake):
    rows = [make_subscription(end_date=timezone.localdate()) for _ in range(2)]
    for row in rows:
        row.create_at_stripe()
    return rows


def run(*options, command="end_subscriptions"):
    out = io.StringIO()
    try:
        call_command(command, *options, stdout=out)
    except SystemExit as end:
        return out.getvalue(), end.code
    return out.getvalue(), 0


@pytest.mark.parametrize("command", ["end_subscriptions", "end_subscription"])
def test_due_subscriptions_end_with_their_period(due, command):
    out, status = run(command=command)

    assert status == 0
    assert "set to end with the period: 2" in out
    assert StripeSubscription.objects.filter(status="active", at_period_end=True).count() == 2


def test_due_subscriptions_can_be_canceled_now(due):
    out, _ = run("--now")

    assert "canceled: 2" in out
    assert StripeSubscription.objects.filter(status="canceled").count() == 2


def test_a_second_run_finds_nothing_to_do(due, fake):
    run()
    fake.requests.clear()

    run()

    assert fake.requests == []


def test_a_subscription_that_already_ended_at_stripe_is_counted_separately(due, fake):
    fake.account.get("subscription", due[0].stripe_subscription_id)["status"] = "canceled"

    out, _ = run()

    assert "already ended at Stripe: 1" in out
    assert "set to end with the period: 1" in out


def test_a_failed_subscription_does_not_stop_the_others(due, fake):
    fake.fail_next(RETRIEVE, Fault.ERROR_500_BEFORE)

    out, status = run()

    assert status == 1
    assert "Exception happened" in out
    assert f"Subscription id: {due[0].pk}" in out
    assert StripeSubscription.objects.get(at_period_end=True) == due[1]


def test_a_subscription_that_fails_waits_so_that_a_limit_reaches_the_others(due, fake):
    for expected in (due[0], due[1]):
        fake.fail_next(RETRIEVE, Fault.ERROR_500_BEFORE)

        out, _ = run("--limit", "1")

        assert f"Subscription id: {expected.pk}" in out


def test_a_subscription_that_failed_is_tried_again_later(due, fake):
    fake.fail_next(RETRIEVE, Fault.ERROR_500_BEFORE)
    run()
    let_pass(fake, timedelta(minutes=2))

    out, status = run()

    assert status == 0
    assert "set to end with the period: 1" in out
    row = StripeSubscription.objects.get(pk=due[0].pk)
    assert (row.attempts, row.retry_at) == (0, None)


def test_a_rejected_api_key_delays_no_subscription(due, settings):
    settings.STRIPE_API_KEY = "invalid"

    _, status = run()

    assert status == 1
    assert not StripeSubscription.objects.exclude(retry_at=None).exists()


def test_a_dry_run_changes_nothing(due, fake):
    fake.requests.clear()

    out, _ = run("--dry-run")

    assert "would be canceled: 2" in out
    assert fake.requests == []
    assert not StripeSubscription.objects.filter(at_period_end=True).exists()


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_the_number_of_rows_can_be_limited(due, more):
    out, _ = run("--limit", "1", *more)

    assert ": 1" in out


def test_a_subscription_that_ended_meanwhile_is_skipped(due, fake):
    def end_the_other(request):
        if request.method == "GET":
            fake.before_request.clear()
            due[1].cancel()

    fake.before_request.append(end_the_other)

    out, status = run()

    assert status == 0
    assert "skipped (already settled by another process): 1" in out
