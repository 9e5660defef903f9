"""Amounts that are not whole numbers of the smallest unit: refused, never cut."""

from __future__ import annotations

from contextlib import contextmanager
from decimal import Decimal

import pytest
from django.db import transaction
from django.db.models import F, Value

from aa_stripe.models import StripeCharge, StripeSubscriptionPlan
from aa_stripe.money import StripeMoneyError, whole_units
from tests.support.builders import make_charge, make_customer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake")]

NOT_WHOLE = [99.99, 19.99 * 100, Decimal("20.50"), "20.50", float("nan"), float("inf"), "x", []]

on_each_amount = pytest.mark.parametrize("amount", NOT_WHOLE, ids=repr)


def refused():
    return pytest.raises(StripeMoneyError, match="smallest unit")


@contextmanager
def not_saved():
    """Expect the block to be refused; roll back what it has written."""
    with refused(), transaction.atomic():
        yield


@on_each_amount
def test_a_charge_is_not_saved_with_an_amount_that_is_not_whole(amount):
    customer = make_customer()

    with not_saved():
        make_charge(customer, amount=amount)

    assert not StripeCharge.objects.exists()


@on_each_amount
@pytest.mark.parametrize("is_charged", [False, True])
def test_an_existing_charge_is_not_saved_with_an_amount_that_is_not_whole(amount, is_charged):
    charge = make_charge()
    if is_charged:
        charge.charge()
    charge.amount = amount

    with not_saved():
        charge.save()

    assert StripeCharge.objects.get().amount == 1000


@on_each_amount
def test_nothing_is_collected_for_an_amount_that_is_not_whole(fake, amount):
    charge = make_charge()
    charge.amount = amount
    fake.requests.clear()

    with refused():
        charge.charge()

    assert fake.requests == []
    assert StripeCharge.objects.get().amount == 1000


@on_each_amount
def test_a_bulk_change_to_an_amount_that_is_not_whole_is_refused(amount):
    charge = make_charge()
    charge.amount = amount

    with not_saved():
        StripeCharge.objects.update(amount=amount)
    with not_saved():
        StripeCharge.objects.bulk_update([charge], ["amount"])

    assert StripeCharge.objects.get().amount == 1000


@on_each_amount
def test_nothing_is_given_back_for_an_amount_that_is_not_whole(fake, amount):
    charge = make_charge()
    charge.charge()
    fake.requests.clear()

    with refused():
        charge.refund(amount)

    assert fake.requests == []
    assert not charge.refunds.exists()


@on_each_amount
def test_no_plan_is_created_for_an_amount_that_is_not_whole(fake, amount):
    plan = StripeSubscriptionPlan.objects.create(name="gold", amount=5000, interval="month")
    plan.amount = amount

    with refused():
        plan.create_at_stripe()

    assert fake.requests == []


@pytest.mark.parametrize("amount", [2000, 2000.0, Decimal("2000.00"), "2000"], ids=repr)
def test_a_whole_amount_is_collected_whatever_its_type(amount):
    charge = make_charge(amount=amount)

    collected = charge.charge()

    assert collected.amount == 2000


def test_amounts_are_compared_with_fractions():
    make_charge(amount=100)

    assert StripeCharge.objects.filter(amount__gt=99.99).exists()


def test_an_amount_may_be_an_expression():
    charge = make_charge(amount=Value(100))

    StripeCharge.objects.update(amount=F("amount") * 2)

    assert StripeCharge.objects.get(pk=charge.pk).amount == 200


def test_a_decimal_that_would_fill_the_memory_is_refused():
    with pytest.raises(StripeMoneyError, match="too large"):
        whole_units(Decimal("1e999999999"))


def test_the_message_is_short_for_a_long_text():
    with pytest.raises(StripeMoneyError) as caught:
        whole_units("1." * 10_000)

    assert len(str(caught.value)) < 300
