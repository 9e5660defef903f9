"""A site's expressions that have one of our columns together with plain ones, as with 0.14."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
from django.core.exceptions import FieldError
from django.db.models import Case, F, JSONField, UUIDField, Value, When
from django.db.models.functions import Coalesce, Concat
from django.utils import timezone

from aa_stripe.models import StripeCoupon, StripeCustomer
from tests.support.builders import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer():
    return StripeCustomer.objects.create(user=make_user(), stripe_customer_id="cus_1")


def evaluated(row, expression):
    return type(row).objects.annotate(shown=expression).values_list("shown", flat=True).get()


def test_text_and_an_id_are_concatenated(customer):
    url = Concat(Value("https://dashboard.stripe.com/"), "stripe_customer_id")

    assert evaluated(customer, url) == "https://dashboard.stripe.com/cus_1"


def test_an_id_is_the_alternative_to_a_text_of_the_site(customer):
    name = Coalesce("user__username", "stripe_customer_id")

    assert evaluated(customer, name) == customer.user.get_username()


def test_a_uuid_is_the_alternative_to_one_of_the_site(customer):
    known = Coalesce(Value(None, output_field=UUIDField()), "uuid")

    assert UUID(str(evaluated(customer, known))) == customer.uuid


@pytest.mark.parametrize("name", ["amount_off", "percent_off"])
def test_an_amount_is_the_alternative_to_a_decimal(name):
    coupon = StripeCoupon(coupon_id="A", created=timezone.now(), duration="once")
    setattr(coupon, name, 25)
    coupon.save_locally()
    decimal = Case(When(coupon_id="B", then=Value(Decimal(1))), default=F(name))

    assert evaluated(coupon, decimal) == 25


def test_json_is_the_alternative_to_json(customer):
    empty = Value({}, output_field=JSONField())
    shown = Case(When(stripe_customer_id="cus_2", then=empty), default=F("sources"))

    assert evaluated(customer, shown) == []


def test_fields_of_different_kinds_are_not_mixed():
    mixed = Coalesce("is_active", "stripe_customer_id")

    with pytest.raises(FieldError):
        StripeCustomer.objects.annotate(mixed=mixed).get()
