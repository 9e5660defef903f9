"""Stripe's responses whose exact text is known, each tested with the real SDK."""

from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import attach, client_of, intent_params


def error_of(kind, call, *args):
    with pytest.raises(kind) as caught:
        call(*args)
    return caught.value


def test_a_charge_with_a_card_token_is_refused(api):
    error = error_of(
        stripe.InvalidRequestError,
        api.charges.create,
        {"amount": 1000, "currency": "usd", "source": "tok_visa"},
    )

    assert (error.http_status, error.code) == (400, None)
    assert error.user_message.startswith(
        "Card Token usage on the Customers API and Charges API has reached end of life. "
    )


def test_a_charge_of_a_customer_without_a_source_is_refused(api, customer):
    error = error_of(
        stripe.CardError,
        api.charges.create,
        {"amount": 1000, "currency": "usd", "customer": customer.id},
    )

    assert (error.http_status, error.code, error.param) == (402, "missing", "card")


def test_a_token_is_refused_as_payment_method(api):
    error = error_of(
        stripe.InvalidRequestError,
        api.payment_intents.create,
        intent_params(payment_method="tok_visa"),
    )

    assert (error.http_status, error.code) == (400, "resource_missing")
    assert error.user_message == "No such payment_method: 'tok_visa'"


def test_a_card_that_requires_3d_secure_is_declined_off_session(api, intent, customer):
    card = attach(api, customer, "pm_card_authenticationRequired")

    error = error_of(
        stripe.CardError,
        api.payment_intents.confirm,
        intent.id,
        {"payment_method": card.id, "off_session": True},
    )

    assert (error.http_status, error.code) == (402, "authentication_required")
    assert error.error.decline_code == "authentication_required"
    assert error.user_message == "Your card was declined. This transaction requires authentication."
    assert error.error.payment_intent.status == "requires_payment_method"
    assert error.error.payment_method.id == card.id
    assert "charge" not in error.json_body["error"]
    assert api.charges.list().data == []


def test_a_card_with_insufficient_funds_is_declined(api, intent):
    error = error_of(
        stripe.CardError,
        api.payment_intents.confirm,
        intent.id,
        {"payment_method": "pm_card_chargeDeclinedInsufficientFunds"},
    )

    assert (error.http_status, error.code) == (402, "card_declined")
    assert error.error.decline_code == "insufficient_funds"
    assert error.user_message == "Your card has insufficient funds."
    assert error.error.payment_intent.id == intent.id
    (charge,) = api.charges.list({"payment_intent": intent.id}).data
    assert (charge.id, charge.status) == (error.error.charge, "failed")


@pytest.mark.parametrize("last4", ["0002", "9995", "9987", "9979", "0069", "0127", "0119"])
def test_a_declining_card_is_refused_when_it_is_attached(api, customer, last4):
    method = api.payment_methods.create(
        {
            "type": "card",
            "card": {"number": f"400000000000{last4}", "exp_month": 1, "exp_year": 2040},
        }
    )

    error = error_of(stripe.CardError, attach, api, customer, method.id)

    assert error.http_status == 402
    assert api.payment_methods.retrieve(method.id).customer is None


@pytest.mark.parametrize("name", ["pm_card_chargeCustomerFail", "tok_chargeCustomerFail"])
def test_one_card_can_be_attached_and_declines_every_charge(api, customer, intent, name):
    if name.startswith("tok_"):
        name = api.payment_methods.create({"type": "card", "card": {"token": name}}).id
    card = attach(api, customer, name)

    for _ in range(2):
        error = error_of(
            stripe.CardError,
            api.payment_intents.confirm,
            intent.id,
            {"payment_method": card.id, "off_session": True},
        )
        assert (error.code, error.error.decline_code) == ("card_declined", "generic_decline")


def test_the_same_key_with_other_parameters_is_refused(api):
    api.customers.create({"name": "Ada"}, {"idempotency_key": "k"})

    error = error_of(
        stripe.IdempotencyError,
        api.customers.create,
        {"name": "Grace"},
        {"idempotency_key": "k"},
    )

    assert (error.http_status, error.code) == (400, None)
    assert error.user_message.startswith(
        "Keys for idempotent requests can only be used with the same parameters they were first "
        "used with. "
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"source": "tok_visa"}, "Received unknown parameter: source"),
        (
            {"payment_method_options": {"card": {"zzz": 1}}},
            "Received unknown parameter: payment_method_options[card][zzz]",
        ),
    ],
)
def test_an_unknown_parameter_is_refused(api, params, message):
    error = error_of(
        stripe.InvalidRequestError, api.payment_intents.create, intent_params(**params)
    )

    assert (error.http_status, error.code) == (400, "parameter_unknown")
    assert error.user_message == message


def test_a_refund_that_is_too_large_is_refused(api, paid):
    api.refunds.create({"charge": paid.latest_charge, "amount": 300})

    error = error_of(
        stripe.InvalidRequestError,
        api.refunds.create,
        {"charge": paid.latest_charge, "amount": 800},
    )

    assert (error.http_status, error.code, error.param) == (400, None, "amount")
    assert error.user_message == (
        "Refund amount ($8.00) is greater than unrefunded amount on charge ($7.00)"
    )


def test_a_refund_of_a_refunded_charge_is_refused(api, paid):
    api.refunds.create({"charge": paid.latest_charge})

    error = error_of(stripe.InvalidRequestError, api.refunds.create, {"charge": paid.latest_charge})

    assert (error.http_status, error.code) == (400, "charge_already_refunded")


@pytest.mark.parametrize("amount", [0, -1])
def test_a_refund_without_a_positive_amount_is_refused(api, paid, amount):
    error = error_of(
        stripe.InvalidRequestError,
        api.refunds.create,
        {"charge": paid.latest_charge, "amount": amount},
    )

    assert (error.http_status, error.code) == (400, "parameter_invalid_integer")


def test_the_payment_method_of_another_customer_is_refused(api, card):
    other = api.customers.create()
    intent = api.payment_intents.create(intent_params(customer=other.id))

    error = error_of(
        stripe.InvalidRequestError,
        api.payment_intents.confirm,
        intent.id,
        {"payment_method": card.id},
    )

    assert (error.http_status, error.code) == (400, None)
    assert error.user_message.startswith(
        f"The PaymentMethod {card.id} does not belong to the Customer you supplied {other.id}."
    )


def test_confirming_without_a_payment_method_is_refused(api, intent):
    error = error_of(stripe.InvalidRequestError, api.payment_intents.confirm, intent.id)

    assert (error.http_status, error.code) == (400, "payment_intent_unexpected_state")
    assert error.error.payment_intent.id == intent.id


def test_a_list_with_an_unknown_cursor_is_refused(api):
    error = error_of(stripe.InvalidRequestError, api.charges.list, {"starting_after": "ch_none"})

    assert (error.http_status, error.code) == (400, "resource_missing")
    assert error.user_message == "No such charge: 'ch_none'"


def test_a_card_token_is_charged_where_card_tokens_are_allowed(legacy_fake):
    api = client_of(legacy_fake)

    charge = api.charges.create({"amount": 1000, "currency": "usd", "source": "tok_visa"})

    assert charge.paid
