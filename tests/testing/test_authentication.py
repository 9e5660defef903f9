from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import attach, intent_params, types_of

ALWAYS = "pm_card_authenticationRequired"
ON_SETUP = "pm_card_authenticationRequiredOnSetup"
SET_UP = "pm_card_authenticationRequiredSetupForOffSession"


def pay(api, intent, method, **params):
    return api.payment_intents.confirm(intent.id, {"payment_method": method, **params})


@pytest.fixture
def waiting(api, intent, customer):
    """A PaymentIntent that waits for the customer's authentication."""
    return pay(api, intent, attach(api, customer, ALWAYS).id)


def test_an_on_session_payment_requires_authentication(fake, waiting):
    assert waiting.status == "requires_action"
    assert waiting.next_action.type == "use_stripe_sdk"
    assert waiting.latest_charge is None
    assert types_of(fake)[-1] == "payment_intent.requires_action"


def test_a_payment_succeeds_when_authentication_succeeds(fake, api, waiting):
    done = fake.complete_authentication(waiting.id)

    found = api.payment_intents.retrieve(waiting.id)
    assert done["status"] == found.status == "succeeded"
    assert found.next_action is None
    assert found.amount_received == 1000


def test_a_payment_fails_when_authentication_fails(fake, api, waiting):
    failed = fake.fail_authentication(waiting.id)

    found = api.payment_intents.retrieve(waiting.id)
    assert failed["status"] == found.status == "requires_payment_method"
    assert found.last_payment_error.code == "payment_intent_authentication_failure"
    assert api.charges.list().data == []
    assert types_of(fake)[-1] == "payment_intent.payment_failed"


def test_a_card_may_decline_after_authentication(fake, api, intent, customer):
    method = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"
    waiting = pay(api, intent, method)

    fake.complete_authentication(waiting.id)

    found = api.payment_intents.retrieve(intent.id)
    assert found.status == "requires_payment_method"
    assert found.last_payment_error.decline_code == "insufficient_funds"


def test_another_card_can_pay_off_session_while_authentication_is_pending(api, waiting, card):
    assert pay(api, waiting, card.id, off_session=True).status == "succeeded"


def test_a_payment_declined_off_session_can_be_authenticated_on_session(api, intent, customer):
    card = attach(api, customer, ALWAYS)
    with pytest.raises(stripe.CardError):
        pay(api, intent, card.id, off_session=True)

    assert pay(api, intent, card.id).status == "requires_action"


@pytest.mark.parametrize("method", [ALWAYS, SET_UP])
def test_required_authentication_can_be_made_an_error(api, intent, method):
    with pytest.raises(stripe.CardError) as caught:
        pay(api, intent, method, error_on_requires_action=True)

    assert caught.value.code == "authentication_required"


def test_a_card_that_was_not_set_up_is_declined_off_session(api, intent, customer):
    card = attach(api, customer, ON_SETUP)

    with pytest.raises(stripe.CardError) as caught:
        pay(api, intent, card.id, off_session=True)

    assert caught.value.code == "authentication_required"


def test_a_card_that_was_set_up_pays_off_session(fake, api, intent, customer):
    setup = api.setup_intents.create(
        {
            "customer": customer.id,
            "payment_method": ON_SETUP,
            "confirm": True,
            "return_url": "https://example.com",
        }
    )
    assert setup.status == "requires_action"

    completed = fake.complete_authentication(setup.id)

    assert completed["status"] == "succeeded"
    assert pay(api, intent, setup.payment_method, off_session=True).status == "succeeded"


def test_a_card_can_be_set_up_by_a_payment(fake, api, intent, customer):
    waiting = pay(api, intent, ON_SETUP, setup_future_usage="off_session")
    fake.complete_authentication(waiting.id)
    later = api.payment_intents.create(intent_params(customer=customer.id))

    paid = pay(api, later, waiting.payment_method, off_session=True)

    assert paid.status == "succeeded"


def test_a_card_that_is_already_set_up_requires_authentication_on_session_only(
    api, intent, customer
):
    card = attach(api, customer, SET_UP)

    assert pay(api, intent, card.id).status == "requires_action"
    assert pay(api, intent, card.id, off_session=True).status == "succeeded"


def test_a_setup_fails_when_authentication_fails(fake, api, customer):
    setup = api.setup_intents.create(
        {
            "customer": customer.id,
            "payment_method": ALWAYS,
            "confirm": True,
            "return_url": "https://example.com",
        }
    )

    failed = fake.fail_authentication(setup.id)

    assert failed["status"] == "requires_payment_method"
    assert failed["last_setup_error"]["code"] == "setup_intent_authentication_failure"
    assert types_of(fake)[-1] == "setup_intent.setup_failed"


@pytest.mark.parametrize("name", ["complete_authentication", "fail_authentication"])
def test_only_an_intent_that_requires_action_can_be_completed_or_failed(fake, intent, name):
    with pytest.raises(ValueError, match="its status is requires_payment_method"):
        getattr(fake, name)(intent.id)
    with pytest.raises(ValueError, match="There is no intent 'pi_none'"):
        getattr(fake, name)("pi_none")
