"""Ids that differ in letter case are different ids on every database."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection, models
from django.db.models.functions import Lower

from aa_stripe.fields import BINARY, ExactCharField, ExactUUIDField
from aa_stripe.models import StripeCharge, StripeCustomer
from tests.support.builders import make_user

#: The columns with text that is not an id, or that only we write in lower case. Any other column of
#: text, also a new one, is an id.
TEXTS = {
    "comment",
    "currency",
    "description",
    "duration",
    "failure_code",
    "interval",
    "job",
    "key_digest",
    "name",
    "parse_error",
    "receipt_email",
    "pause_collection",
    "signal_due",
    "source_type",
    "statement_descriptor",
    "status",
}

#: Lookups that find "cus_a" and "cus_A", but not "sub_b".
LOOKUPS = [
    ("iexact", "CUS_a"),
    ("icontains", "S_A"),
    ("istartswith", "CUS"),
    ("iendswith", "_A"),
    ("iregex", "^CUS_a$"),
]


def text_fields():
    kinds = (models.CharField, models.TextField, models.UUIDField)
    for model in apps.get_app_config("aa_stripe").get_models():
        for field in model._meta.local_concrete_fields:
            if isinstance(field, kinds):
                yield pytest.param(field, id=f"{model.__name__}.{field.name}")


def is_id(field):
    return field.name not in TEXTS


@pytest.fixture
def customers(db):
    """Rows whose ids differ in letter case, and another one."""
    user = make_user()
    return [
        StripeCustomer.objects.create(user=user, stripe_customer_id=customer_id)
        for customer_id in ("cus_a", "cus_A", "sub_b")
    ]


@pytest.mark.parametrize("field", list(text_fields()))
def test_the_field_of_an_id_distinguishes_letter_case(field):
    assert issubclass(type(field), (ExactCharField, ExactUUIDField)) is is_id(field)


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "mysql", reason="The other databases have no default.")
@pytest.mark.parametrize("field", list(text_fields()))
def test_the_column_of_an_id_is_binary(field):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT collation_name, data_type FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND table_name = %s AND column_name = %s",
            [field.model._meta.db_table, field.column],
        )
        ((collation, kind),) = cursor.fetchall()

    assert kind == "uuid" or (collation == BINARY) is is_id(field)


@pytest.mark.skipif(connection.vendor != "mysql", reason="The other databases have no default.")
def test_a_later_change_of_the_column_keeps_it_binary():
    wider = ExactCharField(max_length=300, blank=True)
    wider.set_attributes_from_name("default_source")
    wider.model = StripeCustomer

    with connection.schema_editor(collect_sql=True) as editor:
        editor.alter_field(StripeCustomer, StripeCustomer._meta.get_field("default_source"), wider)

    assert BINARY in editor.collected_sql[0]


def test_lookups_distinguish_letter_case(customers):
    found = StripeCustomer.objects.order_by("stripe_customer_id")

    assert [it.stripe_customer_id for it in found.filter(stripe_customer_id="cus_A")] == ["cus_A"]
    assert found.filter(stripe_customer_id__in=["cus_A", "CUS_A"]).count() == 1
    assert found.filter(stripe_customer_id__gt="cus_A", stripe_customer_id__lt="cus_b").count() == 1
    assert found.filter(stripe_customer_id__regex="_A$").count() == 1
    assert found.alias(lower=Lower("stripe_customer_id")).filter(lower="cus_a").count() == 2
    assert found.values("stripe_customer_id").distinct().count() == 3


@pytest.mark.parametrize(("lookup", "value"), LOOKUPS)
def test_lookups_that_ignore_letter_case_still_do(customers, lookup, value):
    for customer in customers:
        StripeCharge.objects.create(user=customer.user, customer=customer, amount=1000)

    found = StripeCustomer.objects.filter(**{f"stripe_customer_id__{lookup}": value})
    charges = StripeCharge.objects.filter(**{f"customer__stripe_customer_id__{lookup}": value})

    assert found.count() == charges.count() == 2
