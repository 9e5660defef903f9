"""The status, type, code, parameter and message of refusals, as Stripe's clients see them."""

from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import customer_with, intent_params, refusal_of, subscribe

DAY = 24 * 60 * 60


def read(error):
    """Return the status, code, parameter and message of a refusal that is not for the card."""
    body = error.json_body["error"]
    assert body["type"] == "invalid_request_error"
    return error.http_status, body.get("code"), body.get("param"), body["message"]


@pytest.mark.parametrize(
    ("call", "param", "message"),
    [
        (lambda api: api.payment_intents.retrieve("pi_1"), "intent", "payment_intent: 'pi_1'"),
        (lambda api: api.payment_intents.confirm("pi_1"), "intent", "payment_intent: 'pi_1'"),
        (lambda api: api.payment_intents.cancel("pi_1"), "intent", "payment_intent: 'pi_1'"),
        (lambda api: api.setup_intents.retrieve("seti_1"), "intent", "setup_intent: 'seti_1'"),
        (lambda api: api.setup_intents.confirm("seti_1"), "intent", "setup_intent: 'seti_1'"),
        (lambda api: api.coupons.retrieve("SUMMER"), "coupon", "coupon: 'SUMMER'"),
        (lambda api: api.coupons.update("SUMMER", {"name": "A"}), "coupon", "coupon: 'SUMMER'"),
        (lambda api: api.coupons.delete("SUMMER"), "coupon", "coupon: 'SUMMER'"),
        (
            lambda api: api.payment_methods.retrieve("pm_1"),
            "payment_method",
            "payment_method: 'pm_1'",
        ),
        (
            lambda api: api.payment_methods.detach("pm_1"),
            "payment_method",
            "payment_method: 'pm_1'",
        ),
        (
            lambda api: api.payment_methods.attach("pm_1", {"customer": api.customers.create().id}),
            "payment_method",
            "payment_method: 'pm_1'",
        ),
        (lambda api: api.customers.retrieve("cus_1"), "id", "customer: 'cus_1'"),
        (lambda api: api.charges.retrieve("ch_1"), "id", "charge: 'ch_1'"),
        (lambda api: api.subscriptions.retrieve("sub_1"), "id", "subscription: 'sub_1'"),
        (lambda api: api.subscriptions.cancel("sub_1"), "id", "subscription: 'sub_1'"),
    ],
)
def test_an_unknown_id_in_the_path_is_a_404(api, call, param, message):
    error = refusal_of(call, api)

    assert read(error) == (404, "resource_missing", param, f"No such {message}")


def test_a_refund_of_an_unknown_charge_is_a_404(api):
    error = refusal_of(api.refunds.create, {"charge": "ch_1"})

    assert read(error) == (404, "resource_missing", "id", "No such charge: 'ch_1'")


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_subscription_of_an_unknown_customer_is_a_404(api, plan, subscriber, is_deleted):
    customer = "cus_1"
    if is_deleted:
        customer = subscriber.id
        api.customers.delete(customer)

    error = refusal_of(
        api.subscriptions.create, {"customer": customer, "items": [{"price": "gold"}]}
    )

    assert read(error) == (404, "resource_missing", "id", f"No such customer: '{customer}'")


@pytest.mark.parametrize(
    ("call", "param", "message"),
    [
        (
            lambda api: api.payment_intents.create(intent_params(customer="cus_1")),
            "customer",
            "customer: 'cus_1'",
        ),
        (
            lambda api: api.payment_intents.create(intent_params(payment_method="pm_1")),
            "payment_method",
            "payment_method: 'pm_1'",
        ),
        (
            lambda api: api.setup_intents.create({"customer": "cus_1"}),
            "customer",
            "customer: 'cus_1'",
        ),
        (
            lambda api: api.refunds.create({"payment_intent": "pi_1"}),
            "payment_intent",
            "payment_intent: 'pi_1'",
        ),
        (lambda api: api.charges.list({"customer": "cus_1"}), "customer", "customer: 'cus_1'"),
    ],
)
def test_an_unknown_id_in_a_parameter_is_a_400(api, call, param, message):
    error = refusal_of(call, api)

    assert read(error) == (400, "resource_missing", param, f"No such {message}")


@pytest.mark.parametrize("kind", ["payment_intents", "setup_intents"])
def test_the_intents_of_a_deleted_customer_cannot_be_listed(api, customer, kind):
    api.customers.delete(customer.id)

    error = refusal_of(getattr(api, kind).list, {"customer": customer.id})

    message = f"No such customer: '{customer.id}'"
    assert read(error) == (400, "resource_missing", "customer", message)


@pytest.mark.parametrize(
    ("call", "param"),
    [
        (
            lambda api, name: api.payment_intents.create(intent_params(**{name: ""})),
            "statement_descriptor",
        ),
        (
            lambda api, name: api.payment_intents.create(intent_params(**{name: ""})),
            "statement_descriptor_suffix",
        ),
        (
            lambda api, name: api.products.create({"name": "Gold", name: ""}),
            "statement_descriptor",
        ),
        (
            lambda api, name: api.plans.create(
                {
                    "amount": 1000,
                    "currency": "usd",
                    "interval": "month",
                    "product": {"name": "Gold", "statement_descriptor": ""},
                }
            ),
            "product[statement_descriptor]",
        ),
        (
            lambda api, name: subscribe(api, api.customers.create(), discounts=[{"coupon": ""}]),
            "discounts[0][coupon]",
        ),
    ],
)
def test_an_empty_text_cannot_unset_a_parameter_that_has_to_have_a_value(api, call, param):
    error = refusal_of(call, api, param)

    status, code, name, message = read(error)
    assert (status, code, name) == (400, "parameter_invalid_empty", param)
    assert message.startswith(f"You passed an empty string for '{param}'. We assume empty values")


@pytest.mark.parametrize(
    "change",
    [
        {"cancel_at_period_end": True},
        {"cancel_at_period_end": False},
        {"items": [{"price": "gold"}]},
        {"discounts": ""},
        {"default_payment_method": "pm_card_visa"},
        {"metadata": {"order": "1"}, "trial_end": "now"},
    ],
)
def test_a_canceled_subscription_cannot_be_changed(api, subscription, change):
    api.subscriptions.cancel(subscription.id)

    error = refusal_of(api.subscriptions.update, subscription.id, change)

    message = "A canceled subscription can only update its cancellation_details and metadata."
    assert read(error) == (400, None, None, message)


def test_a_canceled_subscription_keeps_its_metadata_editable(api, subscription):
    api.subscriptions.cancel(subscription.id)

    changed = api.subscriptions.update(
        subscription.id,
        {"metadata": {"order": "1"}, "cancellation_details": {"comment": "Too dear"}},
    )

    assert changed.metadata["order"] == "1"
    assert changed.cancellation_details.comment == "Too dear"


def test_a_coupon_after_its_time_is_expired(fake, api, subscriber, plan):
    coupon = api.coupons.create({"id": "SUMMER", "percent_off": 25, "redeem_by": fake.now + DAY})
    fake.advance(DAY)

    error = refusal_of(lambda: subscribe(api, subscriber, discounts=[{"coupon": coupon.id}]))

    assert read(error) == (400, "coupon_expired", "discounts[0][coupon]", "Coupon expired: SUMMER")


def test_a_coupon_that_is_used_up_is_expired(api, subscriber, plan):
    api.coupons.create({"id": "SUMMER", "percent_off": 25, "max_redemptions": 1})
    subscribe(api, subscriber, discounts=[{"coupon": "SUMMER"}])

    error = refusal_of(lambda: subscribe(api, subscriber, discounts=[{"coupon": "SUMMER"}]))

    assert read(error) == (400, "coupon_expired", "discounts[0][coupon]", "Coupon expired: SUMMER")


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (0, "usd", "parameter_invalid_integer"),
        (-1, "usd", "parameter_invalid_integer"),
        (49, "usd", "amount_too_small"),
        (100_000_000, "usd", "amount_too_large"),
        (150, "isk", "parameter_invalid_integer"),
    ],
)
def test_the_error_of_an_amount_names_the_parameter(api, amount, currency, code):
    error = refusal_of(api.payment_intents.create, intent_params(amount=amount, currency=currency))

    assert read(error)[:3] == (400, code, "amount")


@pytest.mark.parametrize(
    ("amount", "code"),
    [(0, "parameter_invalid_integer"), (-1, "parameter_invalid_integer"), (1001, None)],
)
def test_the_error_of_a_refund_names_the_amount(api, paid, amount, code):
    error = refusal_of(api.refunds.create, {"charge": paid.latest_charge, "amount": amount})

    assert read(error)[:3] == (400, code, "amount")


def test_a_decline_of_error_if_incomplete_names_its_charge(fake, api, plan):
    customer = customer_with(api, "pm_card_chargeCustomerFail")

    error = refusal_of(
        lambda: subscribe(api, customer, payment_behavior="error_if_incomplete"),
        kind=stripe.CardError,
    )

    body = error.json_body["error"]
    (charge,) = api.charges.list({"customer": customer.id}).data
    assert (error.http_status, body["type"], body["code"]) == (402, "card_error", "card_declined")
    assert (body["decline_code"], body["message"]) == (
        "generic_decline",
        "Your card was declined.",
    )
    assert body["charge"] == charge.id
    assert (charge.status, charge.amount, charge.failure_code) == ("failed", 1000, "card_declined")
    assert fake.account.all("subscription") == []
