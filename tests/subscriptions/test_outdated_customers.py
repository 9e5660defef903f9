"""Subscriptions of customers that changed at Stripe without a webhook."""

from __future__ import annotations

import pytest
import stripe

from aa_stripe.exceptions import StripeInternalError, StripeNoActiveCustomer
from aa_stripe.models import StripeCustomer, StripeSubscription
from aa_stripe.testing import Fault
from tests.support.builders import make_customer
from tests.support.requests import calls, keys_of, refuse_next
from tests.support.rows import row_of

CREATE = "POST /v1/subscriptions"
CUSTOMER = "GET /v1/customers/*"
METHODS = "GET /v1/customers/*/payment_methods"

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(subscription):
    return StripeCustomer.objects.get()


def test_the_next_customer_subscribes_if_the_newest_was_deleted(customer, subscription, fake):
    newest = make_customer(subscription.user)
    stripe.Customer.delete(newest.stripe_customer_id)
    fake.requests.clear()

    created = subscription.create_at_stripe()

    assert created.customer == customer.stripe_customer_id
    assert (subscription.status, subscription.customer) == ("active", customer)
    assert not row_of(newest).is_active
    assert calls(fake) == [CREATE, CUSTOMER, CUSTOMER, CREATE]
    assert len(set(keys_of(fake, CREATE))) == 2
    assert len(fake.account.all("subscription")) == 1


def test_a_user_whose_only_customer_was_deleted_can_subscribe_later(customer, subscription, fake):
    stripe.Customer.delete(customer.stripe_customer_id)

    for _ in range(2):
        with pytest.raises(StripeNoActiveCustomer):
            subscription.create_at_stripe()

    assert not row_of(customer).is_active
    assert calls(fake).count(CREATE) == 1
    row = row_of(subscription)
    assert (row.is_created_at_stripe, row.is_unsettled, row.claim) == (False, False, "")
    newer = make_customer(subscription.user)
    assert row_of(subscription).create_at_stripe().customer == newer.stripe_customer_id


def test_a_deleted_customer_is_no_proof_about_an_earlier_request(customer, subscription, fake):
    fake.fail_next(CREATE, Fault.REQUEST_LOST)
    with pytest.raises(stripe.APIConnectionError):
        subscription.create_at_stripe()
    make_customer(subscription.user)
    newest = StripeCustomer.latest_active(subscription.user_id)
    stripe.Customer.delete(newest.stripe_customer_id)
    fake.requests.clear()

    with pytest.raises(StripeInternalError, match="earlier request"):
        row_of(subscription).create_at_stripe()

    assert not row_of(newest).is_active
    assert calls(fake).count(CREATE) == 1
    assert row_of(subscription).is_unsettled


def test_a_customer_without_a_default_is_refreshed_and_stripes_error_is_raised(
    customer, subscription, fake
):
    stripe.PaymentMethod.detach(customer.default_source)
    fake.requests.clear()

    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        subscription.create_at_stripe()

    assert (row_of(customer).default_source, row_of(customer).sources) == ("", [])
    assert row_of(customer).is_active
    assert calls(fake) == [CREATE, CUSTOMER, METHODS]
    assert not row_of(subscription).is_unsettled
    customer.add_new_source("pm_card_mastercard")
    assert row_of(subscription).create_at_stripe().status == "active"


def test_a_default_that_was_replaced_at_stripe_pays(customer, subscription, fake):
    id = customer.stripe_customer_id
    method = stripe.PaymentMethod.attach("pm_card_mastercard", customer=id)
    stripe.Customer.modify(id, invoice_settings={"default_payment_method": method.id})
    stripe.PaymentMethod.detach(customer.default_source)
    fake.requests.clear()

    subscription.create_at_stripe()

    assert StripeSubscription.objects.get().status == "active"
    assert calls(fake) == [CREATE]


@pytest.mark.parametrize("refuse", ["plan", "parameter"])
def test_another_refusal_does_not_change_the_customer(customer, subscription, fake, refuse):
    if refuse == "plan":
        stripe.Plan.delete(subscription.plan.price_id)
    else:
        refuse_next(fake, CREATE)
    before = row_of(customer).updated

    with pytest.raises(stripe.InvalidRequestError):
        subscription.create_at_stripe()

    assert row_of(customer).updated == before
    assert METHODS not in calls(fake)[-2:]


def test_a_subscription_of_a_deleted_customer_is_canceled_here_too(customer, active, fake):
    stripe.Customer.delete(customer.stripe_customer_id)

    active.cancel()

    assert row_of(active).status == "canceled"
    active.refresh_from_stripe()
    assert row_of(active).status == "canceled"
