from __future__ import annotations

import json
from decimal import Decimal

import pytest
import stripe

from tests.testing.conftest import plan_params, refusal_of, subscribe, types_of


def test_a_plan_can_be_created_with_its_product(fake, api):
    plan = api.plans.create(
        plan_params(
            product={"name": "Gold", "statement_descriptor": "GOLD CLUB"},
            nickname="g",
            metadata={"a": "1"},
            interval_count=3,
            trial_period_days=14,
        )
    )

    product = api.products.retrieve(plan.product)
    assert (product.name, product.statement_descriptor) == ("Gold", "GOLD CLUB")
    assert (plan.amount, plan.currency, plan.interval, plan.interval_count) == (
        1000,
        "usd",
        "month",
        3,
    )
    assert (plan.nickname, plan.trial_period_days, plan.metadata.a) == ("g", 14, "1")
    assert types_of(fake) == ["product.created", "plan.created", "price.created"]


def test_a_plan_can_be_created_for_an_existing_product(api):
    product = api.products.create({"name": "Gold"})

    plan = api.plans.create(plan_params(product=product.id))

    assert plan.product == product.id


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"name": "Gold"}, "parameter_unknown", "name"),
        ({"statement_descriptor": "GOLD"}, "parameter_unknown", "statement_descriptor"),
        ({"product": "prod_none"}, "resource_missing", "product"),
        ({"product": {"active": True}}, "parameter_missing", "product[name]"),
        ({"currency": "xxx"}, None, "currency"),
        ({"interval": "fortnight"}, None, "interval"),
        ({"interval_count": 0}, "parameter_invalid_integer", "interval_count"),
        ({"interval_count": 37}, None, "interval_count"),
        ({"interval": "year", "interval_count": 4}, None, "interval_count"),
        ({"interval": "week", "interval_count": 157}, None, "interval_count"),
        ({"interval": "day", "interval_count": 1096}, None, "interval_count"),
        ({"amount": -1}, "parameter_invalid_integer", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"amount_decimal": "1.5"}, "parameters_exclusive", "amount"),
        ({"currency": "isk", "amount": 150}, "parameter_invalid_integer", "amount"),
        ({"trial_period_days": -1}, "parameter_invalid_integer", "trial_period_days"),
        ({"billing_scheme": "tiered"}, None, "billing_scheme"),
        ({"usage_type": "metered"}, None, "usage_type"),
        ({"tiers_mode": "volume"}, None, "tiers_mode"),
    ],
)
def test_a_plan_with_invalid_parameters_is_refused(fake, api, changes, code, param):
    error = refusal_of(api.plans.create, plan_params(**changes))

    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert fake.account.all("plan") == fake.account.all("price") == []


@pytest.mark.parametrize("missing", ["currency", "interval", "product", "amount"])
def test_the_error_names_the_missing_parameter(api, missing):
    params = plan_params()
    del params[missing]

    error = refusal_of(api.plans.create, params)

    assert (error.code, error.param) == ("parameter_missing", missing)


def test_an_interval_of_three_years_is_accepted(api):
    for interval, count in (("day", 1095), ("week", 156), ("month", 36), ("year", 3)):
        plan = api.plans.create(plan_params(interval=interval, interval_count=count))
        assert plan.interval_count == count


def raw(fake, plan):
    return json.loads(json.dumps(fake.account.get("plan", plan.id)))


@pytest.mark.parametrize(
    ("sent", "amount", "written"),
    [("0.05", None, "0.05"), ("1250", 1250, "1250"), ("1250.0", 1250, "1250")],
)
def test_an_amount_may_be_a_fraction(fake, api, sent, amount, written):
    params = plan_params(amount_decimal=Decimal(sent))
    del params["amount"]

    plan = api.plans.create(params)

    assert plan.amount == amount
    assert raw(fake, plan)["amount_decimal"] == written


@pytest.mark.parametrize("sent", ["0.0000000000001", "-1", "NaN", "Infinity"])
def test_an_invalid_amount_is_refused(api, sent):
    params = plan_params(amount_decimal=sent)
    del params["amount"]

    assert refusal_of(api.plans.create, params).param == "amount_decimal"


def test_a_free_plan_is_accepted(api):
    assert api.plans.create(plan_params(amount=0)).amount == 0


def test_an_id_can_be_used_once(api, plan):
    error = refusal_of(api.plans.create, plan_params(id="gold"))

    assert (error.http_status, error.code) == (400, "resource_already_exists")
    assert error.user_message == "Plan already exists."


@pytest.mark.parametrize("id", ["a b", "a/b", "ä", "a+b", "a%20b", "a?b#c"])
def test_an_id_may_hold_any_characters(api, id):
    api.plans.create(plan_params(id=id))

    assert api.plans.retrieve(id).id == id
    assert api.plans.update(id, {"nickname": "n"}).nickname == "n"
    assert api.plans.delete(id).deleted


def test_fields_that_do_not_affect_the_price_can_be_changed(fake, api, plan):
    product = api.products.create({"name": "Silver"})

    changed = api.plans.update(
        plan.id,
        {
            "nickname": "n",
            "metadata": {"a": "1"},
            "active": False,
            "trial_period_days": 7,
            "product": product.id,
        },
    )

    assert (changed.nickname, changed.active, changed.trial_period_days) == ("n", False, 7)
    assert changed.product == product.id
    assert api.prices.retrieve(plan.id).recurring.trial_period_days == 7
    assert types_of(fake)[-2:] == ["plan.updated", "price.updated"]
    assert refusal_of(api.plans.update, plan.id, {"amount": 5}).code == "parameter_unknown"


def test_plans_are_listed(api, plan):
    other = api.plans.create(plan_params(active=False))
    api.prices.create({"currency": "usd", "unit_amount": 5, "product": plan.product})

    assert [item.id for item in api.plans.list().data] == [other.id, plan.id]
    assert [item.id for item in api.plans.list({"active": True}).data] == [plan.id]
    assert [item.id for item in api.plans.list({"product": other.product}).data] == [other.id]


def test_a_subscription_to_a_deleted_plan_is_still_renewed(fake, api, subscriber, plan):
    subscription = subscribe(api, subscriber)

    deleted = api.plans.delete(plan.id)

    assert (deleted.id, deleted.object, deleted.deleted) == ("gold", "plan", True)
    assert refusal_of(api.plans.retrieve, plan.id).http_status == 404
    assert refusal_of(api.prices.retrieve, plan.id).http_status == 404
    fake.advance(40 * 24 * 60 * 60)
    (item,) = api.subscriptions.retrieve(subscription.id)["items"].data
    assert item.plan.amount == 1000
    assert len(api.invoices.list({"subscription": subscription.id}).data) == 2


def test_a_deleted_plan_cannot_be_subscribed_to(api, subscriber, plan):
    api.plans.delete(plan.id)

    error = refusal_of(subscribe, api, subscriber)

    assert (error.http_status, error.code) == (400, "resource_missing")
    assert error.user_message == "No such price: 'gold'"


def test_the_same_key_creates_one_plan(fake, api):
    options = {"idempotency_key": "k"}

    first = api.plans.create(plan_params(), options)
    second = api.plans.create(plan_params(), options)

    assert first.id == second.id
    assert len(fake.account.all("plan")) == 1
    with pytest.raises(stripe.IdempotencyError):
        api.plans.create(plan_params(amount=5), options)
