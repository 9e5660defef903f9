"""Statements that are composed without the compiler do what the compiler's would."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from aa_stripe.models import StripeCharge, StripeWebhook
from aa_stripe.models.now import DatabaseNow
from aa_stripe.models.rows import write_if
from aa_stripe.models.statements import condition_of, insert, read, update
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db


def test_a_row_is_updated_if_it_has_the_expected_values(charge):
    expected = {"amount": charge.amount, "retry_at": None, "is_charged": False}
    values = {"customer": charge.customer, "stripe_response": {"a": [1, None]}, "amount": None}

    assert write_if(charge, expected, values)

    row = row_of(charge)
    assert (row.customer, row.stripe_response, row.amount) == (
        charge.customer,
        {"a": [1, None]},
        None,
    )


@pytest.mark.parametrize(
    "expected", [{"amount": 1}, {"amount": None}, {"claim": "other"}, {"is_charged": True}]
)
def test_a_row_with_other_values_is_not_updated(charge, expected):
    assert not write_if(charge, expected, {"comment": "written"})

    assert row_of(charge).comment == ""


def test_values_that_are_not_plain_are_left_to_the_compiler(charge):
    charge.stripe_response = {"a": 1}
    charge.save()

    assert write_if(charge, {"stripe_response": {"a": 1}}, {"attempts": F("attempts") + 2})

    assert row_of(charge).attempts == 2


def test_a_condition_is_one_more_that_a_row_has_to_meet(charge):
    failed = condition_of(StripeCharge.objects.filter(charge_attempt_failed=True))
    pending = condition_of(StripeCharge.objects.filter(charge_attempt_failed=False, amount__gt=1))
    key = {"id": charge.pk}

    counts = [
        update(StripeCharge, "default", key, {"comment": "written"}, it) for it in (failed, pending)
    ]

    assert counts == [0, 1]


def test_a_row_is_read_as_the_compiler_reads_it(charge):
    with CaptureQueriesContext(connection) as captured:
        found = read(StripeCharge, "default", {"id": charge.pk, "claim": ""})

    assert len(captured) == 1
    names = [field.attname for field in StripeCharge._meta.concrete_fields]
    known = StripeCharge.objects.get(pk=charge.pk)
    assert {it: getattr(found, it) for it in names} == {it: getattr(known, it) for it in names}
    assert not found.changed_fields()
    assert read(StripeCharge, "default", {"id": charge.pk, "claim": "other"}) is None


@pytest.mark.parametrize(
    "ahead", [timedelta(minutes=5), timedelta(seconds=-1.5), timedelta(days=2), timedelta(0)]
)
def test_the_database_adds_to_its_time(charge, ahead):
    now, later = (
        StripeCharge.objects.annotate(now=DatabaseNow(), later=DatabaseNow(ahead))
        .values_list("now", "later")
        .get()
    )
    write_if(charge, {}, {"retry_at": DatabaseNow(ahead)})

    assert abs(later - now - ahead) < timedelta(seconds=0.1)
    assert abs(row_of(charge).retry_at - later) < timedelta(seconds=5)


# Inserting


def test_an_inserted_row_has_all_values():
    event = StripeWebhook(id="evt_1", raw_data={"a": [1, None, "ü"]}, attempts=1)

    insert(event, "default")

    row = row_of(event)
    names = [field.name for field in StripeWebhook._meta.concrete_fields]
    assert [getattr(row, name) for name in names] == [getattr(event, name) for name in names]


def test_a_row_that_exists_is_not_inserted_and_the_transaction_goes_on():
    insert(StripeWebhook(id="evt_1", attempts=1), "default")

    with transaction.atomic():
        with pytest.raises(IntegrityError):
            insert(StripeWebhook(id="evt_1", attempts=2), "default")
        insert(StripeWebhook(id="evt_2"), "default")

    assert list(StripeWebhook.objects.order_by("pk").values_list("pk", "attempts")) == [
        ("evt_1", 1),
        ("evt_2", 0),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_row_is_inserted_by_one_statement_without_a_transaction():
    with CaptureQueriesContext(connection) as queries:
        insert(StripeWebhook(id="evt_1"), "default")

    assert [it["sql"].split()[0] for it in queries] == ["INSERT"]
