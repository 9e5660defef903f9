"""The terms of a charge that is collected do not change any more."""

from __future__ import annotations

from contextlib import contextmanager
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.signals import post_save, pre_save
from django.test.utils import CaptureQueriesContext

from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models import StripeCharge
from aa_stripe.models.charge.model import FINAL
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.payments import paid
from tests.support.rows import row_of, values_of
from tests.support.signals import connected

#: For each of the terms: another value.
CHANGES = {
    "amount": lambda: 2000,
    "no amount": lambda: None,
    "currency": lambda: "eur",
    "customer": make_customer,
    "no customer": lambda: None,
    "user": make_user,
}

on_each_change = pytest.mark.parametrize("changed", CHANGES)


@contextmanager
def refused():
    """Expect the save to be refused; as after any error of a save, the transaction is over."""
    with pytest.raises(StripeMethodNotAllowed, match="cannot change"), transaction.atomic():
        yield


def change(row, changed):
    """Assign another value; return the name of the field."""
    name = changed.removeprefix("no ")
    setattr(row, name, CHANGES[changed]())
    return name


@pytest.mark.parametrize("changed", sorted(set(CHANGES) - {"no customer"}))
def test_an_object_that_was_read_before_the_payment_does_not_change_the_terms(charge, changed):
    stale = row_of(charge)
    charge.charge()
    before = values_of(charge)
    change(stale, changed)
    stale.comment = "edited"

    with refused():
        stale.save()

    assert values_of(charge) == before


def test_an_object_built_from_old_values_does_not_make_a_charged_row_pending(charge):
    values = {field.attname: getattr(charge, field.attname) for field in charge._meta.fields}
    charge.charge()

    with refused():
        StripeCharge(**{**values, "customer_id": charge.customer_id}).save()

    assert row_of(charge).is_charged


@on_each_change
@pytest.mark.parametrize("options", [{}, {"force_update": True}, {"update_fields": list(FINAL)}])
def test_the_charged_object_does_not_change_its_terms(charged, changed, options):
    before = values_of(charged)
    change(charged, changed)

    with refused():
        charged.save(**options)

    assert values_of(charged) == before


def test_a_refund_works_after_a_refused_change(charged, fake):
    charged.amount = 500
    with refused():
        charged.save()

    row_of(charged).refund()

    assert row_of(charged).amount_refunded == 1000


def test_other_fields_of_a_charged_row_can_be_saved(charged):
    charged.comment = "Thank you"
    charged.save()
    charged.description = "For stuff"
    charged.save(update_fields=["description", "amount"])
    charged.save(force_update=True)

    row = row_of(charged)
    assert (row.comment, row.description, row.amount) == ("Thank you", "For stuff", 1000)


def test_the_fields_to_save_may_be_named_by_a_generator(charge):
    charge.amount, charge.comment = 1500, "edited"

    charge.save(update_fields=(name for name in ["amount", "comment"]))

    assert (row_of(charge).amount, row_of(charge).comment) == (1500, "edited")


def test_the_terms_can_be_changed_before_the_payment(charge, fake):
    charge.amount, charge.currency = 1500, "eur"
    charge.save()
    charge.charge()

    [intent] = paid(fake)
    assert (intent["amount"], intent["currency"]) == (1500, "eur")


@pytest.mark.parametrize("amount", [1000.0, Decimal("1000.00"), F("amount") + 0])
def test_the_same_amount_of_another_type_can_be_saved(charged, amount):
    charged.amount = amount

    charged.save()

    assert row_of(charged).amount == 1000


def test_an_expression_that_changes_the_amount_is_refused(charged):
    charged.amount = F("amount") + 1

    with refused():
        charged.save()

    assert row_of(charged).amount == 1000


@pytest.mark.django_db
def test_a_currency_in_upper_case_is_the_same(customer):
    charge = make_charge(customer, currency="USD")
    stale = row_of(charge)
    charge.charge()
    stale.comment = "edited"

    stale.save(update_fields=["currency", "comment"])

    assert row_of(charge).comment == "edited"


def test_a_receiver_of_pre_save_does_not_change_the_terms(charged):
    def halve(instance, **kwargs):
        instance.amount //= 2

    with connected(pre_save, halve, sender=StripeCharge), refused():
        charged.save(update_fields=["amount"])

    assert row_of(charged).amount == 1000


@pytest.mark.django_db(transaction=True)
def test_a_receiver_of_post_save_charges(fake):
    charge = make_charge(amount=None)

    calls = []

    def charge_at_once(instance, **kwargs):
        calls.append(instance)
        if len(calls) == 1:
            instance.charge()

    charge.amount = 500
    with connected(post_save, charge_at_once, sender=StripeCharge):
        charge.save()

    assert row_of(charge).is_charged


def test_a_row_that_was_deleted_can_be_inserted_again(charged):
    StripeCharge.objects.all().delete()
    charged.amount = 700

    charged.save(force_insert=True)

    assert row_of(charged).amount == 700


@pytest.mark.django_db
def test_a_save_without_the_terms_costs_one_statement(charged):
    charged.comment = "Thank you"

    with CaptureQueriesContext(connection) as captured:
        charged.save()

    assert len(captured) == 1
