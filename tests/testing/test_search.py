"""``/search`` of payment intents, customers and subscriptions: by the metadata, after a minute."""

from __future__ import annotations

import pytest
import stripe

QUERY = "metadata['order']:'6735'"


@pytest.fixture
def found_by(api, fake):
    """``found_by(query)`` returns the ids that the search finds a minute later."""

    def found_by(query, **params):
        fake.advance(60)
        search = api.payment_intents.search({"query": query, **params})
        return [intent.id for intent in search.auto_paging_iter()]

    return found_by


def create(api, **metadata):
    return api.payment_intents.create({"amount": 1000, "currency": "usd", "metadata": metadata})


@pytest.mark.parametrize("query", [QUERY, 'metadata["order"]:"6735"'])
def test_intents_are_found_by_a_value_of_their_metadata(api, found_by, query):
    intent = create(api, order="6735")
    create(api, order="6736")
    create(api, other="6735")
    create(api)

    assert found_by(query) == [intent.id]


@pytest.mark.usefixtures("still")
def test_a_new_intent_is_not_found_yet(api, fake):
    create(api, order="6735")
    fake.advance(59)

    assert api.payment_intents.search({"query": QUERY}).data == []


def test_all_pages_are_found_newest_first(api, found_by):
    intents = [create(api, order="6735").id for _ in range(5)]

    assert found_by(QUERY, limit=2) == intents[::-1]


@pytest.mark.parametrize("query", ["", "6735", "status:'succeeded'", "metadata['a']:'b' OR x:1"])
def test_another_query_is_refused(api, query):
    with pytest.raises(stripe.InvalidRequestError, match="FakeStripe only searches"):
        api.payment_intents.search({"query": query})


def test_customers_are_found(api, fake):
    customer = api.customers.create({"metadata": {"order": "6735"}})
    deleted = api.customers.create({"metadata": {"order": "6735"}})
    fake.advance(60)
    api.customers.delete(deleted.id)

    assert [it.id for it in api.customers.search({"query": QUERY}).data] == [customer.id]


def test_subscriptions_are_found_though_they_have_ended(api, fake):
    customer = api.customers.create({"payment_method": "pm_card_visa"})
    [method] = api.customers.payment_methods.list(customer.id).data
    plan = api.plans.create(
        {"amount": 100, "currency": "usd", "interval": "month", "product": {"name": "gold"}}
    )
    subscription = api.subscriptions.create(
        {
            "customer": customer.id,
            "default_payment_method": method.id,
            "items": [{"price": plan.id}],
            "metadata": {"order": "6735"},
        }
    )
    fake.advance(60)
    api.subscriptions.cancel(subscription.id)

    assert [it.id for it in api.subscriptions.search({"query": QUERY}).data] == [subscription.id]
