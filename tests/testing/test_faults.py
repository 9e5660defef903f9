from __future__ import annotations

import time

import pytest
import stripe

from aa_stripe.testing import Fault
from tests.testing.conftest import client_of, intent_params

CREATE = "POST /v1/payment_intents"
CONFIRM = "POST /v1/payment_intents/*/confirm"
KEY = {"idempotency_key": "k"}


def plans(fake):
    return len(fake.account.all("payment_intent"))


def attempt(api, kind):
    with pytest.raises(kind) as caught:
        api.payment_intents.create(intent_params(), KEY)
    return caught.value


@pytest.mark.parametrize(
    ("fault", "kind", "status", "made"),
    [
        (Fault.REQUEST_LOST, stripe.APIConnectionError, None, 0),
        (Fault.ANSWER_LOST, stripe.APIConnectionError, None, 1),
        (Fault.ERROR_500_BEFORE, stripe.APIError, 500, 0),
        (Fault.ERROR_500_AFTER, stripe.APIError, 500, 1),
        (Fault.RATE_LIMITED, stripe.RateLimitError, 429, 0),
        (Fault.CONFLICT, stripe.APIError, 409, 0),
        (Fault.GARBAGE, stripe.APIError, 200, 1),
    ],
)
def test_what_goes_wrong_and_what_takes_effect_all_the_same(fake, api, fault, kind, status, made):
    fake.fail_next(CREATE, fault)

    error = attempt(api, kind)

    assert error.http_status == status
    assert plans(fake) == made
    assert (fake.requests[-1].fault, fake.requests[-1].status) == (fault, status)


@pytest.mark.parametrize(
    "fault",
    [Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.RATE_LIMITED, Fault.CONFLICT, Fault.GARBAGE],
)
def test_the_same_request_again_goes_well_and_takes_effect_once(fake, api, fault):
    fake.fail_next(CREATE, fault)
    attempt(api, stripe.StripeError)

    again = api.payment_intents.create(intent_params(), KEY)

    assert again.status == "requires_payment_method"
    assert plans(fake) == 1


@pytest.mark.parametrize("fault", [Fault.ERROR_500_BEFORE, Fault.ERROR_500_AFTER])
def test_a_500_is_kept_under_the_key(fake, api, fault):
    fake.fail_next(CREATE, fault)
    attempt(api, stripe.APIError)
    made = plans(fake)

    error = attempt(api, stripe.APIError)

    assert error.headers["Idempotent-Replayed"] == "true"
    assert plans(fake) == made
    assert api.payment_intents.create(intent_params(), {"idempotency_key": "new"}).id


def test_rate_limits_say_why(fake, api):
    fake.fail_next(CREATE, Fault.RATE_LIMITED)

    error = attempt(api, stripe.RateLimitError)

    assert error.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert error.error.code == "rate_limit"


def test_every_answer_has_a_request_id(fake, api):
    fake.fail_next(CREATE, Fault.ERROR_500_BEFORE)

    error = attempt(api, stripe.APIError)
    good = api.customers.create()

    assert error.request_id == fake.requests[0].id
    assert good.last_response.request_id == fake.requests[1].id


def test_slow_is_slow_and_good(fake, api):
    fake.fail_next(CREATE, Fault.SLOW, seconds=0.2)
    began = time.monotonic()

    api.payment_intents.create(intent_params())

    assert time.monotonic() - began >= 0.2


def test_the_sdk_repeats_what_got_no_answer(fake):
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fake.fail_next(CREATE, Fault.REQUEST_LOST)
    api = client_of(fake, max_network_retries=2)

    intent = api.payment_intents.create(intent_params())

    assert plans(fake) == 1
    assert intent.last_response.headers["Idempotent-Replayed"] == "true"
    assert len({request.idempotency_key for request in fake.requests}) == 1
    assert [request.status for request in fake.requests] == [None, None, 200]


def test_a_fault_can_last(fake, api):
    fake.fail_next(CREATE, Fault.REQUEST_LOST, times=None)

    for _ in range(3):
        attempt(api, stripe.APIConnectionError)

    fake.clear_faults()
    assert api.payment_intents.create(intent_params()).id


def test_a_fault_can_come_several_times(fake, api):
    fake.fail_next(CREATE, Fault.REQUEST_LOST, times=2)

    for _ in range(2):
        attempt(api, stripe.APIConnectionError)

    assert api.payment_intents.create(intent_params()).id


def test_other_endpoints_are_spared(fake, api, intent, card):
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)

    api.payment_intents.retrieve(intent.id)
    api.payment_intents.update(intent.id, {"amount": 1100})

    with pytest.raises(stripe.APIConnectionError):
        api.payment_intents.confirm(intent.id, {"payment_method": card.id})


def test_a_star_is_every_endpoint(fake, api):
    fake.fail_next("*", Fault.REQUEST_LOST)

    with pytest.raises(stripe.APIConnectionError):
        api.events.list()


@pytest.mark.parametrize(
    "endpoint",
    ["POST /v1/payment_intent", "GET /v1/payment_intents/*/confirm", "/v1/charges", ""],
)
def test_an_endpoint_that_is_not_there_is_a_mistake(fake, endpoint):
    with pytest.raises(ValueError, match="Unknown endpoint"):
        fake.fail_next(endpoint, Fault.GARBAGE)


def test_a_decline_can_be_lost_too(fake, api, intent):
    fake.fail_next(CONFIRM, Fault.ANSWER_LOST)
    params = {"payment_method": "pm_card_chargeDeclined"}
    with pytest.raises(stripe.APIConnectionError):
        api.payment_intents.confirm(intent.id, params, KEY)

    with pytest.raises(stripe.CardError):
        api.payment_intents.confirm(intent.id, params, KEY)

    assert len(fake.account.all("charge")) == 1


def test_hooks_are_called_before_and_after(fake, api):
    calls = []
    fake.before_request.append(lambda request: calls.append((request.path, plans(fake))))
    fake.after_request.append(
        lambda request, answer: calls.append((answer.json()["status"], plans(fake)))
    )

    api.payment_intents.create(intent_params())

    assert calls == [("/v1/payment_intents", 0), ("requires_payment_method", 1)]


def test_a_hook_can_change_things_at_a_given_moment(fake, api, intent, card):
    def cancel(request):
        if request.path.endswith("/confirm"):
            fake.dashboard_cancel(intent.id)

    fake.before_request.append(cancel)

    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.confirm(intent.id, {"payment_method": card.id})

    assert caught.value.error.payment_intent.status == "canceled"


def test_a_hook_can_end_the_caller_with_the_effect_done(fake, api, intent, card):
    def kill(request, answer):
        if request.path.endswith("/confirm"):
            raise KeyboardInterrupt

    fake.after_request.append(kill)

    with pytest.raises(KeyboardInterrupt):
        api.payment_intents.confirm(intent.id, {"payment_method": card.id})

    assert api.payment_intents.retrieve(intent.id).status == "succeeded"


def test_the_log_has_what_was_sent(fake, api):
    api.payment_intents.create(
        intent_params(metadata={"a": "1"}, expand=["customer"]), {"idempotency_key": "k"}
    )

    (request,) = fake.requests
    assert (request.method, request.path, request.status) == ("POST", "/v1/payment_intents", 200)
    assert request.params["amount"] == "1000"
    assert request.params["metadata"] == {"a": "1"}
    assert request.params["expand"] == ["customer"]
    assert request.idempotency_key == "k"
    assert request.headers["authorization"] == "Bearer sk_test_123"


def test_an_unknown_url_is_a_404(fake):
    client = stripe.StripeClient("sk_test_1", http_client=fake.http_client)

    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL") as caught:
        client.raw_request("get", "/v1/unicorns")

    assert caught.value.http_status == 404
