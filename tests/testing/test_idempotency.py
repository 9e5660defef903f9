from __future__ import annotations

import threading
import time

import pytest
import stripe

from aa_stripe.testing import Fault
from tests.testing.conftest import client_of, intent_params, refusal_of

KEY = {"idempotency_key": "key-1"}


def customer_count(fake):
    return len(fake.account.all("customer"))


def test_the_same_key_returns_the_first_response(fake, api):
    first = api.customers.create({"name": "Ada"}, KEY)
    again = api.customers.create({"name": "Ada"}, KEY)

    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert [request.replayed for request in fake.requests] == [False, True]
    assert customer_count(fake) == 1


def test_the_kept_response_does_not_change_with_the_object(api):
    first = api.customers.create({"name": "Ada"}, KEY)
    api.customers.update(first.id, {"name": "Grace"})

    assert api.customers.create({"name": "Ada"}, KEY).name == "Ada"


def test_a_decline_is_replayed(fake, api, intent):
    params = {"payment_method": "pm_card_chargeDeclined"}
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            api.payment_intents.confirm(intent.id, params, KEY)

    assert caught.value.headers["Idempotent-Replayed"] == "true"
    assert len(fake.account.all("charge")) == 1


def test_a_key_with_other_parameters_is_refused(api):
    api.customers.create({"name": "Ada"}, KEY)

    with pytest.raises(stripe.IdempotencyError) as caught:
        api.customers.create({"name": "Grace"}, KEY)

    assert caught.value.http_status == 400


def test_a_key_at_another_endpoint_is_refused(api):
    api.customers.create({}, KEY)

    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        api.payment_intents.create(intent_params(), KEY)


def test_a_refusal_of_invalid_parameters_is_not_kept(fake, api):
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        api.customers.create({"nom": "Ada"}, KEY)
    api.customers.create({"name": "Ada"}, KEY)

    assert customer_count(fake) == 1


@pytest.mark.parametrize("fault", [Fault.RATE_LIMITED, Fault.CONFLICT])
def test_the_error_of_a_request_that_was_not_executed_is_not_kept(fake, api, fault):
    fake.fail_next("POST /v1/customers", fault)
    with pytest.raises(stripe.StripeError):
        api.customers.create({"name": "Ada"}, KEY)

    assert api.customers.create({"name": "Ada"}, KEY).name == "Ada"


def test_a_refusal_because_of_the_state_is_kept(api, intent):
    api.payment_intents.cancel(intent.id)
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}, KEY)

    assert caught.value.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ({"amount": 49}, "amount_too_small"),
        ({"customer": "cus_none"}, "resource_missing"),
        ({"currency": "xxx"}, None),
        ({"metadata": {"k" * 41: "v"}}, None),
    ],
)
def test_a_400_of_an_executed_request_is_replayed(fake, api, first, code):
    params = intent_params(**first)

    errors = [refusal_of(api.payment_intents.create, params, KEY) for _ in range(2)]

    assert [error.http_status for error in errors] == [400, 400]
    assert [error.code for error in errors] == [code, code]
    assert [request.replayed for request in fake.requests] == [False, True]
    assert errors[1].headers["Idempotent-Replayed"] == "true"


def test_a_refusal_is_replayed_after_its_reason_is_gone(api):
    params = {"id": "SUMMER", "percent_off": 25}
    api.coupons.create(params)
    refused = refusal_of(api.coupons.create, params, KEY)
    api.coupons.delete("SUMMER")

    assert refusal_of(api.coupons.create, params, KEY).user_message == refused.user_message
    assert api.coupons.create(params, {"idempotency_key": "key-2"}).id == "SUMMER"


@pytest.mark.parametrize(
    "first", [{"amount": 0}, {"amount": "ten"}, {"confirm": "yes"}, {"customer": ""}]
)
def test_a_400_for_invalid_parameters_is_not_kept(fake, api, first):
    refusal_of(api.payment_intents.create, intent_params(**first), KEY)

    assert api.payment_intents.create(intent_params(), KEY).id
    assert [request.replayed for request in fake.requests] == [False, False]


@pytest.mark.usefixtures("still")
def test_a_key_expires_after_a_day(fake, api):
    first = api.customers.create({"name": "Ada"}, KEY)
    fake.advance(24 * 60 * 60 - 1)
    within = api.customers.create({"name": "Ada"}, KEY)
    fake.advance(1)
    after = api.customers.create({"name": "Grace"}, KEY)

    assert within.id == first.id
    assert after.id != first.id


def test_a_get_request_ignores_its_key(api):
    first = api.customers.list({"limit": 1}, KEY)
    second = api.customers.list({"limit": 2}, KEY)

    assert "Idempotent-Replayed" not in second.last_response.headers
    assert first.data == second.data == []


def test_a_key_of_more_than_255_characters_is_refused(api):
    with pytest.raises(stripe.InvalidRequestError, match="at most 255 characters"):
        api.customers.create({}, {"idempotency_key": "x" * 256})


def test_a_key_in_use_is_a_conflict(fake, api):
    fake.fail_next("POST /v1/customers", Fault.SLOW, seconds=1)
    slow = threading.Thread(target=api.customers.create, args=({"name": "Ada"}, KEY))
    slow.start()
    time.sleep(0.1)  # the slow request is being executed by now

    with pytest.raises(stripe.APIError) as caught:
        api.customers.create({"name": "Ada"}, KEY)
    slow.join()

    assert caught.value.http_status == 409
    assert caught.value.error.code == "idempotency_key_in_use"
    assert api.customers.create({"name": "Ada"}, KEY).name == "Ada"
    assert customer_count(fake) == 1


def test_concurrent_requests_with_one_key_create_one_customer(fake):
    ids = []
    barrier = threading.Barrier(8)

    def create():
        api = client_of(fake, max_network_retries=1000)
        barrier.wait()
        ids.append(api.customers.create({"name": "Ada"}, KEY).id)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == 8
    assert len(set(ids)) == customer_count(fake) == 1


def test_a_response_is_kept_although_the_caller_crashed(fake, api):
    def crash(request, response):
        fake.after_request.remove(crash)
        raise RuntimeError("crash")

    fake.after_request.append(crash)
    with pytest.raises(RuntimeError):
        api.customers.create({"name": "Ada"}, KEY)

    assert api.customers.create({"name": "Ada"}, KEY).last_response.headers["Idempotent-Replayed"]
    assert customer_count(fake) == 1
