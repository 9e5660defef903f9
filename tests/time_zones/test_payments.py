"""Charges, refunds, events and jobs, with and without ``USE_TZ``, in each time zone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aa_stripe.jobs import charge_pending
from aa_stripe.models import StripeCharge, StripeJobRun, StripeRefund, StripeWebhook
from aa_stripe.models.claims import is_free, take
from aa_stripe.models.now import DatabaseNow
from aa_stripe.testing import Fault
from tests.admin.conftest import list_url, row_url, rows  # noqa: F401 (a fixture)
from tests.api.requests import charge_url
from tests.jobs.conftest import run  # noqa: F401 (a fixture)
from tests.jobs.events import add_event
from tests.support.builders import make_charge, make_customer, make_subscription
from tests.support.claims import let_holder_die
from tests.support.clients import signed_in
from tests.support.payments import paid
from tests.support.rows import row_of
from tests.time_zones.conftest import is_recent
from tests.webhooks.account import NEW, deliver, errors, events_of

pytestmark = pytest.mark.django_db

CONFIRM = "POST /v1/payment_intents/*/confirm"
REFUND = "POST /v1/refunds"


def is_between(row, name, first, last):
    """Return whether the time is that far in the future, by the database's clock."""
    is_ahead = {f"{name}__gte": DatabaseNow(first), f"{name}__lte": DatabaseNow(last)}
    return type(row).objects.filter(pk=row.pk, **is_ahead).exists()


def minutes(number):
    return timedelta(minutes=number)


# Claims


@pytest.fixture(params=["charge", "refund", "subscription"])
def claimable(request, fake):
    if request.param == "subscription":
        return make_subscription()
    charge = make_charge()
    return charge if request.param == "charge" else charge.refunds.create(amount=100)


def test_a_claim_lasts_five_minutes(claimable):
    assert take(claimable) is not None

    assert is_between(claimable, "claimed_until", minutes(4), minutes(5))
    assert take(claimable) is None
    assert not type(claimable).objects.filter(is_free(), pk=claimable.pk).exists()


def test_the_claim_of_a_process_that_died_can_be_taken(claimable):
    let_holder_die(claimable)

    assert take(claimable) is not None
    assert row_of(claimable).is_unsettled
    assert is_between(claimable, "retry_at", minutes(59), minutes(60))


# Charges and refunds


def test_a_charge_is_collected_and_refunded(fake, run):  # noqa: F811
    charge = make_charge()

    assert run("charge_stripe").status == 0

    row = row_of(charge)
    assert row.is_charged
    assert is_recent(row.created)
    assert is_recent(row.updated)
    row.refund(400)
    assert is_recent(StripeRefund.objects.get().created)
    row.refund()
    assert row_of(row).is_refunded
    assert len(paid(fake)) == 1


@pytest.mark.parametrize("fault", [Fault.ERROR_500_BEFORE, Fault.ANSWER_LOST])
def test_a_charge_without_an_outcome_is_due_again_in_a_minute(fake, run, fault):  # noqa: F811
    charge = make_charge()
    fake.fail_next(CONFIRM, fault)

    run("charge_stripe")

    assert is_between(charge, "retry_at", minutes(0.5), minutes(1))
    run("charge_stripe")
    assert not row_of(charge).is_charged
    StripeCharge.objects.update(retry_at=DatabaseNow(minutes(-1)))
    charge_pending()
    assert row_of(charge).is_charged
    assert len(paid(fake)) == 1


def test_an_old_charge_is_looked_for_before_it_is_created_again(fake):
    charge = make_charge()
    charge.charge()
    StripeCharge.objects.update(
        is_charged=False, stripe_payment_intent_id="", is_unsettled=True, sent_at=DatabaseNow()
    )
    StripeCharge.objects.update(created=row_of(charge).created - timedelta(hours=21))

    row_of(charge).charge()

    assert row_of(charge).is_charged
    assert len(paid(fake)) == 1


def test_every_event_of_charges_and_refunds_is_applied(fake):
    charge = make_charge()
    charge.charge()
    charge.refund(100)
    fake.dashboard_refund(row_of(charge).stripe_charge_id, 200)

    statuses = deliver(fake, *events_of(fake))

    assert (set(statuses), errors(fake)) == ({NEW}, {})
    assert row_of(charge).amount_refunded == 300
    assert all(is_recent(it.created) for it in StripeWebhook.objects.all())


def test_every_event_of_a_declined_charge_is_applied(fake):
    charge = make_charge(make_customer(card="tok_chargeCustomerFail"))
    charge.charge()

    statuses = deliver(fake, *events_of(fake))

    assert (set(statuses), errors(fake)) == ({NEW}, {})
    assert row_of(charge).charge_attempt_failed


# Events and jobs


def test_the_events_of_a_deleted_customer_are_applied(fake):
    customer = make_customer()
    fake.dashboard_delete_customer(customer.stripe_customer_id)

    statuses = deliver(fake, *events_of(fake))

    assert (set(statuses), errors(fake)) == ({NEW}, {})
    assert not row_of(customer).is_active


def test_a_missing_event_is_found_and_recovered(fake, run):  # noqa: F811
    missing = add_event(fake, age=minutes(30))
    add_event(fake, age=minutes(1))  # within the grace

    assert run("check_pending_webhooks").status == 0
    ran = run("check_pending_webhooks", "--recover")

    assert ran.status == 0
    assert [it.pk for it in StripeWebhook.objects.filter(is_parsed=True)] == [missing]


def test_an_event_that_fails_is_retried_in_a_minute(fake, run, on):  # noqa: F811
    failures = [RuntimeError("not now")]

    @on("topup.created")
    def fail_once(webhook):
        if failures:
            raise failures.pop()

    id = add_event(fake)
    run("check_pending_webhooks", "--recover")
    webhook = StripeWebhook.objects.get(pk=id)
    ahead = (webhook.retry_at - webhook.updated).total_seconds()

    assert 0 < ahead <= 61
    run("process_webhooks")
    assert not row_of(webhook).is_parsed
    StripeWebhook.objects.update(retry_at=webhook.created - minutes(1))
    run("process_webhooks")
    assert row_of(webhook).is_parsed


@pytest.mark.parametrize(("days", "is_kept"), [(32, False), (30, True)])
def test_old_events_are_pruned_after_31_days(fake, run, days, is_kept):  # noqa: F811
    id = add_event(fake)
    run("check_pending_webhooks", "--recover")
    created = StripeWebhook.objects.get(pk=id).created
    StripeWebhook.objects.update(created=created - timedelta(days=days))

    run("process_webhooks", "--prune", "31")

    assert StripeWebhook.objects.exists() == is_kept


@pytest.mark.parametrize("command", ["refresh_customers", "refresh_subscriptions"])
def test_a_second_refresh_reads_the_events_since_the_first(fake, run, command):  # noqa: F811
    make_subscription().create_at_stripe()
    run(command, "--all")
    fake.requests.clear()

    ran = run(command)

    assert ran.status == 0
    assert is_recent(StripeJobRun.objects.get().refreshed_until)
    first, *_ = fake.requests
    assert first.path == "/v1/events"
    assert abs(int(first.params["created"]["gte"]) - fake.now) < 3 * 3600


# Pages and endpoints


def test_every_page_of_the_admin_is_shown(admin_client, rows):  # noqa: F811
    for model, row in rows.items():
        assert admin_client.get(list_url(model)).status_code == 200
        assert admin_client.get(row_url(model, row.pk)).status_code == 200


def test_a_charge_is_shown_to_its_payer(fake):
    charge = make_charge()
    charge.charge()

    data = signed_in(charge.user).get(charge_url(charge)).json()

    local = row_of(charge).created
    local = local.astimezone() if local.tzinfo else local
    assert data["created"].startswith(local.isoformat()[:16])


def test_customers_are_created_over_http(fake):
    client = signed_in(make_customer().user)

    token = {"stripe_js_response": {"id": "tok_visa"}}
    assert client.post("/aa-stripe/customers", token, format="json").status_code == 201
    assert client.post("/aa-stripe/setup-intents").status_code == 201
