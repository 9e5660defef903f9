from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import types_of


def test_a_customer_is_created_with_its_parameters(fake, api):
    made = api.customers.create(
        {
            "email": "ada@example.com",
            "description": "First",
            "metadata": {"uuid": "1"},
            "address": {"city": "London", "country": "GB"},
        }
    )

    found = api.customers.retrieve(made.id)
    assert found.to_dict() == made.to_dict()
    assert found.id.startswith("cus_")
    assert (found.email, found.description) == ("ada@example.com", "First")
    assert found.metadata["uuid"] == "1"
    assert found.address.city == "London"
    assert found.livemode is False
    assert abs(found.created - fake.now) <= 2
    assert "sources" not in found
    assert "subscriptions" not in found


@pytest.mark.parametrize("email", ["Ada", "ada@com", " ada@example.com", "ada\uff20example.com"])
def test_an_invalid_email_is_refused(fake, api, customer, email):
    for send in (api.customers.create, lambda params: api.customers.update(customer.id, params)):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            send({"email": email, "name": "Ada"})

        error = caught.value
        assert (error.http_status, error.code, error.param) == (400, "email_invalid", "email")
        assert error.user_message == f"Invalid email address: {email}"
    assert [it["name"] for it in fake.account.all("customer")] == [None]


def test_an_empty_email_deletes_the_stored_one(api):
    made = api.customers.create({"email": "ada@example.com"})

    assert api.customers.update(made.id, {"email": ""}).email is None


def test_a_customer_can_be_created_with_invoice_settings(api):
    made = api.customers.create({"invoice_settings": {"footer": "Thank you"}})

    assert made.invoice_settings.footer == "Thank you"
    assert made.invoice_settings.default_payment_method is None


def test_a_customer_can_be_created_with_a_payment_method(fake, api):
    made = api.customers.create(
        {
            "payment_method": "pm_card_visa",
            "invoice_settings": {"default_payment_method": "pm_card_visa"},
        }
    )

    (method,) = api.customers.payment_methods.list(made.id).data
    assert method.customer == made.id
    assert made.invoice_settings.default_payment_method == method.id
    assert types_of(fake) == ["customer.created", "payment_method.attached"]


def test_no_customer_is_created_with_a_declining_payment_method(fake, api):
    with pytest.raises(stripe.CardError):
        api.customers.create({"payment_method": "pm_card_chargeDeclined"})

    assert api.customers.list().data == []
    assert types_of(fake) == []


def test_the_default_of_a_new_customer_must_be_its_own_payment_method(api, card):
    with pytest.raises(stripe.InvalidRequestError, match="must be attached to the customer"):
        api.customers.create({"invoice_settings": {"default_payment_method": card.id}})


def test_an_update_changes_fields_and_merges_metadata(fake, api, customer):
    api.customers.update(customer.id, {"name": "Ada", "phone": "1", "metadata": {"a": "1"}})
    updated = api.customers.update(
        customer.id, {"name": "Grace", "phone": "", "metadata": {"b": "2"}}
    )

    assert (updated.name, updated.phone) == ("Grace", None)
    assert updated.metadata.to_dict() == {"a": "1", "b": "2"}
    event = fake.events[-1]
    assert event["type"] == "customer.updated"
    assert event["data"]["previous_attributes"] == {
        "name": "Ada",
        "phone": "1",
        "metadata": {"a": "1"},
    }


def test_the_default_payment_method_can_be_set_and_unset(api, customer, card):
    settings = {"default_payment_method": card.id}
    updated = api.customers.update(customer.id, {"invoice_settings": settings})
    assert updated.invoice_settings.default_payment_method == card.id

    updated = api.customers.update(
        customer.id, {"invoice_settings": {"default_payment_method": ""}}
    )
    assert updated.invoice_settings.default_payment_method is None


def test_the_default_payment_method_must_belong_to_the_customer(api, customer, card):
    other = api.customers.create()

    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.customers.update(other.id, {"invoice_settings": {"default_payment_method": card.id}})
    assert caught.value.code == "resource_missing"
    assert caught.value.param == "invoice_settings[default_payment_method]"

    with pytest.raises(stripe.InvalidRequestError, match="No such payment_method: 'pm_none'"):
        api.customers.update(other.id, {"invoice_settings": {"default_payment_method": "pm_none"}})


def test_a_deleted_customer_keeps_only_its_id(fake, api, customer):
    deleted = api.customers.delete(customer.id)

    assert deleted.to_dict() == {"id": customer.id, "object": "customer", "deleted": True}
    assert api.customers.retrieve(customer.id).to_dict() == deleted.to_dict()
    assert api.customers.list().data == []
    assert types_of(fake)[-1] == "customer.deleted"


@pytest.mark.parametrize(
    "call",
    [
        lambda api, id: api.customers.update(id, {"name": "Ada"}),
        lambda api, id: api.customers.delete(id),
        lambda api, id: api.customers.payment_methods.list(id),
        lambda api, id: api.customers.payment_sources.list(id),
    ],
)
def test_other_calls_for_a_deleted_customer_are_a_404(api, customer, call):
    api.customers.delete(customer.id)

    with pytest.raises(stripe.InvalidRequestError) as caught:
        call(api, customer.id)

    assert caught.value.http_status == 404
    assert caught.value.user_message == f"No such customer: '{customer.id}'"


def test_the_cards_of_a_deleted_customer_cannot_be_used(api, customer, card):
    api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    other = api.customers.create({"payment_method": "pm_card_visa"})
    api.customers.delete(customer.id)

    assert api.payment_methods.retrieve(card.id).customer is None
    assert len(api.customers.payment_methods.list(other.id).data) == 1
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        api.payment_methods.attach(card.id, {"customer": api.customers.create().id})


def test_an_unknown_customer_is_a_404(api):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.customers.retrieve("cus_none")

    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


def test_customers_are_listed_by_email(api):
    api.customers.create({"email": "a@example.com"})
    wanted = api.customers.create({"email": "b@example.com"})

    assert [found.id for found in api.customers.list({"email": "b@example.com"})] == [wanted.id]
