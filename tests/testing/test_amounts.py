from __future__ import annotations

import pytest
import stripe

from aa_stripe.testing.base.currencies import written
from tests.testing.conftest import intent_params


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (0, "usd", "parameter_invalid_integer"),
        (-1, "usd", "parameter_invalid_integer"),
        (49, "usd", "amount_too_small"),
        (29, "gbp", "amount_too_small"),
        (100_000_000, "usd", "amount_too_large"),
        (1050, "isk", "parameter_invalid_integer"),
        (1050, "ugx", "parameter_invalid_integer"),
        (1005, "kwd", "parameter_invalid_integer"),
    ],
)
def test_an_amount_that_cannot_be_collected_is_refused(api, amount, currency, code):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.create(intent_params(amount=amount, currency=currency))

    assert (caught.value.http_status, caught.value.code) == (400, code)
    assert caught.value.param == "amount"


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        (50, "usd"),
        (99_999_999, "usd"),
        (30, "gbp"),
        (50, "jpy"),
        (1100, "isk"),
        (1100, "ugx"),
        (1010, "kwd"),
        (1, "pln"),
        (1000, "USD"),
    ],
)
def test_an_amount_that_can_be_collected_is_accepted(api, amount, currency):
    intent = api.payment_intents.create(intent_params(amount=amount, currency=currency))

    assert (intent.amount, intent.currency) == (amount, currency.lower())


def test_a_missing_amount_is_refused(api):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.create({"currency": "usd"})

    assert (caught.value.code, caught.value.param) == ("parameter_missing", "amount")


def test_an_unknown_currency_is_refused(api):
    with pytest.raises(stripe.InvalidRequestError, match="Invalid currency: xxx") as caught:
        api.payment_intents.create(intent_params(currency="xxx"))

    assert caught.value.param == "currency"


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (123456, "usd", "$1,234.56"),
        (123456, "jpy", "¥123,456"),
        (123456, "kwd", "123.456 KWD"),
        (123400, "ugx", "1,234.00 UGX"),
        (123456, "pln", "1,234.56 PLN"),
    ],
)
def test_amounts_in_messages_are_formatted_for_people(amount, currency, text):
    assert written(amount, currency) == text
