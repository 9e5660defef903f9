"""The terms of a charge that is collected do not change any more."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models import StripeCharge
from tests.support.builders import make_customer, make_user
from tests.support.payments import paid
from tests.support.rows import row_of, values_of

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

    with pytest.raises(StripeMethodNotAllowed, match=changed.removeprefix("no ")):
        stale.save()

    assert values_of(charge) == before


@on_each_change
def test_the_charged_object_does_not_change_its_terms(charged, changed):
    before = values_of(charged)
    name = change(charged, changed)

    for options in ({}, {"update_fields": [name]}, {"force_update": True}):
        with pytest.raises(StripeMethodNotAllowed, match="cannot change any more"):
            charged.save(**options)

    assert values_of(charged) == before


def test_a_refund_works_after_a_refused_change(charged, fake):
    charged.amount = 500
    with pytest.raises(StripeMethodNotAllowed):
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

    with pytest.raises(StripeMethodNotAllowed):
        charged.save()

    assert row_of(charged).amount == 1000


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
