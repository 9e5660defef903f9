from __future__ import annotations

from decimal import Decimal

import pytest

from aa_stripe.testing.base.refusals import Refusal
from aa_stripe.testing.http.schema import read


def error_of(name, sent):
    with pytest.raises(Refusal) as caught:
        read(name, sent)
    assert caught.value.status == 400
    return caught.value.error


def test_parameters_get_the_types_of_the_sdk():
    sent = {
        "amount": "1000",
        "currency": "usd",
        "confirm": "true",
        "metadata": {"a": "1"},
        "expand": ["latest_charge"],
        "payment_method_options": {"card": {"request_three_d_secure": "any"}},
    }

    params = read("PaymentIntentCreateParams", sent)

    assert params == {**sent, "amount": 1000, "confirm": True}


@pytest.mark.parametrize(("sent", "expected"), [("true", True), ("one_off", "one_off")])
def test_a_value_is_read_as_the_matching_member_of_a_union(sent, expected):
    assert read("PaymentIntentConfirmParams", {"off_session": sent}) == {"off_session": expected}


@pytest.mark.parametrize("created", ["5", {"gte": "5"}])
def test_a_time_is_a_number_or_a_range(created):
    (read_created,) = read("ChargeListParams", {"created": created}).values()

    assert read_created in (5, {"gte": 5})


def test_metadata_with_numbers_as_keys_is_not_a_list():
    assert read("RefundCreateParams", {"metadata": ["a"]}) == {"metadata": {"0": "a"}}


@pytest.mark.parametrize("value", ["", {"a": "b"}])
def test_metadata_can_be_emptied(value):
    assert read("CustomerUpdateParams", {"metadata": value}) == {"metadata": value}


def test_a_decimal_number_stays_exact():
    params = read("CouponCreateParams", {"percent_off": "12.5", "duration": "once"})

    assert params["percent_off"] == Decimal("12.5")


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"source": "tok_visa"}, "Received unknown parameter: source"),
        ({"a": "1", "b": "2"}, "Received unknown parameters: a, b"),
        (
            {"payment_method_options": {"card": {"zzz": "1"}}},
            "Received unknown parameter: payment_method_options[card][zzz]",
        ),
        (
            {"amount_details": {"line_items": [{"zzz": "1"}]}},
            "Received unknown parameter: amount_details[line_items][0][zzz]",
        ),
        ({"api_key": "sk_test"}, "Received unknown parameter: api_key"),
    ],
)
def test_an_unknown_parameter_is_refused(sent, message):
    error = error_of("PaymentIntentCreateParams", {"amount": "1000", "currency": "usd", **sent})

    assert (error["message"], error["code"]) == (message, "parameter_unknown")


def test_a_missing_parameter_is_refused():
    error = error_of("PaymentIntentCreateParams", {"currency": "usd"})

    assert error["message"] == "Missing required param: amount."
    assert (error["code"], error["param"]) == ("parameter_missing", "amount")


@pytest.mark.parametrize(
    ("sent", "message", "code"),
    [
        ({"amount": "ten"}, "Invalid integer: ten", "parameter_invalid_integer"),
        ({"amount": "10.5"}, "Invalid integer: 10.5", "parameter_invalid_integer"),
        ({"confirm": "yes"}, "Invalid boolean: yes", None),
        ({"description": {"a": "b"}}, "Invalid str: {'a': 'b'}", None),
        ({"expand": "latest_charge"}, "Invalid array", None),
        ({"shipping": "home"}, "Invalid object", None),
        ({"capture_method": "by_hand"}, "Invalid capture_method: must be one of ", None),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(sent, message, code):
    error = error_of("PaymentIntentCreateParams", {"amount": "1", "currency": "usd", **sent})

    assert error["message"].startswith(message)
    assert error.get("code") == code
    assert error["param"] == next(iter(sent))


def test_an_invalid_decimal_number_is_refused():
    error = error_of("CouponCreateParams", {"percent_off": "half"})

    assert error["message"] == "Invalid decimal: half"


@pytest.mark.parametrize(
    "sent", [{"customer": ""}, {"amount": ""}, {"statement_descriptor_suffix": ""}]
)
def test_an_empty_value_is_refused_if_the_parameter_cannot_be_unset(sent):
    error = error_of("PaymentIntentUpdateParams", sent)

    assert error["code"] == "parameter_invalid_empty"


@pytest.mark.parametrize("sent", [{"description": ""}, {"metadata": {"price": "", "customer": ""}}])
def test_a_text_may_be_empty(sent):
    assert read("PaymentIntentUpdateParams", sent) == sent
