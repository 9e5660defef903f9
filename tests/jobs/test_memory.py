"""Each job remembers when it last ended well."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from aa_stripe.jobs import check_pending_webhooks
from aa_stripe.models import StripeJobRun
from aa_stripe.testing import Fault
from tests.jobs.events import add_event
from tests.support.statements import about_the_run

JOBS = [
    "charge_stripe",
    "check_pending_webhooks",
    "end_subscriptions",
    "process_webhooks",
    "refresh_coupons",
    "refresh_customers",
    "refresh_subscriptions",
]

ASK_STRIPE = {
    "check_pending_webhooks": "GET /v1/events",
    "refresh_coupons": "GET /v1/coupons",
    "refresh_customers": "GET /v1/customers",
    "refresh_subscriptions": "GET /v1/subscriptions",
}

pytestmark = pytest.mark.django_db


def ended_well(job):
    return StripeJobRun.objects.filter(pk=job).values_list("ended_well", flat=True).first()


@pytest.mark.parametrize("job", JOBS)
def test_a_job_remembers_when_it_ended_well(fake, run, job):
    before = timezone.now()

    run(job)

    assert before <= ended_well(job) <= timezone.now()
    assert StripeJobRun.objects.count() == 1


@pytest.mark.parametrize("job", JOBS)
def test_a_later_run_is_remembered_in_the_same_row(fake, run, job):
    run(job)
    long_ago = timezone.now() - timedelta(days=1)
    StripeJobRun.objects.update(ended_well=long_ago)

    with CaptureQueriesContext(connection) as captured:
        run(job)

    assert ended_well(job) > long_ago
    assert StripeJobRun.objects.count() == 1
    assert len([sql for sql in about_the_run(captured) if sql.startswith("UPDATE")]) == 1


@pytest.mark.parametrize("job", ASK_STRIPE)
def test_a_run_that_fails_is_not_remembered(fake, run, job):
    fake.fail_next(ASK_STRIPE[job], Fault.ERROR_500_BEFORE)

    ran = run(job)

    assert ran.status == 1
    assert ended_well(job) is None


@pytest.mark.parametrize("job", JOBS)
def test_a_dry_run_is_not_remembered(fake, run, job):
    run(job, "--dry-run")

    assert ended_well(job) is None


@pytest.mark.parametrize(("threshold", "is_remembered"), [(1, True), (0, False)])
def test_a_check_with_too_many_missing_events_is_not_remembered(
    fake, settings, threshold, is_remembered
):
    settings.STRIPE_PENDING_WEBHOOKS_THRESHOLD = threshold
    add_event(fake)

    check_pending_webhooks()

    assert (ended_well("check_pending_webhooks") is not None) == is_remembered


def test_a_row_that_another_process_inserts_meanwhile_is_updated(db, monkeypatch):
    StripeJobRun.remember("charge_stripe", ended_well=timezone.now() - timedelta(days=1))
    now = timezone.now()

    def find_no_row(self, **values):
        monkeypatch.undo()
        return 0

    monkeypatch.setattr(QuerySet, "update", find_no_row)

    StripeJobRun.remember("charge_stripe", ended_well=now)

    assert ended_well("charge_stripe") == now
