from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import intent_params, types_of


def test_a_payment_method_shows_its_card_without_the_number(api):
    made = api.payment_methods.create(
        {
            "type": "card",
            "card": {"token": "tok_amex"},
            "billing_details": {"email": "ada@example.com"},
            "metadata": {"a": "1"},
        }
    )

    assert made.id.startswith("pm_")
    assert made.customer is None
    assert (made.card.brand, made.card.last4) == ("amex", "0005")
    assert made.billing_details.email == "ada@example.com"
    assert made.metadata["a"] == "1"
    assert "378282246310005" not in str(made)


@pytest.mark.parametrize(
    ("params", "param"),
    [({}, "type"), ({"type": "card"}, "card"), ({"type": "sepa_debit"}, "type")],
)
def test_only_cards_can_be_created(api, params, param):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_methods.create(params)

    assert caught.value.param == param


def test_a_payment_method_is_attached_to_a_customer(fake, api, customer):
    method = api.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})

    attached = api.payment_methods.attach(method.id, {"customer": customer.id})

    assert attached.customer == customer.id
    assert api.customers.payment_methods.retrieve(customer.id, method.id).id == method.id
    assert types_of(fake)[-1] == "payment_method.attached"


def test_attaching_requires_a_customer(api):
    with pytest.raises(stripe.InvalidRequestError, match="Missing required param: customer"):
        api.payment_methods.attach("pm_card_visa")


def test_attaching_twice_is_refused(api, card):
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        api.payment_methods.attach(card.id, {"customer": api.customers.create().id})


def test_a_test_payment_method_is_copied_each_time(api, customer):
    first = api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    second = api.payment_methods.attach("pm_card_visa", {"customer": customer.id})

    assert first.id != second.id
    assert first.card.fingerprint == second.card.fingerprint


def test_a_detached_payment_method_cannot_be_used_again(fake, api, customer, card):
    api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})

    assert api.payment_methods.detach(card.id).customer is None

    assert types_of(fake)[-1] == "payment_method.detached"
    assert api.customers.payment_methods.list(customer.id).data == []
    found = api.customers.retrieve(customer.id)
    assert found.invoice_settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        api.payment_methods.attach(card.id, {"customer": customer.id})


def test_detaching_another_card_does_not_change_the_default(api, customer, card):
    other = api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})

    api.payment_methods.detach(other.id)

    settings = api.customers.retrieve(customer.id).invoice_settings
    assert settings.default_payment_method == card.id


def test_a_payment_method_without_a_customer_cannot_be_detached(api):
    method = api.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})

    with pytest.raises(stripe.InvalidRequestError, match="not attached to a customer"):
        api.payment_methods.detach(method.id)


def test_a_payment_method_can_be_updated(fake, api, card):
    updated = api.payment_methods.update(
        card.id,
        {
            "metadata": {"a": "1"},
            "billing_details": {"name": "Ada"},
            "card": {"exp_month": 3, "exp_year": 2041},
        },
    )

    assert updated.metadata["a"] == "1"
    assert (updated.billing_details.name, updated.billing_details.email) == ("Ada", None)
    assert (updated.card.exp_month, updated.card.last4) == (3, "4242")
    assert types_of(fake)[-1] == "payment_method.updated"


def test_no_payment_methods_are_listed_without_a_customer(api, card):
    assert api.payment_methods.list().data == []


def test_a_list_can_be_filtered_by_type(api, customer, card):
    params = {"customer": customer.id, "type": "sepa_debit"}

    assert api.payment_methods.list(params).data == []


def test_another_customers_payment_method_is_not_shown(api, card):
    other = api.customers.create()

    with pytest.raises(stripe.InvalidRequestError, match="does not belong to the Customer"):
        api.customers.payment_methods.retrieve(other.id, card.id)


def test_a_payment_method_without_a_customer_can_be_used_once(api):
    method = api.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    params = intent_params(payment_method=method.id, confirm=True)

    assert api.payment_intents.create(params).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="previously used with a PaymentIntent"):
        api.payment_intents.create(params)
