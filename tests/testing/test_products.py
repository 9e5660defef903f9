from __future__ import annotations

import pytest

from tests.testing.conftest import plan_params, refusal_of, types_of


def test_a_product_is_created_changed_and_deleted(fake, api):
    product = api.products.create({"name": "Gold", "metadata": {"a": "1"}})
    api.products.update(product.id, {"name": "Silver", "url": "", "metadata": {"b": "2"}})

    read = api.products.retrieve(product.id)
    assert (read.name, read.url, read.metadata.to_dict()) == ("Silver", None, {"a": "1", "b": "2"})
    assert api.products.delete(product.id).deleted
    assert refusal_of(api.products.retrieve, product.id).http_status == 404
    assert types_of(fake) == ["product.created", "product.updated", "product.deleted"]


def test_an_id_can_be_used_once(api):
    api.products.create({"id": "a b/ü", "name": "Gold"})

    error = refusal_of(api.products.create, {"id": "a b/ü", "name": "Silver"})

    assert (error.code, error.param) == ("resource_already_exists", "id")
    assert api.products.retrieve("a b/ü").name == "Gold"


def test_a_product_with_a_price_cannot_be_deleted(api, plan):
    error = refusal_of(api.products.delete, plan.product)

    assert str(error.user_message) == (
        "This product cannot be deleted because it has one or more user-created prices."
    )


@pytest.mark.parametrize("text", ["x" * 23, "a<b", "a>b", "a\\b", 'a"b', "a'b", "123"])
@pytest.mark.parametrize("verb", ["create", "update"])
def test_an_invalid_statement_descriptor_is_refused(api, verb, text):
    product = api.products.create({"name": "Gold"})

    if verb == "create":
        error = refusal_of(api.products.create, {"name": "B", "statement_descriptor": text})
    else:
        error = refusal_of(api.products.update, product.id, {"statement_descriptor": text})

    assert (error.http_status, error.param) == (400, "statement_descriptor")


def test_a_statement_descriptor_of_22_characters_is_accepted(api):
    product = api.products.create(
        {"name": "Gold", "statement_descriptor": "GOLD*MEMBERSHIP OF 22C"}
    )

    assert product.statement_descriptor == "GOLD*MEMBERSHIP OF 22C"


def test_the_default_price_must_exist(api, plan):
    api.products.update(plan.product, {"default_price": plan.id})

    error = refusal_of(api.products.update, plan.product, {"default_price": "none"})

    expanded = api.products.retrieve(plan.product, {"expand": ["default_price"]})
    assert expanded.default_price.unit_amount == 1000
    assert (error.code, error.param) == ("resource_missing", "default_price")


def test_products_are_listed(api):
    first = api.products.create({"name": "A"})
    second = api.products.create({"name": "B", "active": False})
    api.products.create({"name": "C"})

    assert [item.id for item in api.products.list({"active": False}).data] == [second.id]
    assert [item.name for item in api.products.list({"ids": [first.id, second.id]}).data] == [
        "B",
        "A",
    ]


def test_creating_a_product_with_its_price_is_not_supported(api):
    error = refusal_of(
        api.products.create, {"name": "Gold", "default_price_data": {"currency": "usd"}}
    )

    assert "FakeStripe does not support default_price_data" in str(error.user_message)


def test_an_error_of_a_plans_product_names_the_whole_parameter(api):
    api.products.create({"id": "gold", "name": "Gold"})

    taken = refusal_of(api.plans.create, plan_params(product={"name": "Gold", "id": "gold"}))
    bad = refusal_of(
        api.plans.create, plan_params(product={"name": "Gold", "statement_descriptor": "<"})
    )

    assert taken.param == "product[id]"
    assert bad.param == "product[statement_descriptor]"
