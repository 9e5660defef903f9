from __future__ import annotations

import time

import pytest
import stripe

from aa_stripe.testing import Fault
from tests.testing.conftest import client_of, intent_params

CREATE = "POST /v1/payment_intents"
CONFIRM = "POST /v1/payment_intents/*/confirm"
KEY = {"idempotency_key": "k"}


def intent_count(fake):
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
def test_a_fault_raises_its_error_before_or_after_the_request_takes_effect(
    fake, api, fault, kind, status, made
):
    fake.fail_next(CREATE, fault)

    error = attempt(api, kind)

    assert error.http_status == status
    assert intent_count(fake) == made
    assert (fake.requests[-1].fault, fake.requests[-1].status) == (fault, status)


@pytest.mark.parametrize(
    "fault",
    [Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.RATE_LIMITED, Fault.CONFLICT, Fault.GARBAGE],
)
def test_a_retry_succeeds_and_the_request_takes_effect_once(fake, api, fault):
    fake.fail_next(CREATE, fault)
    attempt(api, stripe.StripeError)

    retried = api.payment_intents.create(intent_params(), KEY)

    assert retried.status == "requires_payment_method"
    assert intent_count(fake) == 1


@pytest.mark.parametrize("fault", [Fault.ERROR_500_BEFORE, Fault.ERROR_500_AFTER])
def test_a_500_is_kept_under_the_key(fake, api, fault):
    fake.fail_next(CREATE, fault)
    attempt(api, stripe.APIError)
    made = intent_count(fake)

    error = attempt(api, stripe.APIError)

    assert error.headers["Idempotent-Replayed"] == "true"
    assert intent_count(fake) == made
    assert api.payment_intents.create(intent_params(), {"idempotency_key": "new"}).id


def test_a_rate_limit_error_has_a_reason(fake, api):
    fake.fail_next(CREATE, Fault.RATE_LIMITED)

    error = attempt(api, stripe.RateLimitError)

    assert error.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert error.error.code == "rate_limit"


def test_every_response_has_a_request_id(fake, api):
    fake.fail_next(CREATE, Fault.ERROR_500_BEFORE)

    error = attempt(api, stripe.APIError)
    good = api.customers.create()

    assert error.request_id == fake.requests[0].id
    assert good.last_response.request_id == fake.requests[1].id


def test_a_slow_request_is_delayed_and_succeeds(fake, api):
    fake.fail_next(CREATE, Fault.SLOW, seconds=0.2)
    began = time.monotonic()

    api.payment_intents.create(intent_params())

    assert time.monotonic() - began >= 0.2


def test_the_sdk_retries_requests_without_a_response(fake):
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fake.fail_next(CREATE, Fault.REQUEST_LOST)
    api = client_of(fake, max_network_retries=2)

    intent = api.payment_intents.create(intent_params())

    assert intent_count(fake) == 1
    assert intent.last_response.headers["Idempotent-Replayed"] == "true"
    assert len({request.idempotency_key for request in fake.requests}) == 1
    assert [request.status for request in fake.requests] == [None, None, 200]


def test_a_fault_can_last_until_it_is_cleared(fake, api):
    fake.fail_next(CREATE, Fault.REQUEST_LOST, times=None)

    for _ in range(3):
        attempt(api, stripe.APIConnectionError)

    fake.clear_faults()
    assert api.payment_intents.create(intent_params()).id


def test_a_fault_can_occur_several_times(fake, api):
    fake.fail_next(CREATE, Fault.REQUEST_LOST, times=2)

    for _ in range(2):
        attempt(api, stripe.APIConnectionError)

    assert api.payment_intents.create(intent_params()).id


def test_a_fault_does_not_affect_other_endpoints(fake, api, intent, card):
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)

    api.payment_intents.retrieve(intent.id)
    api.payment_intents.update(intent.id, {"amount": 1100})

    with pytest.raises(stripe.APIConnectionError):
        api.payment_intents.confirm(intent.id, {"payment_method": card.id})


def test_a_star_matches_every_endpoint(fake, api):
    fake.fail_next("*", Fault.REQUEST_LOST)

    with pytest.raises(stripe.APIConnectionError):
        api.events.list()


@pytest.mark.parametrize(
    "endpoint",
    ["POST /v1/payment_intent", "GET /v1/payment_intents/*/confirm", "/v1/charges", ""],
)
def test_an_unknown_endpoint_raises_an_error(fake, endpoint):
    with pytest.raises(ValueError, match="Unknown endpoint"):
        fake.fail_next(endpoint, Fault.GARBAGE)


def test_a_lost_decline_is_returned_on_the_retry(fake, api, intent):
    fake.fail_next(CONFIRM, Fault.ANSWER_LOST)
    params = {"payment_method": "pm_card_chargeDeclined"}
    with pytest.raises(stripe.APIConnectionError):
        api.payment_intents.confirm(intent.id, params, KEY)

    with pytest.raises(stripe.CardError):
        api.payment_intents.confirm(intent.id, params, KEY)

    assert len(fake.account.all("charge")) == 1


def test_hooks_are_called_before_and_after(fake, api):
    calls = []
    fake.before_request.append(lambda request: calls.append((request.path, intent_count(fake))))
    fake.after_request.append(
        lambda request, response: calls.append((response.json()["status"], intent_count(fake)))
    )

    api.payment_intents.create(intent_params())

    assert calls == [("/v1/payment_intents", 0), ("requires_payment_method", 1)]


def test_a_hook_can_change_an_object_before_the_request_takes_effect(fake, api, intent, card):
    def cancel(request):
        if request.path.endswith("/confirm"):
            fake.dashboard_cancel(intent.id)

    fake.before_request.append(cancel)

    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.confirm(intent.id, {"payment_method": card.id})

    assert caught.value.error.payment_intent.status == "canceled"


def test_a_hook_can_interrupt_the_caller_after_the_request_took_effect(fake, api, intent, card):
    def kill(request, response):
        if request.path.endswith("/confirm"):
            raise KeyboardInterrupt

    fake.after_request.append(kill)

    with pytest.raises(KeyboardInterrupt):
        api.payment_intents.confirm(intent.id, {"payment_method": card.id})

    assert api.payment_intents.retrieve(intent.id).status == "succeeded"


def test_the_log_has_each_request_as_it_was_sent(fake, api):
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
