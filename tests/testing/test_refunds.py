from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import intent_params, types_of


def charge_of(api, intent):
    return api.charges.retrieve(intent.latest_charge)


def pay_with(api, card):
    return api.payment_intents.create(intent_params(payment_method=card, confirm=True))


@pytest.fixture
def pending(api):
    """A pending refund of 4 dollars."""
    intent = pay_with(api, "pm_card_pendingRefund")
    return api.refunds.create({"payment_intent": intent.id, "amount": 400})


def test_a_charge_can_be_refunded_in_part(fake, api, paid):
    refund = api.refunds.create(
        {
            "charge": paid.latest_charge,
            "amount": 300,
            "metadata": {"uuid": "1"},
            "reason": "duplicate",
        }
    )

    found = api.refunds.retrieve(refund.id)
    assert (found.amount, found.currency, found.status) == (300, "usd", "succeeded")
    assert (found.charge, found.payment_intent) == (paid.latest_charge, paid.id)
    assert (found.reason, found.metadata["uuid"]) == ("duplicate", "1")
    charge = charge_of(api, paid)
    assert (charge.amount_refunded, charge.refunded) == (300, False)
    assert types_of(fake)[-2:] == ["refund.created", "charge.refunded"]
    assert fake.events[-1]["data"]["previous_attributes"]["amount_refunded"] == 0


def test_a_refund_without_an_amount_refunds_the_rest(api, paid):
    api.refunds.create({"payment_intent": paid.id, "amount": 300})

    refund = api.refunds.create({"payment_intent": paid.id})

    assert refund.amount == 700
    charge = charge_of(api, paid)
    assert (charge.amount_refunded, charge.refunded) == (1000, True)


def test_a_refund_has_a_balance_transaction(api, paid):
    refund = api.refunds.create({"payment_intent": paid.id})

    transaction = api.balance_transactions.retrieve(refund.balance_transaction)

    assert (transaction.amount, transaction.fee, transaction.type) == (-1000, 0, "refund")


def test_refunds_are_listed_by_charge_and_payment_intent(api, paid):
    first = api.refunds.create({"payment_intent": paid.id, "amount": 100})
    second = api.refunds.create({"payment_intent": paid.id, "amount": 100})
    elsewhere = api.refunds.create({"payment_intent": pay_with(api, "pm_card_visa").id})

    def listed(**params):
        return [refund.id for refund in api.refunds.list(params)]

    assert listed() == [elsewhere.id, second.id, first.id]
    assert listed(charge=paid.latest_charge) == [second.id, first.id]
    assert listed(payment_intent=paid.id) == [second.id, first.id]


def test_listing_the_refunds_of_an_unknown_charge_is_refused(api):
    with pytest.raises(stripe.InvalidRequestError, match="No such charge: 'ch_none'"):
        api.refunds.list({"charge": "ch_none"})


def test_a_charge_lists_its_refunds(fake, api, paid):
    refund = api.refunds.create({"payment_intent": paid.id})
    elsewhere = api.refunds.create({"payment_intent": pay_with(api, "pm_card_visa").id})
    charges = {"api_key": "sk_test_1"}
    original, stripe.default_http_client = stripe.default_http_client, fake.http_client
    try:
        listed = stripe.Charge.list_refunds(paid.latest_charge, **charges)
        found = stripe.Charge.retrieve_refund(paid.latest_charge, refund.id, **charges)
        with pytest.raises(stripe.InvalidRequestError, match="No such refund"):
            stripe.Charge.retrieve_refund(paid.latest_charge, elsewhere.id, **charges)
    finally:
        stripe.default_http_client = original

    assert [each.id for each in listed] == [found.id] == [refund.id]


def test_the_metadata_can_be_changed(fake, api, paid):
    refund = api.refunds.create({"payment_intent": paid.id})

    assert api.refunds.update(refund.id, {"metadata": {"a": "1"}}).metadata["a"] == "1"
    assert types_of(fake)[-1] == "refund.updated"


def test_a_refund_requires_a_charge_or_an_intent(api):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.refunds.create({"amount": 100})

    assert caught.value.code == "parameter_missing"


def test_an_unconfirmed_payment_cannot_be_refunded(api, intent):
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        api.refunds.create({"payment_intent": intent.id})


def test_a_failed_or_uncaptured_payment_cannot_be_refunded(api, intent):
    with pytest.raises(stripe.CardError):
        api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    held = api.payment_intents.create(
        intent_params(capture_method="manual", payment_method="pm_card_visa", confirm=True)
    )

    for id in (intent.id, held.id):
        with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
            api.refunds.create({"payment_intent": id})


def test_a_pending_refund_is_part_of_the_refunded_amount(api, pending):
    assert pending.status == "pending"
    assert api.charges.retrieve(pending.charge).amount_refunded == 400


def test_a_pending_refund_can_succeed(fake, api, pending):
    fake.settle_refund(pending.id, "succeeded")

    assert api.refunds.retrieve(pending.id).status == "succeeded"
    assert api.charges.retrieve(pending.charge).amount_refunded == 400
    assert types_of(fake)[-2:] == ["refund.updated", "charge.refund.updated"]


def test_a_failed_refund_is_not_part_of_the_refunded_amount(fake, api, pending):
    fake.settle_refund(pending.id, "failed")

    refund = api.refunds.retrieve(pending.id, {"expand": ["failure_balance_transaction"]})
    assert (refund.status, refund.failure_reason) == ("failed", "expired_or_canceled_card")
    assert refund.failure_balance_transaction.amount == 400
    charge = api.charges.retrieve(pending.charge)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert types_of(fake)[-2:] == ["refund.failed", "charge.refund.updated"]
    assert api.refunds.create({"charge": pending.charge}).amount == 1000


def test_a_succeeded_refund_can_fail_later(fake, api):
    intent = pay_with(api, "pm_card_refundFail")
    refund = api.refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded"

    fake.settle_refund(refund.id, "failed")

    assert not charge_of(api, intent).refunded


def test_a_refund_that_requires_action_can_be_canceled(fake, api, pending):
    fake.settle_refund(pending.id, "requires_action")

    canceled = api.refunds.cancel(pending.id)

    assert canceled.status == "canceled"
    assert api.charges.retrieve(pending.charge).amount_refunded == 0


def test_a_pending_refund_cannot_be_canceled(api, pending):
    with pytest.raises(stripe.InvalidRequestError, match="it has a status of pending"):
        api.refunds.cancel(pending.id)


def test_a_refund_can_be_settled_only_once(fake, pending):
    fake.settle_refund(pending.id, "failed")

    with pytest.raises(ValueError, match="cannot be settled"):
        fake.settle_refund(pending.id, "succeeded")
    with pytest.raises(ValueError, match="There is no refund"):
        fake.settle_refund("re_none", "succeeded")
    with pytest.raises(ValueError, match="cannot become 'done'"):
        fake.settle_refund(pending.id, "done")


def test_only_the_captured_amount_can_be_refunded(api):
    held = api.payment_intents.create(
        intent_params(capture_method="manual", payment_method="pm_card_visa", confirm=True)
    )
    api.payment_intents.capture(held.id, {"amount_to_capture": 600})

    refund = api.refunds.create({"payment_intent": held.id})

    assert refund.amount == 600
    assert charge_of(api, held).refunded
