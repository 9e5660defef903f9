from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import intent_params, types_of


@pytest.fixture
def processing(api):
    """A payment that the bank has neither accepted nor declined yet."""
    return api.payment_intents.create(
        intent_params(payment_method="pm_card_fakeProcessing", confirm=True)
    )


def test_a_payment_at_a_slow_bank_is_processing(fake, api, processing):
    assert (processing.status, processing.amount_received) == ("processing", 0)
    charge = api.charges.retrieve(processing.latest_charge)
    assert (charge.status, charge.paid) == ("pending", False)
    assert types_of(fake)[-2:] == ["charge.pending", "payment_intent.processing"]


def test_a_processing_payment_can_neither_be_confirmed_nor_canceled(api, processing):
    for call in (api.payment_intents.confirm, api.payment_intents.cancel):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call(processing.id)
        assert caught.value.code == "payment_intent_unexpected_state"


def test_a_processing_payment_can_succeed(fake, api, processing):
    settled = fake.settle(processing.id)

    found = api.payment_intents.retrieve(processing.id, {"expand": ["latest_charge"]})
    assert settled["status"] == found.status == "succeeded"
    assert found.amount_received == 1000
    assert (found.latest_charge.status, found.latest_charge.paid) == ("succeeded", True)
    assert types_of(fake)[-2:] == ["charge.succeeded", "payment_intent.succeeded"]


def test_a_processing_payment_can_fail(fake, api, processing):
    fake.settle(processing.id, succeed=False)

    found = api.payment_intents.retrieve(processing.id)
    assert found.status == "requires_payment_method"
    assert found.last_payment_error.charge == processing.latest_charge
    assert api.charges.retrieve(processing.latest_charge).status == "failed"
    assert types_of(fake)[-2:] == ["charge.failed", "payment_intent.payment_failed"]


def test_only_a_processing_payment_can_be_settled(fake, intent):
    with pytest.raises(ValueError, match="is not processing"):
        fake.settle(intent.id)
    with pytest.raises(ValueError, match="There is no PaymentIntent"):
        fake.settle("pi_none")
