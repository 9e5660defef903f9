from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import OFF_SITE, types_of


@pytest.fixture
def setup(api, customer):
    """A SetupIntent to save another card of the customer."""
    return api.setup_intents.create(
        {"customer": customer.id, "automatic_payment_methods": OFF_SITE, "metadata": {"a": "1"}}
    )


def unexpected_state(call, *args):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        call(*args)
    assert (caught.value.http_status, caught.value.code) == (400, "setup_intent_unexpected_state")
    assert caught.value.error.setup_intent.object == "setup_intent"


def test_a_setup_intent_is_created_with_its_parameters(fake, api, setup, customer):
    found = api.setup_intents.retrieve(setup.id)

    assert found.status == "requires_payment_method"
    assert (found.customer, found.usage) == (customer.id, "off_session")
    assert found.metadata["a"] == "1"
    assert found.client_secret.startswith(f"{found.id}_secret_")
    assert types_of(fake)[-1] == "setup_intent.created"


def test_confirming_saves_the_card(fake, api, setup, customer):
    confirmed = api.setup_intents.confirm(setup.id, {"payment_method": "pm_card_amex"})

    assert confirmed.status == "succeeded"
    assert api.payment_methods.retrieve(confirmed.payment_method).customer == customer.id
    assert types_of(fake)[-2:] == ["payment_method.attached", "setup_intent.succeeded"]


def test_a_card_that_is_already_saved_can_be_confirmed(api, setup, card):
    assert api.setup_intents.confirm(setup.id, {"payment_method": card.id}).status == "succeeded"


def test_creating_and_confirming_can_be_one_step(api):
    confirmed = api.setup_intents.create(
        {"payment_method": "pm_card_visa", "confirm": True, "return_url": "https://example.com"}
    )

    assert confirmed.status == "succeeded"
    assert api.payment_methods.retrieve(confirmed.payment_method).customer is None


def test_a_setup_intent_with_a_card_requires_confirmation(api, setup, card):
    updated = api.setup_intents.update(
        setup.id, {"payment_method": card.id, "description": "Card", "metadata": {"b": "2"}}
    )

    assert (updated.status, updated.description) == ("requires_confirmation", "Card")
    assert updated.metadata.to_dict() == {"a": "1", "b": "2"}
    assert api.setup_intents.confirm(setup.id).status == "succeeded"


def test_an_update_of_the_description_does_not_change_the_status(api, setup):
    updated = api.setup_intents.update(setup.id, {"description": "Card"})

    assert updated.status == "requires_payment_method"


def test_a_declining_card_is_not_saved(fake, api, setup):
    with pytest.raises(stripe.CardError) as caught:
        api.setup_intents.confirm(setup.id, {"payment_method": "pm_card_chargeDeclinedExpiredCard"})

    assert caught.value.code == "expired_card"
    assert caught.value.error.setup_intent.id == setup.id
    found = api.setup_intents.retrieve(setup.id)
    assert found.status == "requires_payment_method"
    assert found.last_setup_error.code == "expired_card"
    assert types_of(fake)[-1] == "setup_intent.setup_failed"


def test_a_setup_intent_without_a_card_cannot_be_confirmed(api, setup):
    unexpected_state(api.setup_intents.confirm, setup.id)


def test_a_succeeded_setup_intent_cannot_be_confirmed_or_canceled(api, setup, card):
    api.setup_intents.confirm(setup.id, {"payment_method": card.id})

    unexpected_state(api.setup_intents.confirm, setup.id, {"payment_method": card.id})
    unexpected_state(api.setup_intents.cancel, setup.id)


def test_a_setup_intent_can_be_canceled(fake, api, setup, card):
    canceled = api.setup_intents.cancel(setup.id, {"cancellation_reason": "abandoned"})

    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    assert types_of(fake)[-1] == "setup_intent.canceled"
    unexpected_state(api.setup_intents.confirm, setup.id, {"payment_method": card.id})


def test_setup_intents_are_listed_by_customer(api, setup, customer):
    other = api.setup_intents.create()

    assert [found.id for found in api.setup_intents.list()] == [other.id, setup.id]
    assert [found.id for found in api.setup_intents.list({"customer": customer.id})] == [setup.id]


def test_a_customers_card_is_refused_without_the_customer(api, card):
    setup = api.setup_intents.create({"automatic_payment_methods": OFF_SITE})

    with pytest.raises(stripe.InvalidRequestError, match="Please include the Customer") as caught:
        api.setup_intents.confirm(setup.id, {"payment_method": card.id})
    assert caught.value.param == "payment_method"
