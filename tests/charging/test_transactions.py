"""A payment is not requested inside a transaction, whose rollback would lose the record of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest
import stripe
from django.db import connection, transaction

from aa_stripe import gateway, signals
from aa_stripe.exceptions import StripeInternalError, StripeInTransaction, StripeMethodNotAllowed
from aa_stripe.jobs import charge_pending, receive
from aa_stripe.models import StripeCharge, StripeCustomer
from aa_stripe.testing import event
from tests.support.builders import make_charge, make_customer, make_subscription
from tests.support.clock import let_pass
from tests.support.payments import intents, lose_response, paid, refunds_of
from tests.support.rows import row_of, values_of
from tests.support.signals import connected
from tests.support.transactions import rolled_back

pytestmark = pytest.mark.django_db

#: Each is called with a pending charge, one that is paid, and a subscription.
REQUESTS = {
    "charge": lambda charge, charged, subscription: charge.charge(),
    "charge_if_pending": lambda charge, charged, subscription: charge.charge_if_pending(),
    "an unsaved charge": lambda charge, charged, subscription: unsaved(charge).charge(),
    "refund": lambda charge, charged, subscription: charged.refund(300),
    "refund of everything": lambda charge, charged, subscription: charged.refund(),
    "subscription": lambda charge, charged, subscription: subscription.create_at_stripe(),
    "charge_pending": lambda charge, charged, subscription: charge_pending(),
}


def unsaved(charge):
    return StripeCharge(user=charge.user, amount=500)


@pytest.fixture(params=REQUESTS.values(), ids=REQUESTS.keys())
def request_payment(request, charge, fake):
    charged = make_charge(charge.user.stripe_customers.get())
    charged.charge()
    subscription = make_subscription()
    fake.requests.clear()
    return partial(request.param, charge, charged, subscription)


def test_a_payment_in_a_transaction_is_refused_before_the_first_request(request_payment, fake):
    before = [values_of(row) for row in StripeCharge.objects.order_by("pk")]

    with transaction.atomic(), pytest.raises(StripeInTransaction, match=r"on_commit\("):
        request_payment()

    assert fake.requests == []
    assert [values_of(row) for row in StripeCharge.objects.order_by("pk")] == before


def test_a_payment_in_a_savepoint_is_refused(request_payment, fake):
    with transaction.atomic(), transaction.atomic(), pytest.raises(StripeInTransaction):
        request_payment()

    assert fake.requests == []


def test_a_site_may_allow_payments_in_transactions(request_payment, fake, settings):
    settings.STRIPE_TRANSACTIONS = "allow"

    with transaction.atomic():
        request_payment()

    assert fake.requests != []


def test_the_refusal_is_not_taken_for_a_charge_that_is_paid_already():
    assert not issubclass(StripeInTransaction, StripeMethodNotAllowed)


@pytest.mark.django_db(transaction=True)
def test_a_charge_after_the_commit_is_collected(fake):
    with transaction.atomic():
        charge = make_charge()
        transaction.on_commit(charge.charge)

    assert row_of(charge).is_charged


@pytest.mark.django_db(transaction=True)
def test_a_charge_with_autocommit_off_is_refused(fake):
    charge = make_charge()
    fake.requests.clear()
    transaction.set_autocommit(False)
    try:
        with pytest.raises(StripeInTransaction):
            charge.charge()
    finally:
        connection.rollback()
        transaction.set_autocommit(True)

    assert fake.requests == []


@pytest.mark.django_db(transaction=True)
def test_a_view_with_atomic_requests_is_refused_and_changes_nothing(
    fake, client, monkeypatch, settings
):
    charge = make_charge()
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    settings.ROOT_URLCONF = "tests.charging.urls"
    fake.requests.clear()

    with pytest.raises(StripeInTransaction):
        client.post(f"/pay/{charge.pk}/")

    assert fake.requests == []
    assert not row_of(charge).is_charged


def test_a_receiver_cannot_refund_in_the_transaction_of_its_signal(charge, fake):
    with (
        connected(signals.stripe_charge_succeeded, lambda instance, **kwargs: instance.refund(100)),
        pytest.raises(StripeInTransaction),
    ):
        charge.charge()

    assert refunds_of(fake, row_of(charge)) == []
    assert row_of(charge).signal_due == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_a_handler_of_an_event_charges_after_the_commit(fake, on):
    charge = make_charge()

    @on("payout.paid")
    def charge_later(webhook):
        webhook.after_commit(charge.charge)

    receive(event("payout.paid", {"id": "po_1", "object": "payout"}))

    assert row_of(charge).is_charged


@pytest.mark.django_db(transaction=True)
def test_a_receiver_refunds_after_the_commit(fake):
    charge = make_charge()

    def refund_later(instance, **kwargs):
        transaction.on_commit(partial(instance.refund, 100))

    with connected(signals.stripe_charge_succeeded, refund_later):
        charge.charge()

    assert [made["amount"] for made in refunds_of(fake, row_of(charge))] == [100]
    assert row_of(charge).amount_refunded == 100


def test_what_was_allowed_and_rolled_back_is_found_again_at_once(charge, fake):
    with rolled_back():
        charge.charge()
    assert not row_of(charge).is_charged

    row_of(charge).charge()

    assert len(paid(fake)) == 1
    assert row_of(charge).is_charged


# What was allowed and rolled back, and found again


def delete_customer(charge):
    """Delete the payer at Stripe; the user gets a new customer."""
    for customer in charge.user.stripe_customers.all():
        stripe.Customer.delete(customer.stripe_customer_id)
        StripeCustomer.objects.filter(pk=customer.pk).update(is_active=False)
    make_customer(charge.user)


def change_user(charge):
    StripeCharge.objects.filter(pk=charge.pk).update(user=make_customer().user)


def delete_customer_and_row(charge):
    delete_customer(charge)
    StripeCustomer.objects.filter(is_active=False).delete()


on_each_change = pytest.mark.parametrize(
    "change", [delete_customer, change_user, delete_customer_and_row]
)


@on_each_change
@pytest.mark.parametrize("hours", [0, 12, 25])
@pytest.mark.parametrize("transactions", ["allow", "forbid"])
def test_a_payment_that_was_rolled_back_is_found_though_another_customer_would_pay_now(
    charge, fake, settings, change, hours, transactions
):
    with rolled_back():
        charge.charge()
    change(charge)
    settings.STRIPE_TRANSACTIONS = transactions
    let_pass(fake, timedelta(hours=hours))

    with suppress(StripeInternalError):  # the search does not find it in its first minute
        row_of(charge).charge()
    let_pass(fake, timedelta(hours=25))
    if not row_of(charge).is_charged:
        row_of(charge).charge()

    [intent] = paid(fake)
    row = row_of(charge)
    assert row.is_charged
    assert (row.amount, row.stripe_charge_id) == (1000, intent["latest_charge"])


@pytest.mark.parametrize("change", [delete_customer, change_user])
def test_the_customer_of_a_found_payment_is_not_the_one_of_today(charge, fake, change):
    with rolled_back():
        charge.charge()
    payer = charge.user.stripe_customers.get()
    change(charge)
    let_pass(fake, timedelta(hours=25))

    row_of(charge).charge()

    assert row_of(charge).customer == payer


def test_without_a_search_and_with_a_refused_list_nothing_is_created(charge, fake, monkeypatch):
    with rolled_back():
        charge.charge()
    delete_customer(charge)
    let_pass(fake, timedelta(hours=25))

    def refuse(key, value):
        raise stripe.InvalidRequestError("Not in India.", param=None, http_status=400)

    monkeypatch.setattr(gateway, "search_payment_intents", refuse)
    with pytest.raises(StripeInternalError):
        row_of(charge).charge()

    assert len(intents(fake)) == 1


def test_a_found_payment_is_of_the_user_where_two_share_a_customer(charge, fake):
    mine = charge.user.stripe_customers.get()
    lose_response(fake, charge)
    StripeCustomer.objects.create(
        user=make_customer().user, stripe_customer_id=mine.stripe_customer_id
    )
    make_customer(charge.user)

    row_of(charge).charge()

    assert row_of(charge).customer == mine
