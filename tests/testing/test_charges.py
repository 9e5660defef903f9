from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import client_of, intent_params, types_of


def charge_params(**params):
    return {"amount": 1000, "currency": "usd", **params}


def test_a_charge_has_the_details_of_its_payment_intent(api, customer, card):
    paid = api.payment_intents.create(
        intent_params(
            customer=customer.id,
            payment_method=card.id,
            confirm=True,
            off_session=True,
            description="Order 1",
            metadata={"uuid": "1"},
            statement_descriptor_suffix="ORDER",
        )
    )

    charge = api.charges.retrieve(paid.latest_charge)

    assert (charge.description, charge.statement_descriptor_suffix) == ("Order 1", "ORDER")
    assert charge.metadata["uuid"] == "1"
    assert charge.payment_intent == paid.id


def test_a_charge_has_a_balance_transaction(api, paid):
    charge = api.charges.retrieve(paid.latest_charge)

    transaction = api.balance_transactions.retrieve(charge.balance_transaction)

    assert (transaction.amount, transaction.fee, transaction.net) == (1000, 59, 941)
    assert (transaction.source, transaction.type) == (charge.id, "charge")


def test_charges_are_listed_by_customer_and_payment_intent(api, paid, customer):
    other = api.payment_intents.create(intent_params(payment_method="pm_card_visa", confirm=True))

    def listed(**params):
        return [charge.id for charge in api.charges.list(params)]

    assert listed() == [other.latest_charge, paid.latest_charge]
    assert listed(customer=customer.id) == [paid.latest_charge]
    assert listed(payment_intent=other.id) == [other.latest_charge]


def test_the_description_and_the_metadata_can_be_changed(fake, api, paid):
    updated = api.charges.update(paid.latest_charge, {"description": "New", "metadata": {"a": "1"}})

    assert (updated.description, updated.metadata["a"]) == ("New", "1")
    assert types_of(fake)[-1] == "charge.updated"


@pytest.mark.parametrize("name", ["amount", "currency"])
def test_a_legacy_charge_requires_amount_and_currency(api, name):
    params = charge_params(source="tok_visa")
    del params[name]

    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.charges.create(params)

    assert (caught.value.code, caught.value.param) == ("parameter_missing", name)


def test_a_legacy_charge_requires_a_source_or_a_customer(api):
    with pytest.raises(stripe.InvalidRequestError, match="Must provide source or customer"):
        api.charges.create(charge_params())


def test_a_legacy_charge_of_a_customer_without_a_card_is_refused(api):
    with pytest.raises(stripe.CardError, match="doesn't have any saved payment details"):
        api.charges.create(charge_params(customer=api.customers.create().id))


def test_a_legacy_charge_cannot_be_captured_later(api):
    with pytest.raises(stripe.InvalidRequestError, match="does not support capture=false"):
        api.charges.create(charge_params(source="tok_visa", capture=False))


def test_a_legacy_charge_of_a_customer_cannot_use_a_token(legacy_fake):
    api = client_of(legacy_fake)
    customer = api.customers.create({"source": "tok_visa"})

    with pytest.raises(stripe.InvalidRequestError, match="end of life"):
        api.charges.create(charge_params(customer=customer.id, source="tok_visa"))


def test_a_customers_default_source_is_charged_if_card_tokens_are_allowed(legacy_fake):
    api = client_of(legacy_fake)
    customer = api.customers.create({"source": "tok_visa"})

    charge = api.charges.create(charge_params(customer=customer.id, metadata={"a": "1"}))

    assert (charge.paid, charge.payment_intent) == (True, None)
    assert charge.payment_method == customer.default_source
    assert charge.metadata["a"] == "1"


def test_a_declined_card_token_creates_a_failed_charge(legacy_fake):
    api = client_of(legacy_fake)

    with pytest.raises(stripe.CardError) as caught:
        api.charges.create(charge_params(source="tok_chargeCustomerFail"))

    assert api.charges.retrieve(caught.value.error.charge).status == "failed"
