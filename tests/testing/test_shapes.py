"""Each object that the fake returns, in each of its states, has every key that it has at Stripe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import stripe

from aa_stripe.testing import FakeStripe
from tests.testing.conftest import (
    attach,
    change_card,
    client_of,
    customer_with,
    intent_params,
    plan_params,
    subscribe,
)

SHAPES = json.loads(Path(__file__).with_name("object_shapes.json").read_text(encoding="utf-8"))
"""For each kind of object: its keys, and whether the value may be null.

The fixtures of Stripe's OpenAPI description name the keys, and the types of the SDK the nulls. A
charge has no ``refunds`` unless they are expanded:
https://docs.stripe.com/changelog/2022-11-15/deprecates-auto-expansion-charge-refunds
"""
KINDS = sorted(set(SHAPES) - {"_notice"})
CONTAINERS = {"list", "search_result"}

DAY = 24 * 60 * 60

STATES = {
    "charge": {"failed", "pending", "succeeded"},
    "invoice": {"draft", "open", "paid", "void"},
    "payment_intent": {
        "canceled",
        "processing",
        "requires_action",
        "requires_capture",
        "requires_confirmation",
        "requires_payment_method",
        "succeeded",
    },
    "refund": {"canceled", "failed", "pending", "requires_action", "succeeded"},
    "setup_intent": {
        "canceled",
        "requires_action",
        "requires_confirmation",
        "requires_payment_method",
        "succeeded",
    },
    "subscription": {
        "active",
        "canceled",
        "incomplete",
        "incomplete_expired",
        "past_due",
        "paused",
        "trialing",
        "unpaid",
    },
}
"""The states of each kind of object that has a status."""


def refused(call, *args):
    with pytest.raises(stripe.StripeError):
        call(*args)


def run_payments(fake, api, customer):
    api.payment_intents.create(intent_params())
    saved = attach(api, customer, "pm_card_visa")
    order = intent_params(customer=customer.id)
    planned = api.payment_intents.create({**order, "payment_method": saved.id})
    api.payment_intents.update(planned.id, {"description": "Order 1"})
    api.payment_intents.cancel(planned.id)
    pay = {**order, "confirm": True, "payment_method": saved.id}
    paid = api.payment_intents.create(pay)
    api.charges.update(paid.latest_charge, {"description": "Order 2"})
    api.refunds.create({"charge": paid.latest_charge, "amount": 300})
    api.charges.list({"expand": ["data.refunds", "data.balance_transaction"]})
    held = api.payment_intents.create({**pay, "capture_method": "manual"})
    api.payment_intents.capture(held.id)
    api.payment_intents.cancel(api.payment_intents.create({**pay, "capture_method": "manual"}).id)
    refused(api.payment_intents.create, {**pay, "payment_method": "pm_card_chargeDeclined"})
    for ending in (fake.complete_authentication, fake.fail_authentication):
        secured = {**pay, "payment_method": "pm_card_authenticationRequired"}
        ending(api.payment_intents.create(secured).id)
    for succeed in (True, False):
        slow = api.payment_intents.create({**pay, "payment_method": "pm_card_fakeProcessing"})
        fake.settle(slow.id, succeed=succeed)
    for ending in ("succeeded", "failed", "requires_action"):
        late = api.payment_intents.create({**pay, "payment_method": "pm_card_pendingRefund"})
        refund = api.refunds.create({"charge": late.latest_charge})
        fake.settle_refund(refund.id, ending)
    api.refunds.cancel(refund.id)
    api.payment_intents.list({"customer": customer.id, "expand": ["data.latest_charge"]})


def run_setups(fake, api, customer):
    base = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    api.setup_intents.create(base)
    planned = api.setup_intents.create({**base, "payment_method": "pm_card_visa"})
    api.setup_intents.cancel(planned.id)
    confirmed = {**base, "customer": customer.id, "confirm": True}
    api.setup_intents.create({**confirmed, "payment_method": "pm_card_visa"})
    secured = {**confirmed, "payment_method": "pm_card_authenticationRequired"}
    fake.complete_authentication(api.setup_intents.create(secured).id)
    fake.fail_authentication(api.setup_intents.create(secured).id)
    refused(api.setup_intents.create, {**confirmed, "payment_method": "pm_card_chargeDeclined"})


def run_catalog(api):
    rate = api.tax_rates.create({"display_name": "VAT", "inclusive": False, "percentage": 19})
    api.tax_rates.update(rate.id, {"active": False})
    for value in ({"percent_off": 25}, {"amount_off": 100, "currency": "usd"}):
        coupon = api.coupons.create({"duration": "once", **value})
        api.coupons.retrieve(coupon.id, {"expand": ["currency_options"]})
        api.coupons.update(coupon.id, {"name": "Summer"})
        api.coupons.delete(coupon.id)
    api.plans.create(plan_params(id="short"))
    api.plans.update("short", {"nickname": "Short"})
    api.prices.retrieve("short", {"expand": ["product"]})
    api.plans.delete("short")
    api.prices.create({"currency": "usd", "unit_amount": 100, "product_data": {"name": "Once"}})
    product = api.products.create({"name": "Empty"})
    api.products.update(product.id, {"name": "Still empty"})
    api.products.delete(product.id)


def run_subscriptions(fake, api, ends):
    api.plans.create(plan_params(id="gold"))
    rate = api.tax_rates.create({"display_name": "VAT", "inclusive": True, "percentage": 19})
    coupon = api.coupons.create({"duration": "once", "percent_off": 25})
    started = customer_with(api)
    subscribed = subscribe(
        api, started, discounts=[{"coupon": coupon.id}], default_tax_rates=[rate.id]
    )
    api.subscriptions.retrieve(subscribed.id, {"expand": ["latest_invoice.payments", "discounts"]})
    api.subscriptions.cancel(subscribed.id)
    failing = customer_with(api, "pm_card_chargeCustomerFail")
    subscribe(api, failing)
    trying = customer_with(api)
    subscribe(api, trying, trial_period_days=7, cancel_at_period_end=True)
    subscribe(
        api,
        api.customers.create(),
        trial_period_days=1,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )
    owing = customer_with(api)
    subscribe(api, owing)
    change_card(api, owing, "pm_card_chargeCustomerFail")
    fake.advance(ends * DAY)
    api.subscriptions.list({"status": "all", "limit": 100, "expand": ["data.latest_invoice"]})
    api.invoices.list({"limit": 100})
    api.invoice_payments.list({"limit": 100})


def run_legacy_cards(api):
    customer = api.customers.create({"source": "tok_visa"})
    api.customers.update(customer.id, {"source": "tok_mastercard"})
    api.charges.create({"amount": 1000, "currency": "usd", "customer": customer.id})
    api.customers.retrieve(customer.id, {"expand": ["sources"]})
    (card,) = api.customers.payment_sources.list(customer.id).data
    api.customers.payment_sources.delete(customer.id, card.id)


def run_all(fake):
    """Use the account in every way that a site of ours does."""
    api = client_of(fake)
    fake.account.allow_card_tokens = True
    run_legacy_cards(api)
    token = fake.create_token()
    api.payment_methods.create({"type": "card", "card": {"token": token}})
    api.tokens.retrieve(token)
    customer = api.customers.create({"name": "Ada", "email": "ada@example.com"})
    run_payments(fake, api, customer)
    run_setups(fake, api, customer)
    run_catalog(api)
    run_subscriptions(fake, api, ends=70)
    (method, *_) = api.customers.payment_methods.list(customer.id).data
    api.payment_methods.update(method.id, {"metadata": {"order": "1"}})
    api.payment_methods.detach(method.id)
    api.customers.update(customer.id, {"name": "Grace"})
    api.customers.delete(customer.id)
    api.events.list({"limit": 100})


@pytest.fixture(scope="module")
def seen():
    """Every object in a response or an event, with where it was seen."""
    found = []
    for after_last_retry in ("unpaid", "past_due"):
        fake = FakeStripe(after_last_retry=after_last_retry)
        fake.after_request.append(
            lambda request, response: found.extend(
                objects_in(response.json(), f"{request.method} {request.path}")
            )
        )
        run_all(fake)
        for event in fake.events:
            found.extend(objects_in(event["data"]["object"], event["type"]))
    return found


def objects_in(value, place):
    """Yield each object below ``value``, and where it is."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from objects_in(item, f"{place}[{number}]")
    elif isinstance(value, dict):
        kind = value.get("object")
        if isinstance(kind, str) and kind not in CONTAINERS:
            yield value, place
        for name, item in value.items():
            if name != "previous_attributes":  # it holds only what changed
                yield from objects_in(item, f"{place}.{name}")


def of_kind(seen, kind):
    return [(item, place) for item, place in seen if item["object"] == kind]


@pytest.mark.parametrize("kind", KINDS)
def test_each_object_has_every_key(seen, kind):
    shape = SHAPES[kind]
    found = of_kind(seen, kind)

    wrong = {
        (name, place)
        for item, place in found
        if not item.get("deleted") or kind == "discount"
        for name, may_be_null in shape.items()
        if name not in item or (item[name] is None and not may_be_null)
    }

    assert found
    assert sorted(wrong)[:20] == []


@pytest.mark.parametrize("kind", ["coupon", "customer", "plan", "product"])
def test_a_deleted_object_has_only_its_id(seen, kind):
    found = [item for item, _ in of_kind(seen, kind) if item.get("deleted")]

    assert found
    assert all(item == {"id": item["id"], "object": kind, "deleted": True} for item in found)


@pytest.mark.parametrize("kind", STATES)
def test_the_flows_reach_every_state(seen, kind):
    assert STATES[kind] - {item["status"] for item, _ in of_kind(seen, kind)} == set()


def test_every_kind_of_object_has_a_shape(seen):
    assert {item["object"] for item, _ in seen} - set(KINDS) == set()
