"""The serializers in a project's own code: one call that registers a user and saves a card."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory, force_authenticate

from aa_stripe import gateway
from aa_stripe.models import StripeCustomer
from aa_stripe.serializers import StripeCustomerDetailsSerializer, StripeCustomerSerializer
from aa_stripe.testing import Fault
from tests.api import endpoints
from tests.support.builders import make_customer, make_user

CARD = {"stripe_js_response": {"id": "tok_visa"}}
DECLINED = {"stripe_js_response": {"id": "tok_chargeDeclined"}}


@pytest.fixture
def request_of_payer(payer, fake):
    """Return the request that REST framework passes to a view."""
    request = APIRequestFactory().post("/register")
    force_authenticate(request, payer)
    return Request(request)


def valid(serializer):
    serializer.is_valid(raise_exception=True)
    return serializer


def test_save_without_arguments_takes_the_payer_of_the_request(request_of_payer, payer):
    context = {"request": request_of_payer}

    customer = valid(StripeCustomerSerializer(data=CARD, context=context)).save()

    assert (customer.user, customer.is_created_at_stripe) == (payer, True)


def test_save_without_arguments_takes_the_payer_of_the_project(request_of_payer, settings):
    settings.STRIPE_PAYER_FROM_REQUEST = "tests.api.payers.office"
    office = make_user()
    office.username = "office"
    office.save()
    context = {"request": request_of_payer}

    assert valid(StripeCustomerSerializer(data=CARD, context=context)).save().user == office


def test_save_with_a_user_needs_no_request(db, fake):
    user = make_user()

    assert valid(StripeCustomerSerializer(data=CARD)).save(user=user).user == user


def test_save_with_a_user_does_not_use_the_payer_of_the_request(request_of_payer):
    user = make_user()
    serializer = StripeCustomerSerializer(data=CARD, context={"request": request_of_payer})

    assert valid(serializer).save(user=user).user == user


class WithSuper(StripeCustomerSerializer):
    """A serializer with a field of its own, that extends ``create()``."""

    coupon = serializers.CharField(write_only=True, required=False)

    class Meta(StripeCustomerSerializer.Meta):
        fields = [*StripeCustomerSerializer.Meta.fields, "coupon"]

    def create(self, validated_data):
        customer = super().create(validated_data)
        customer.stripe_js_response["coupon"] = validated_data.get("coupon")
        return customer


class WithUser(StripeCustomerSerializer):
    """A serializer written for 0.14, that creates the row itself."""

    def create(self, validated_data):
        user = self.context["request"].user
        return StripeCustomer.objects.create(user=user, **validated_data).create_at_stripe()


class WithSuperAndUser(StripeCustomerSerializer):
    def create(self, validated_data):
        return super().create({**validated_data, "user": self.context["request"].user})


@pytest.mark.parametrize("serializer_class", [WithSuper, WithUser, WithSuperAndUser])
def test_a_subclass_with_its_own_create_works_in_the_view(payer, fake, serializer_class):
    endpoint = endpoints.customers(payer)
    endpoint.data = {**CARD, "coupon": "SALE10"}

    response = endpoint.respond(serializer_class=serializer_class)

    assert response.status_code == 201
    customer = StripeCustomer.objects.get()
    assert (customer.user, customer.is_created_at_stripe) == (payer, True)
    assert response.data["stripe_customer_id"] == customer.stripe_customer_id


def test_a_refused_card_is_a_validation_error(request_of_payer):
    serializer = valid(
        StripeCustomerSerializer(data=DECLINED, context={"request": request_of_payer})
    )

    with pytest.raises(ValidationError) as raised:
        serializer.save()

    assert raised.value.detail == {"stripe_error": "Your card was declined."}
    assert not StripeCustomer.objects.exists()


def test_another_card_that_is_refused_is_a_validation_error(request_of_payer, payer):
    customer = make_customer(payer)

    with pytest.raises(ValidationError) as raised:
        valid(StripeCustomerDetailsSerializer(customer, data=DECLINED)).save()

    assert raised.value.detail == {"stripe_error": "Your card was declined."}


def test_an_unknown_outcome_is_stripes_error(request_of_payer, fake):
    fake.fail_next("POST /v1/customers", Fault.ANSWER_LOST)
    serializer = valid(StripeCustomerSerializer(data=CARD, context={"request": request_of_payer}))

    with pytest.raises(gateway.StripeError):
        serializer.save()


# STRIPE_USER_MODEL without STRIPE_PAYER_FROM_REQUEST: determining the payer raises.


@pytest.fixture
def without_payer(settings):
    settings.STRIPE_PAYER_FROM_REQUEST = "tests.api.payers.name_only"


@pytest.mark.parametrize(
    "maker",
    [
        endpoints.customers,
        endpoints.customer_details,
        endpoints.charge_details,
        endpoints.setup_intents,
    ],
    ids=lambda it: it.__name__,
)
def test_our_views_need_the_payer(payer, fake, without_payer, maker):
    with pytest.raises(ImproperlyConfigured):
        maker(payer).respond()


@pytest.mark.parametrize(
    "maker", [endpoints.customer_details, endpoints.charge_details], ids=lambda it: it.__name__
)
def test_a_view_with_its_own_queryset_does_not_need_the_payer(payer, fake, without_payer, maker):
    endpoint = maker(payer)
    rows = type(endpoint.row).objects.filter(user=payer)

    assert endpoint.respond(get_queryset=lambda self: rows).status_code == 200


def test_a_view_with_its_own_perform_create_does_not_need_the_payer(payer, fake, without_payer):
    def perform_create(self, serializer):
        serializer.save(user=payer)

    endpoint = endpoints.customers(payer)

    assert endpoint.respond(perform_create=perform_create).status_code == 201


def test_a_serializer_with_its_own_create_does_not_need_the_payer(payer, fake, without_payer):
    endpoint = endpoints.customers(payer)

    assert endpoint.respond(serializer_class=WithUser).status_code == 201


def test_a_view_may_name_the_payer_itself(payer, fake, without_payer):
    customer = make_customer(payer)

    response = endpoints.setup_intents(make_user()).respond(payer=payer)

    assert response.data["stripe_customer_id"] == customer.stripe_customer_id
