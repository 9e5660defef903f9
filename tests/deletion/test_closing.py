"""``StripeCustomer.close()``: nothing of the user is left at Stripe, whatever happens meanwhile."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from aa_stripe import gateway
from aa_stripe.exceptions import (
    StripeInTransaction,
    StripeMethodNotAllowed,
    StripeUnknownCustomer,
)
from aa_stripe.gateway import InvalidRequestError, StripeError
from aa_stripe.models import StripeCharge, StripeCustomer, StripeSubscription
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer, make_plan, make_user
from tests.support.requests import calls, refuse_next, requests_to
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db

#: What ``close()`` sends for a user with one customer, one card and one subscription.
REQUESTS = [
    "GET /v1/customers/*",
    "GET /v1/customers/*",
    "GET /v1/subscriptions",
    "DELETE /v1/subscriptions/*",
    "GET /v1/subscriptions/*",
    "GET /v1/customers/*/payment_methods",
    "POST /v1/payment_methods/*/detach",
    "DELETE /v1/customers/*",
    "GET /v1/customers/*",
]


def ended_at_stripe(fake):
    """Return whether no subscription, card or customer is left at Stripe."""
    subscriptions = {it["status"] for it in fake.account.all("subscription")}
    customers = [it for it in fake.account.all("customer") if not it.get("deleted")]
    attached = [it for it in fake.account.all("payment_method") if it["customer"]]
    return subscriptions <= {"canceled"} and not customers and not attached


def test_it_cancels_detaches_deletes_and_deactivates(subscription, customer, fake):
    fake.requests.clear()

    StripeCustomer.close(customer.user)

    assert calls(fake) == REQUESTS
    assert ended_at_stripe(fake)
    row = row_of(customer)
    assert (row.is_active, row.sources, row.default_source) == (False, [], "")
    assert row_of(subscription).status == "canceled"


def test_the_user_can_be_deleted_afterwards(subscription, customer):
    user = customer.user

    StripeCustomer.close(user)
    user.delete()

    assert row_of(subscription).user is None


def test_a_second_call_asks_only_whether_the_customer_is_deleted(subscription, customer, fake):
    StripeCustomer.close(customer.user)
    fake.requests.clear()

    StripeCustomer.close(customer.user)

    assert set(calls(fake)) == {"GET /v1/customers/*"}


@pytest.mark.parametrize("endpoint", dict.fromkeys(REQUESTS))
@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.ERROR_500_BEFORE])
def test_a_call_after_a_failure_ends_the_rest(
    subscription, customer, fake, settings, endpoint, fault
):
    settings.STRIPE_MAX_NETWORK_RETRIES = 0
    fake.fail_next(endpoint, fault)
    with pytest.raises(StripeError):
        StripeCustomer.close(customer.user)

    StripeCustomer.close(customer.user)

    assert ended_at_stripe(fake)
    assert row_of(subscription).status == "canceled"
    assert not row_of(customer).is_active


def test_a_subscription_that_only_stripe_has_is_canceled(subscription, customer, fake):
    StripeSubscription.objects.filter(pk=subscription.pk).update(
        is_created_at_stripe=False, stripe_subscription_id="", status=""
    )
    StripeSubscription.objects.all()._raw_delete("default")

    StripeCustomer.close(customer.user)

    assert ended_at_stripe(fake)


def test_a_subscription_whose_response_was_lost_is_canceled(customer, fake):
    row = StripeSubscription.objects.create(user=customer.user, plan=make_plan())
    fake.fail_next("POST /v1/subscriptions", Fault.ANSWER_LOST)
    with pytest.raises(StripeError):
        row.create_at_stripe()

    StripeCustomer.close(customer.user)

    assert ended_at_stripe(fake)
    row.refresh_from_db()
    assert (row.status, row.is_unsettled) == ("canceled", False)


def test_a_subscription_that_was_never_made_is_settled(customer, fake):
    row = StripeSubscription.objects.create(user=customer.user, plan=make_plan(), is_unsettled=True)

    StripeCustomer.close(customer.user)

    row.refresh_from_db()
    assert (row.is_created_at_stripe, row.is_unsettled) == (False, False)


def test_pending_charges_are_not_collected_by_cron_any_more(customer):
    charge = make_charge(customer)

    StripeCustomer.close(customer.user)

    assert not StripeCharge.objects.pending().exists()
    assert row_of(charge).is_manual_charge


@pytest.mark.parametrize(("refund", "left"), [(True, 0), (False, 5000)])
def test_the_last_payment_is_refunded_on_request(subscription, customer, fake, refund, left):
    StripeCustomer.close(customer.user, refund=refund)

    [charge] = fake.account.all("charge")
    assert charge["amount"] - charge["amount_refunded"] == left


@pytest.mark.parametrize("endpoint", ["POST /v1/refunds", "DELETE /v1/subscriptions/*"])
@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.ANSWER_LOST])
def test_after_a_failure_the_payment_is_refunded_once(
    subscription, customer, fake, settings, endpoint, fault
):
    settings.STRIPE_MAX_NETWORK_RETRIES = 0
    fake.fail_next(endpoint, fault)
    with pytest.raises(StripeError):
        StripeCustomer.close(customer.user, refund=True)

    StripeCustomer.close(customer.user, refund=True)

    assert [it["amount"] for it in fake.account.all("refund")] == [5000]


def test_a_subscription_that_had_ended_before_is_not_refunded(subscription, customer, fake):
    subscription.cancel()

    StripeCustomer.close(customer.user, refund=True)

    assert requests_to(fake, "POST /v1/refunds") == []


def test_with_the_key_of_another_account_nothing_changes(customer, fake):
    charge = make_charge(customer)
    StripeCustomer.objects.filter(pk=customer.pk).update(stripe_customer_id="cus_of_another")

    with pytest.raises(StripeUnknownCustomer):
        StripeCustomer.close(customer.user)

    assert row_of(customer).is_active
    assert not row_of(charge).is_manual_charge


def test_a_user_without_a_primary_key_is_rejected(customer, fake):
    customer.user.delete()
    fake.requests.clear()

    with pytest.raises(StripeMethodNotAllowed, match="no primary key"):
        StripeCustomer.close(get_user_model()())

    assert row_of(customer).is_active
    assert fake.requests == []


def test_a_refused_refund_is_raised_when_all_has_ended(subscription, customer, fake):
    refuse_next(fake, "POST /v1/refunds")

    with pytest.raises(InvalidRequestError):
        StripeCustomer.close(customer.user, refund=True)

    assert ended_at_stripe(fake)
    assert row_of(subscription).status == "canceled"
    assert not row_of(customer).is_active


def test_a_subscription_of_another_users_customer_is_refunded_too(subscription, customer, fake):
    StripeCustomer.objects.filter(pk=customer.pk).update(user=make_user())

    StripeCustomer.close(subscription.user, refund=True)

    assert row_of(subscription).status == "canceled"
    assert [it["amount"] for it in fake.account.all("refund")] == [5000]
    assert row_of(customer).is_active


def test_all_pages_of_subscriptions_and_cards_are_ended(subscription, customer, fake, monkeypatch):
    monkeypatch.setattr(gateway, "PAGE_SIZE", 1)
    StripeSubscription.objects.create(user=customer.user, plan=subscription.plan).create_at_stripe()
    customer.add_new_source("tok_mastercard")

    StripeCustomer.close(customer.user, refund=True)

    assert ended_at_stripe(fake)
    assert len(fake.account.all("refund")) == 2


def test_the_rows_of_other_users_stay_as_they_are(subscription, customer, fake):
    other = make_customer()

    StripeCustomer.close(customer.user)

    assert row_of(other).is_active
    assert row_of(other).sources


def test_inside_a_transaction_it_is_refused(transactional_db, fake):
    from django.db import transaction

    customer = make_customer()

    with transaction.atomic(), pytest.raises(StripeInTransaction):
        StripeCustomer.close(customer.user)
