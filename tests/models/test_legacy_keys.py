"""Code written for 0.14 finds the keys of that time in what is stored."""

from __future__ import annotations

import pytest

from aa_stripe.jobs.customers import refresh_customers
from aa_stripe.jobs.subscriptions import refresh_subscriptions
from aa_stripe.models import StripeCustomer, StripeSubscription
from aa_stripe.models.legacy import BRANDS, with_card_keys, with_plan_keys, with_source
from tests.support.builders import make_charge, make_customer, make_plan, make_subscription
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db

CARD_KEYS = {"last4", "brand", "exp_month", "exp_year", "funding", "country", "name", "fingerprint"}


def seen(card):
    """Return what a front-end of 0.14 reads of a card."""
    return {key: card[key] for key in CARD_KEYS}


def visa(method):
    """Return the same of a Visa card without a holder's name."""
    card = method["card"]
    same = {key: card[key] for key in CARD_KEYS - {"brand", "name"}}
    return {**same, "brand": "Visa", "name": None}


# Customers


@pytest.mark.parametrize("card", ["tok_visa", "pm_card_visa"])
def test_each_source_has_the_keys_of_a_card_beside_its_own(fake, card):
    customer = row_of(make_customer(card=card))

    [source] = customer.sources
    assert seen(source) == visa(source)
    assert (source["last4"], source["object"]) == ("4242", "payment_method")
    assert customer.default_source_data == source


@pytest.mark.parametrize(
    ("token", "brand"),
    [("tok_visa", "Visa"), ("tok_mastercard", "MasterCard"), ("tok_amex", "American Express")],
)
def test_a_brand_is_spelled_as_in_a_card_object(fake, token, brand):
    customer = make_customer(card=token)

    assert customer.default_source_data["brand"] == brand
    assert customer.default_source_data["card"]["brand"] == token.removeprefix("tok_")


def test_an_unknown_brand_stays_as_it_is():
    assert with_card_keys({"type": "card", "card": {"brand": "new"}})["brand"] == "new"
    assert BRANDS["diners"] == "Diners Club"


def test_the_name_is_that_of_the_billing_details():
    method = {"type": "card", "card": {}, "billing_details": {"name": "Jenny Rosen"}}

    assert with_card_keys(method)["name"] == "Jenny Rosen"


def test_a_legacy_card_keeps_its_values():
    card = {"object": "card", "brand": "Diners Club", "last4": "0004", "name": None}

    assert {**with_card_keys(card), **card} == with_card_keys(card)


def test_a_payment_method_that_is_no_card_has_the_keys_that_it_knows():
    method = {"type": "sepa_debit", "sepa_debit": {"last4": "3000", "country": "DE"}}

    keys = seen(with_card_keys(method))

    assert (keys["last4"], keys["country"]) == ("3000", "DE")
    assert {keys[it] for it in CARD_KEYS - {"last4", "country"}} == {None}


@pytest.mark.parametrize("method", [{}, {"type": None}, {"type": "card", "card": None}])
def test_a_payment_method_without_details_has_no_values(method):
    assert set(seen(with_card_keys(method)).values()) == {None}


def test_the_default_of_a_row_that_was_stored_without_the_keys_has_them(fake):
    customer = stored_without_keys(make_customer())

    assert seen(customer.default_source_data) == visa(customer.sources[0])


def stored_without_keys(customer):
    plain = [
        {key: it for key, it in source.items() if key not in CARD_KEYS}
        for source in customer.sources
    ]
    StripeCustomer.objects.filter(pk=customer.pk).update(sources=plain)
    return row_of(customer)


def test_a_refresh_adds_the_keys_once(fake):
    customer = stored_without_keys(make_customer())

    first = refresh_customers(everything=True)
    second = refresh_customers(everything=True)

    assert (first.done, second.done) == ({"updated": 1}, {"unchanged": 1})
    [source] = row_of(customer).sources
    assert seen(source) == visa(source)


# Charges


def test_a_charge_has_a_source_like_a_card(fake):
    charge = make_charge(make_customer())
    charge.charge()

    stored = row_of(charge).stripe_response
    source = stored["source"]
    assert seen(source) == visa(stored["payment_method_details"])
    assert source["object"] == "card"
    assert source["id"] == stored["payment_method"]
    assert source["customer"] == stored["customer"]


def test_a_source_of_stripes_own_is_kept():
    own = {"id": "card_1", "object": "card"}
    details = {"type": "card", "card": {"last4": "4242"}}

    assert with_source({"source": own, "payment_method_details": details})["source"] == own


def test_a_charge_without_details_has_no_source():
    assert with_source({"payment_method_details": None})["source"] is None


# Subscriptions


def test_a_subscription_has_its_plan_and_period(fake):
    plan = make_plan()
    subscription = make_subscription(plan=plan)
    subscription.create_at_stripe()

    stored = row_of(subscription).stripe_response
    [item] = stored["items"]["data"]
    assert stored["plan"]["id"] == plan.stripe_plan_id
    assert (stored["plan"]["object"], stored["plan"]["amount"]) == ("plan", 5000)
    assert stored["quantity"] == 1
    assert stored["current_period_start"] == item["current_period_start"]
    assert stored["current_period_end"] == item["current_period_end"]


def test_a_listed_subscription_is_stored_alike(fake):
    subscription = make_subscription()
    subscription.create_at_stripe()
    before = row_of(subscription).updated

    report = refresh_subscriptions(everything=True)

    assert report.done == {"unchanged": 1}
    assert row_of(subscription).updated == before


def test_a_refresh_adds_the_plan_to_a_subscription_once(fake):
    subscription = make_subscription()
    subscription.create_at_stripe()
    plain = dict(subscription.stripe_response)
    for key in ("plan", "quantity", "current_period_start", "current_period_end"):
        del plain[key]
    StripeSubscription.objects.update(stripe_response=plain)

    first = refresh_subscriptions(everything=True)
    second = refresh_subscriptions(everything=True)

    assert (first.done, second.done) == ({"updated": 1}, {"unchanged": 1})
    assert row_of(subscription).stripe_response["quantity"] == 1


def test_keys_of_an_older_api_version_are_kept():
    old = {"plan": {"id": "gold"}, "quantity": 3, "items": {"data": [{"plan": {"id": "x"}}]}}

    assert with_plan_keys(old) == {
        **old,
        "current_period_start": None,
        "current_period_end": None,
    }


def test_a_subscription_without_items_has_no_plan():
    assert with_plan_keys({"items": {"data": []}})["plan"] is None
