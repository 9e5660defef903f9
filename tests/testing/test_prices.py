from __future__ import annotations

import pytest

from tests.testing.conftest import plan_params, refusal_of, types_of


def price_params(**changes):
    return {"currency": "usd", "unit_amount": 1000, "product_data": {"name": "Gold"}, **changes}


MONTHLY = {"interval": "month"}


def test_a_recurring_price_is_also_a_plan(fake, api):
    price = api.prices.create(
        price_params(recurring={"interval": "week", "interval_count": 2}, nickname="n")
    )

    plan = api.plans.retrieve(price.id)
    assert (plan.amount, plan.interval, plan.interval_count, plan.nickname) == (
        1000,
        "week",
        2,
        "n",
    )
    assert price.type == "recurring"
    assert types_of(fake) == ["product.created", "plan.created", "price.created"]


def test_a_plan_is_also_a_price(api, plan):
    price = api.prices.retrieve(plan.id)

    assert (price.unit_amount, price.recurring.interval, price.type) == (1000, "month", "recurring")
    assert price.product == plan.product


def test_a_one_time_price_is_not_a_plan(api):
    price = api.prices.create(price_params())

    assert (price.type, price.recurring) == ("one_time", None)
    assert refusal_of(api.plans.retrieve, price.id).http_status == 404
    assert api.prices.update(price.id, {"nickname": "n"}).nickname == "n"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"id": "gold"}, "id"),
        ({"product": "prod_1"}, "product"),
        ({"product_data": None}, "product"),
        ({"unit_amount": None}, "unit_amount"),
        ({"recurring": {"interval": "month", "interval_count": 40}}, "recurring[interval_count]"),
        ({"recurring": {"interval": "month", "meter": "m"}}, "recurring[meter]"),
        ({"custom_unit_amount": {"enabled": True}}, "custom_unit_amount"),
    ],
)
def test_a_price_with_invalid_parameters_is_refused(api, changes, param):
    params = {name: value for name, value in price_params(**changes).items() if value is not None}

    assert refusal_of(api.prices.create, params).param == param


def test_an_unknown_product_is_refused(api):
    params = price_params(product="prod_1")
    del params["product_data"]

    assert refusal_of(api.prices.create, params).code == "resource_missing"


def test_a_lookup_key_belongs_to_one_price(api):
    first = api.prices.create(price_params(lookup_key="standard"))

    error = refusal_of(api.prices.create, price_params(lookup_key="standard"))
    second = api.prices.create(price_params(lookup_key="standard", transfer_lookup_key=True))

    assert error.param == "lookup_key"
    assert api.prices.retrieve(first.id).lookup_key is None
    assert [item.id for item in api.prices.list({"lookup_keys": ["standard"]}).data] == [second.id]


def test_a_lookup_key_is_kept_when_its_transfer_is_refused(api):
    first = api.prices.create(price_params(lookup_key="standard"))
    params = price_params(lookup_key="standard", transfer_lookup_key=True, product="prod_none")
    del params["product_data"]

    assert refusal_of(api.prices.create, params).param == "product"
    assert api.prices.retrieve(first.id).lookup_key == "standard"
    renamed = api.prices.update(first.id, {"lookup_key": "basic"})
    assert renamed.lookup_key == "basic"


def test_prices_are_listed(api, plan):
    once = api.prices.create(price_params())
    yearly = api.prices.create(price_params(recurring={"interval": "year"}, currency="eur"))

    def listed(**params):
        return [item.id for item in api.prices.list(params).data]

    assert listed() == [yearly.id, once.id, plan.id]
    assert listed(type="one_time") == [once.id]
    assert listed(recurring={"interval": "year"}) == [yearly.id]
    assert listed(currency="usd") == [once.id, plan.id]
    assert listed(product=plan.product) == [plan.id]


def test_a_change_of_a_price_changes_its_plan(api, plan):
    api.prices.update(plan.id, {"metadata": {"a": "1"}, "active": False})

    changed = api.plans.retrieve(plan.id)
    assert (changed.metadata.a, changed.active) == ("1", False)


def test_stripe_chooses_the_id_when_none_is_given(api):
    assert api.prices.create(price_params()).id.startswith("price_")
    assert api.plans.create(plan_params()).id.startswith("price_")
