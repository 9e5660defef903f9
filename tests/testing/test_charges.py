from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import client_of, intent_params, types_of


def order(**params):
    return {"amount": 1000, "currency": "usd", **params}


def test_a_charge_tells_its_plan(api, customer, card):
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


def test_a_charge_is_booked(api, paid):
    charge = api.charges.retrieve(paid.latest_charge)

    booked = api.balance_transactions.retrieve(charge.balance_transaction)

    assert (booked.amount, booked.fee, booked.net) == (1000, 59, 941)
    assert (booked.source, booked.type) == (charge.id, "charge")


def test_charges_are_found_by_customer_and_plan(api, paid, customer):
    other = api.payment_intents.create(intent_params(payment_method="pm_card_visa", confirm=True))

    def found(**params):
        return [charge.id for charge in api.charges.list(params)]

    assert found() == [other.latest_charge, paid.latest_charge]
    assert found(customer=customer.id) == [paid.latest_charge]
    assert found(payment_intent=other.id) == [other.latest_charge]


def test_what_is_for_people_can_be_changed(fake, api, paid):
    updated = api.charges.update(paid.latest_charge, {"description": "New", "metadata": {"a": "1"}})

    assert (updated.description, updated.metadata["a"]) == ("New", "1")
    assert types_of(fake)[-1] == "charge.updated"


@pytest.mark.parametrize("name", ["amount", "currency"])
def test_a_legacy_charge_needs_to_know_how_much(api, name):
    params = order(source="tok_visa")
    del params[name]

    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.charges.create(params)

    assert (caught.value.code, caught.value.param) == ("parameter_missing", name)


def test_a_legacy_charge_needs_to_know_of_whom(api):
    with pytest.raises(stripe.InvalidRequestError, match="Must provide source or customer"):
        api.charges.create(order())


def test_a_legacy_charge_of_a_customer_without_any_card(api):
    with pytest.raises(stripe.CardError, match="doesn't have any saved payment details"):
        api.charges.create(order(customer=api.customers.create().id))


def test_a_legacy_charge_is_taken_at_once(api):
    with pytest.raises(stripe.InvalidRequestError, match="does not support capture=false"):
        api.charges.create(order(source="tok_visa", capture=False))


def test_a_customer_has_no_tokens(legacy_fake):
    api = client_of(legacy_fake)
    owner = api.customers.create({"source": "tok_visa"})

    with pytest.raises(stripe.InvalidRequestError, match="end of life"):
        api.charges.create(order(customer=owner.id, source="tok_visa"))


def test_where_allowed_a_customers_default_source_is_charged(legacy_fake):
    api = client_of(legacy_fake)
    owner = api.customers.create({"source": "tok_visa"})

    charge = api.charges.create(order(customer=owner.id, metadata={"a": "1"}))

    assert (charge.paid, charge.payment_intent) == (True, None)
    assert charge.payment_method == owner.default_source
    assert charge.metadata["a"] == "1"


def test_where_allowed_a_declining_card_leaves_a_failed_charge(legacy_fake):
    api = client_of(legacy_fake)

    with pytest.raises(stripe.CardError) as caught:
        api.charges.create(order(source="tok_chargeCustomerFail"))

    assert api.charges.retrieve(caught.value.error.charge).status == "failed"
