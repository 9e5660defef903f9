"""GET aa-stripe/charges/<uuid>: the state of a charge, and what its payer has to do."""

from __future__ import annotations

import logging

import pytest
import stripe

from aa_stripe.models import StripeCharge
from aa_stripe.testing import Fault
from tests.api.requests import TRY_AGAIN, charge_url, sent_to
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.clients import signed_in
from tests.support.payments import intent_of

ROW_ONLY = {"client_secret": None, "payment_method": None}


@pytest.fixture
def waiting(api, payer):
    """A charge that its payer has to authenticate."""
    charge = make_charge(make_customer(payer, "tok_authenticationRequired"))
    charge.charge()
    return charge


def pay_in_browser(charge, shown):
    """Confirm as a front-end does, up to the authentication by the cardholder."""
    client = stripe.StripeClient("pk_test_browser", http_client=stripe.default_http_client)
    client.v1.payment_intents.confirm(
        charge.stripe_payment_intent_id,
        {"payment_method": shown["payment_method"], "client_secret": shown["client_secret"]},
    )


def test_an_uncollected_charge_is_pending(api, payer):
    charge = make_charge(make_customer(payer), amount=1234, description="Tea", comment="internal")

    response = api.get(charge_url(charge))

    assert response.status_code == 200
    shown = response.json()
    assert shown.pop("created")
    assert shown == {
        "uuid": str(charge.uuid),
        "state": "pending",
        "amount": 1234,
        "currency": "usd",
        "amount_refunded": 0,
        "description": "Tea",
        "is_charged": False,
        "is_refunded": False,
        "charge_attempt_failed": False,
        "failure_code": "",
        **ROW_ONLY,
    }


def test_a_charge_that_is_paid_is_charged(api, payer):
    charge = make_charge(make_customer(payer))
    charge.charge()

    shown = api.get(charge_url(charge)).json()

    assert shown["state"] == "charged"
    assert shown.items() >= ROW_ONLY.items()


def test_what_was_refunded_is_shown(api, payer):
    charge = make_charge(make_customer(payer))
    charge.charge()
    charge.refund(300)

    shown = api.get(charge_url(charge)).json()

    assert (shown["state"], shown["amount_refunded"], shown["is_refunded"]) == (
        "charged",
        300,
        False,
    )


def test_a_charge_that_was_declined_is_failed(api, payer):
    charge = make_charge(make_customer(payer, "tok_chargeCustomerFail"))
    charge.charge()

    shown = api.get(charge_url(charge)).json()

    assert shown["state"] == "failed"
    assert shown["failure_code"] == "card_declined"
    assert shown.items() >= ROW_ONLY.items()


def test_a_charge_that_requires_authentication_has_the_client_secret(api, fake, waiting):
    response = api.get(charge_url(waiting))

    shown = response.json()
    assert shown["state"] == "requires_action"
    assert shown["client_secret"] == intent_of(fake, waiting)["client_secret"]
    assert shown["payment_method"] == waiting.customer.default_source
    assert "no-store" in response.headers["Cache-Control"]


def test_the_payer_can_pay_with_the_values_of_the_response(api, fake, waiting):
    pay_in_browser(waiting, api.get(charge_url(waiting)).json())
    confirmed = api.get(charge_url(waiting)).json()
    fake.complete_authentication(waiting.stripe_payment_intent_id)
    paid = api.get(charge_url(waiting)).json()
    waiting.charge()  # as the webhook does

    assert confirmed["state"] == "requires_action"
    assert confirmed["client_secret"]
    assert confirmed["payment_method"] == waiting.customer.default_source
    assert paid["state"] == "processing"
    assert paid.items() >= ROW_ONLY.items()
    assert api.get(charge_url(waiting)).json()["state"] == "charged"


def test_a_payment_canceled_at_stripe_has_no_client_secret(api, fake, waiting):
    fake.dashboard_cancel(waiting.stripe_payment_intent_id)

    shown = api.get(charge_url(waiting)).json()

    assert shown["state"] == "failed"
    assert shown.items() >= ROW_ONLY.items()


def test_a_charge_that_is_retried_has_no_client_secret(api, waiting):
    StripeCharge.objects.update(charge_attempt_failed=False)

    shown = api.get(charge_url(waiting)).json()

    assert shown["state"] == "pending"
    assert shown.items() >= ROW_ONLY.items()


def test_a_charge_without_a_payment_intent_is_failed(api, waiting):
    StripeCharge.objects.update(stripe_payment_intent_id="")

    assert api.get(charge_url(waiting)).json()["state"] == "failed"


def test_the_secret_is_neither_stored_nor_logged(api, waiting, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "stripe")  # at DEBUG the SDK logs whole responses

    secret = api.get(charge_url(waiting)).json()["client_secret"]

    assert secret not in caplog.text
    assert secret not in str(StripeCharge.objects.values().get())


def test_stripe_is_called_only_for_a_charge_that_requires_action(api, payer, fake, waiting):
    charge = make_charge(make_customer(payer))
    before = len(fake.requests)

    api.get(charge_url(charge))
    api.get(charge_url(waiting))

    assert sent_to(fake)[before:] == [f"GET /v1/payment_intents/{waiting.stripe_payment_intent_id}"]


@pytest.mark.parametrize(
    "fault",
    [Fault.REQUEST_LOST, Fault.ERROR_500_BEFORE, Fault.RATE_LIMITED, Fault.GARBAGE],
    ids=lambda fault: fault.name,
)
def test_a_failed_call_to_stripe_gives_a_503_response(api, fake, waiting, fault):
    fake.fail_next("GET /v1/payment_intents/*", fault)

    response = api.get(charge_url(waiting))

    assert (response.status_code, response.json()) == (503, TRY_AGAIN)


def test_a_payment_unknown_at_stripe_gives_a_503_response_and_is_logged(api, waiting, caplog):
    StripeCharge.objects.update(stripe_payment_intent_id="pi_of_another_account")

    response = api.get(charge_url(waiting))

    assert (response.status_code, response.json()) == (503, TRY_AGAIN)
    assert "pi_of_another_account" in caplog.text


def test_a_charge_of_another_user_is_not_found(waiting, fake):
    before = len(fake.requests)

    response = signed_in(make_user()).get(charge_url(waiting))

    assert response.status_code == 404
    assert len(fake.requests) == before


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_endpoint_is_read_only(api, waiting, method):
    assert getattr(api, method)(charge_url(waiting)).status_code == 405
