from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import client_of, intent_params


def test_ids_are_expanded_to_objects(api, paid, customer, card):
    expanded = api.payment_intents.retrieve(
        paid.id, {"expand": ["latest_charge.balance_transaction", "customer", "payment_method"]}
    )

    assert expanded.latest_charge.id == paid.latest_charge
    assert expanded.latest_charge.balance_transaction.amount == 1000
    assert expanded.customer.id == customer.id
    assert expanded.payment_method.card.last4 == "4242"


def test_the_path_begins_with_data_in_a_list(api, paid):
    (expanded,) = api.payment_intents.list({"expand": ["data.latest_charge"]}).data

    assert expanded.latest_charge.paid


def test_omitted_lists_can_be_expanded(api, paid):
    api.refunds.create({"payment_intent": paid.id, "amount": 300})

    plain = api.charges.retrieve(paid.latest_charge)
    expanded = api.charges.retrieve(paid.latest_charge, {"expand": ["refunds.data.charge"]})

    assert "refunds" not in plain
    assert [refund.amount for refund in expanded.refunds.data] == [300]
    assert expanded.refunds.data[0].charge.id == paid.latest_charge


def test_the_default_payment_method_is_inside_the_invoice_settings(api, customer, card):
    api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})

    expanded = api.customers.retrieve(
        customer.id, {"expand": ["invoice_settings.default_payment_method.customer"]}
    )

    default = expanded.invoice_settings.default_payment_method
    assert default.id == card.id
    assert default.customer.id == customer.id


def test_several_paths_may_share_their_beginning(api, paid):
    expanded = api.payment_intents.retrieve(
        paid.id, {"expand": ["latest_charge", "latest_charge.refunds", "latest_charge.refunds"]}
    )

    assert expanded.latest_charge.refunds.data == []


def test_null_stays_null_when_it_is_expanded(api, intent):
    expanded = api.payment_intents.retrieve(intent.id, {"expand": ["latest_charge.refunds"]})

    assert expanded.latest_charge is None


def test_a_deleted_payment_method_stays_an_id_when_it_is_expanded(legacy_fake):
    api = client_of(legacy_fake)
    customer = api.customers.create({"source": "tok_visa"})
    intent = api.payment_intents.create(intent_params(customer=customer.id))
    api.payment_intents.confirm(intent.id)
    api.customers.delete(customer.id)

    expanded = api.payment_intents.retrieve(intent.id, {"expand": ["payment_method", "customer"]})

    assert expanded.payment_method == customer.default_source
    assert expanded.customer.deleted


@pytest.mark.parametrize(
    "path", ["metadata", "nonsense", "customer.nonsense", "latest_charge.refunds.charge"]
)
def test_a_property_that_cannot_be_expanded_is_refused(api, intent, path):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.retrieve(intent.id, {"expand": [path]})

    assert str(caught.value.user_message) == f"This property cannot be expanded ({path})."


def test_a_path_of_five_levels_is_refused(api, paid):
    path = "data.latest_charge.payment_intent.latest_charge.customer"

    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.list({"expand": [path]})

    assert caught.value.code == "property_expansion_max_depth"


def test_a_request_with_an_invalid_path_has_no_effect(fake, api, customer):
    with pytest.raises(stripe.InvalidRequestError):
        api.customers.update(customer.id, {"name": "Ada", "expand": ["nonsense"]})

    assert api.customers.retrieve(customer.id).name is None
