"""``StripeCustomer.close()`` while other processes work for the same user."""

from __future__ import annotations

from contextlib import suppress

import pytest

from aa_stripe import jobs
from aa_stripe.exceptions import StripeInProgress, StripeNoActiveCustomer
from aa_stripe.gateway import InvalidRequestError
from aa_stripe.models import StripeCharge, StripeCustomer, StripeSubscription, closing
from tests.deletion.test_closing import ended_at_stripe
from tests.support.builders import make_charge, make_plan, make_user
from tests.support.requests import before, when_done
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db

#: What ``close(refund=True)`` sends for a user with one customer, one card and one subscription.
REQUESTS = [
    "GET /v1/customers/*",
    "GET /v1/subscriptions",
    "GET /v1/invoice_payments",
    "POST /v1/refunds",
    "DELETE /v1/subscriptions/*",
    "GET /v1/subscriptions/*",
    "GET /v1/customers/*/payment_methods",
    "POST /v1/payment_methods/*/detach",
    "DELETE /v1/customers/*",
]


def new_subscription(customer):
    return StripeSubscription.objects.create(user=customer.user, plan=make_plan())


@pytest.mark.parametrize("moment", [before, when_done])
@pytest.mark.parametrize("endpoint", REQUESTS)
def test_two_calls_at_the_same_time_end_all_and_refund_once(
    subscription, customer, fake, endpoint, moment
):
    moment(fake, endpoint, lambda: StripeCustomer.close(customer.user, refund=True))

    StripeCustomer.close(customer.user, refund=True)

    assert ended_at_stripe(fake)
    assert row_of(subscription).status == "canceled"
    assert len(fake.account.all("refund")) == 1


@pytest.mark.parametrize("moment", [before, when_done])
def test_a_subscription_created_meanwhile_has_ended_after_the_next_call(
    customer, fake, moment, monkeypatch
):
    monkeypatch.setattr(closing, "PATIENCE", 0)
    row = new_subscription(customer)

    def close():
        with suppress(StripeInProgress):
            StripeCustomer.close(customer.user)

    moment(fake, "POST /v1/subscriptions", close)
    with suppress(InvalidRequestError):  # the customer may be deleted by then
        row.create_at_stripe()
    StripeCustomer.close(customer.user)

    assert ended_at_stripe(fake)
    assert not row_of(row).is_open()


@pytest.mark.parametrize("moment", [before, when_done])
@pytest.mark.parametrize("endpoint", REQUESTS[1:])
def test_nothing_begins_meanwhile(subscription, customer, fake, endpoint, moment):
    charge = make_charge(customer)

    def act():
        jobs.charge_pending()
        jobs.refresh_customers()
        with pytest.raises(StripeNoActiveCustomer):
            new_subscription(customer).create_at_stripe()

    moment(fake, endpoint, act)

    StripeCustomer.close(customer.user, refund=True)

    assert ended_at_stripe(fake)
    assert len(fake.account.all("subscription")) == 1
    assert not row_of(charge).is_charged
    row = row_of(customer)
    assert (row.is_active, row.sources) == (False, [])


@pytest.mark.parametrize("moment", [before, when_done])
@pytest.mark.parametrize(
    "endpoint", ["POST /v1/payment_intents", "POST /v1/payment_intents/*/confirm"]
)
def test_a_charge_that_is_collected_meanwhile_is_recorded(customer, fake, endpoint, moment):
    charge = make_charge(customer)
    moment(fake, endpoint, lambda: StripeCustomer.close(customer.user))

    jobs.charge_pending()

    charge = StripeCharge.objects.get()
    paid = [it for it in fake.account.all("payment_intent") if it["status"] == "succeeded"]
    assert charge.is_charged == bool(paid)
    assert charge.claim == ""


@pytest.mark.parametrize("moment", [before, when_done])
def test_a_customer_created_meanwhile_is_deleted_by_the_next_call(fake, moment):
    user = make_user()
    customer = StripeCustomer.objects.create(user=user, stripe_js_response={"id": "tok_visa"})
    moment(fake, "POST /v1/customers", lambda: StripeCustomer.close(user))

    customer.create_at_stripe()
    assert not row_of(customer).is_active
    StripeCustomer.close(user)

    assert ended_at_stripe(fake)
