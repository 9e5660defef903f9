"""StripeToken: a customer with the names of 0.14's README."""

from __future__ import annotations

import pytest
from django.db.models import Q

from aa_stripe.models import StripeCharge, StripeCustomer, StripeToken
from tests.support.builders import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def token():
    return StripeToken.objects.create(
        user=make_user(), content={"id": "tok_1"}, customer_id="cus_1"
    )


def test_a_token_is_a_customer(token):
    customer = StripeCustomer.objects.get(pk=token.pk)

    assert customer.stripe_customer_id == "cus_1"
    assert customer.stripe_js_response == {"id": "tok_1"}


def test_a_token_can_be_read_by_the_names_of_the_readme(token):
    assert (token.content, token.customer_id) == ({"id": "tok_1"}, "cus_1")


def test_a_token_can_be_written_by_the_names_of_the_readme(token):
    token.content, token.customer_id = {"id": "tok_2"}, "cus_2"
    token.save()

    customer = StripeCustomer.objects.get(pk=token.pk)
    assert (customer.stripe_js_response, customer.stripe_customer_id) == ({"id": "tok_2"}, "cus_2")


def test_the_constructor_accepts_the_names():
    token = StripeToken(content={"id": "tok_1"}, customer_id="cus_1")

    assert (token.stripe_js_response, token.stripe_customer_id) == ({"id": "tok_1"}, "cus_1")


@pytest.mark.parametrize(
    "query",
    [
        {"customer_id": "cus_1"},
        {"customer_id__startswith": "cus_"},
        {"content__id": "tok_1"},
        {"stripe_customer_id": "cus_1"},
    ],
)
def test_a_token_is_found_by_the_names(token, query):
    StripeToken.objects.create(user=token.user, content={"id": "other"}, customer_id="other")

    assert StripeToken.objects.get(**query) == token
    assert list(StripeToken.objects.filter(**query)) == [token]
    assert token not in StripeToken.objects.exclude(**query)


def test_a_token_is_found_by_conditions(token):
    other = StripeToken.objects.create(user=token.user, content={}, customer_id="cus_2")

    found = StripeToken.objects.filter(Q(customer_id="cus_1") | ~Q(customer_id="cus_1"))

    assert set(found) == {token, other}
    assert StripeToken.objects.get(~Q(customer_id="cus_2")) == token


def test_tokens_are_ordered_by_the_names(token):
    later = StripeToken.objects.create(user=token.user, content={}, customer_id="cus_2")

    assert list(StripeToken.objects.order_by("-customer_id", "pk")) == [later, token]


def test_get_or_create_finds_an_existing_token(token):
    found, is_new = StripeToken.objects.get_or_create(
        customer_id="cus_1", defaults={"content": {}, "user": token.user}
    )

    assert (found, is_new) == (token, False)


def test_get_or_create_creates_a_missing_token_from_the_defaults(token):
    made, is_new = StripeToken.objects.get_or_create(
        customer_id="cus_9", defaults={"content": {"id": "tok_9"}, "user": token.user}
    )

    assert is_new
    assert (made.customer_id, made.content) == ("cus_9", {"id": "tok_9"})


def test_a_charge_accepts_a_token_as_its_customer(token):
    charge = StripeCharge.objects.create(user=token.user, token=token, amount=500)

    assert charge.token == charge.customer
    assert StripeCharge.objects.get(pk=charge.pk).token.pk == token.pk


def test_the_token_of_a_charge_can_be_changed(token):
    charge = StripeCharge.objects.create(user=token.user, amount=500)

    charge.token = token

    assert charge.customer_id == token.pk
