from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import client_of, intent_params


@pytest.fixture
def api(legacy_fake):
    return client_of(legacy_fake)


@pytest.fixture
def legacy_customer(api):
    """A customer with a legacy card."""
    return api.customers.create({"source": "tok_visa", "expand": ["sources"]})


def sources(api, customer):
    return [card.id for card in api.customers.payment_sources.list(customer.id)]


def test_a_card_token_becomes_the_default_source(api, legacy_customer):
    (card,) = legacy_customer.sources.data

    assert card.id.startswith("card_")
    assert legacy_customer.default_source == card.id
    assert (card.brand, card.last4, card.customer) == ("Visa", "4242", legacy_customer.id)


def test_sources_are_shown_only_when_expanded(api, legacy_customer):
    assert "sources" not in api.customers.retrieve(legacy_customer.id)


def test_a_second_card_is_not_the_default(api, legacy_customer):
    card = api.customers.payment_sources.create(
        legacy_customer.id, {"source": "tok_mastercard", "metadata": {"a": "1"}}
    )

    assert sources(api, legacy_customer) == [card.id, legacy_customer.default_source]
    assert card.brand == "MasterCard"
    assert card.metadata["a"] == "1"
    assert (
        api.customers.retrieve(legacy_customer.id).default_source == legacy_customer.default_source
    )


def test_a_source_in_an_update_replaces_the_default(api, legacy_customer):
    updated = api.customers.update(legacy_customer.id, {"source": "tok_amex"})

    assert updated.default_source != legacy_customer.default_source
    assert sources(api, legacy_customer) == [updated.default_source]


def test_a_source_in_an_update_can_be_the_first(api):
    legacy_customer = api.customers.create()

    updated = api.customers.update(legacy_customer.id, {"source": "tok_visa"})

    assert sources(api, legacy_customer) == [updated.default_source]


def test_another_card_can_be_made_the_default(api, legacy_customer):
    card = api.customers.payment_sources.create(legacy_customer.id, {"source": "tok_amex"})

    updated = api.customers.update(legacy_customer.id, {"default_source": card.id})

    assert updated.default_source == card.id


def test_the_default_source_must_belong_to_the_customer(api, legacy_customer):
    other = api.customers.create()

    with pytest.raises(stripe.InvalidRequestError, match="No such source"):
        api.customers.update(other.id, {"default_source": legacy_customer.default_source})


def test_the_newest_other_card_becomes_the_default_when_the_default_is_deleted(
    legacy_fake, api, legacy_customer
):
    other = api.customers.payment_sources.create(legacy_customer.id, {"source": "tok_amex"})

    deleted = api.customers.payment_sources.delete(
        legacy_customer.id, legacy_customer.default_source
    )

    assert deleted.deleted
    assert api.customers.retrieve(legacy_customer.id).default_source == other.id
    assert legacy_fake.events[-1]["type"] == "customer.source.deleted"


def test_there_is_no_default_after_the_last_card_is_deleted(api, legacy_customer):
    api.customers.payment_sources.delete(legacy_customer.id, legacy_customer.default_source)

    assert api.customers.retrieve(legacy_customer.id).default_source is None
    assert sources(api, legacy_customer) == []


def test_deleting_another_card_does_not_change_the_default(api, legacy_customer):
    other = api.customers.payment_sources.create(legacy_customer.id, {"source": "tok_amex"})

    api.customers.payment_sources.delete(legacy_customer.id, other.id)

    assert (
        api.customers.retrieve(legacy_customer.id).default_source == legacy_customer.default_source
    )


def test_a_card_can_be_changed(legacy_fake, api, legacy_customer):
    updated = api.customers.payment_sources.update(
        legacy_customer.id,
        legacy_customer.default_source,
        {"name": "Ada", "exp_year": "2040", "metadata": {"a": "1"}},
    )

    assert (updated.name, updated.exp_year, updated.metadata["a"]) == ("Ada", 2040, "1")
    assert legacy_fake.events[-1]["type"] == "customer.source.updated"


def test_the_card_of_another_customer_is_not_found(api, legacy_customer):
    other = api.customers.create()

    with pytest.raises(stripe.InvalidRequestError, match="No such source"):
        api.customers.payment_sources.retrieve(other.id, legacy_customer.default_source)


def test_only_cards_are_listed(api, legacy_customer):
    found = api.customers.payment_sources.list(legacy_customer.id, {"object": "bank_account"})

    assert found.data == []


def test_legacy_cards_are_payment_methods_but_payment_methods_are_not_sources(api, legacy_customer):
    method = api.payment_methods.attach("pm_card_mastercard", {"customer": legacy_customer.id})

    of_path = api.customers.payment_methods.list(legacy_customer.id)
    of_filter = api.payment_methods.list({"customer": legacy_customer.id, "type": "card"})

    for methods in (of_path, of_filter):
        assert [found.id for found in methods] == [method.id, legacy_customer.default_source]
        assert methods.data[1].object == "payment_method"
        assert methods.data[1].card.last4 == "4242"
    assert sources(api, legacy_customer) == [legacy_customer.default_source]


def test_a_legacy_card_pays_when_no_payment_method_is_given(api, legacy_customer):
    intent = api.payment_intents.create(intent_params(customer=legacy_customer.id))

    paid = api.payment_intents.confirm(
        intent.id, {"off_session": True, "expand": ["payment_method"]}
    )

    assert paid.status == "succeeded"
    assert paid.payment_method.id == legacy_customer.default_source
    assert paid.payment_method.object == "payment_method"


def test_no_customer_is_created_with_a_declining_token(api):
    with pytest.raises(stripe.CardError, match="insufficient funds"):
        api.customers.create({"source": "tok_chargeDeclinedInsufficientFunds"})

    assert api.customers.list().data == []


@pytest.mark.parametrize("source", ["tok_none", "src_none", "nonsense"])
def test_an_unknown_source_is_refused(api, source):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.customers.create({"source": source})

    assert (caught.value.http_status, caught.value.code) == (400, "resource_missing")
    assert caught.value.param == "source"


def test_a_token_can_be_used_once(api, legacy_fake):
    token = legacy_fake.create_token()
    api.customers.create({"source": token})

    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.customers.create({"source": token})

    assert caught.value.code == "token_already_used"
    assert caught.value.user_message == f"You cannot use a Stripe token more than once: {token}."


def test_card_tokens_are_refused_on_a_new_account(fake):
    api = client_of(fake)
    customer = api.customers.create()
    calls = [
        lambda: api.customers.create({"source": "tok_visa"}),
        lambda: api.customers.update(customer.id, {"source": "tok_visa"}),
        lambda: api.customers.payment_sources.create(customer.id, {"source": "tok_visa"}),
    ]

    for call in calls:
        with pytest.raises(stripe.InvalidRequestError, match="has reached end of life"):
            call()
