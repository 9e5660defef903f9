from __future__ import annotations

import pytest
import stripe

from tests.testing.conftest import intent_params, types_of


def charge_of(api, intent):
    return api.charges.retrieve(intent.latest_charge)


def bought(api, card):
    return api.payment_intents.create(intent_params(payment_method=card, confirm=True))


@pytest.fixture
def pending(api):
    """A refund of 4 dollars that is not over."""
    intent = bought(api, "pm_card_pendingRefund")
    return api.refunds.create({"payment_intent": intent.id, "amount": 400})


def test_a_part_can_be_given_back(fake, api, paid):
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


def test_without_an_amount_all_that_is_left_is_given_back(api, paid):
    api.refunds.create({"payment_intent": paid.id, "amount": 300})

    refund = api.refunds.create({"payment_intent": paid.id})

    assert refund.amount == 700
    charge = charge_of(api, paid)
    assert (charge.amount_refunded, charge.refunded) == (1000, True)


def test_a_refund_is_booked(api, paid):
    refund = api.refunds.create({"payment_intent": paid.id})

    booked = api.balance_transactions.retrieve(refund.balance_transaction)

    assert (booked.amount, booked.fee, booked.type) == (-1000, 0, "refund")


def test_refunds_are_found_by_charge_and_plan(api, paid):
    first = api.refunds.create({"payment_intent": paid.id, "amount": 100})
    second = api.refunds.create({"payment_intent": paid.id, "amount": 100})
    elsewhere = api.refunds.create({"payment_intent": bought(api, "pm_card_visa").id})

    def found(**params):
        return [refund.id for refund in api.refunds.list(params)]

    assert found() == [elsewhere.id, second.id, first.id]
    assert found(charge=paid.latest_charge) == [second.id, first.id]
    assert found(payment_intent=paid.id) == [second.id, first.id]


def test_the_refunds_of_an_unknown_charge_are_refused(api):
    with pytest.raises(stripe.InvalidRequestError, match="No such charge: 'ch_none'"):
        api.refunds.list({"charge": "ch_none"})


def test_a_charge_lists_its_refunds(fake, api, paid):
    refund = api.refunds.create({"payment_intent": paid.id})
    elsewhere = api.refunds.create({"payment_intent": bought(api, "pm_card_visa").id})
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


def test_a_refund_needs_to_know_of_what(api):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.refunds.create({"amount": 100})

    assert caught.value.code == "parameter_missing"


def test_what_was_never_tried_cannot_be_given_back(api, intent):
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        api.refunds.create({"payment_intent": intent.id})


def test_what_failed_or_is_only_reserved_cannot_be_given_back(api, intent):
    with pytest.raises(stripe.CardError):
        api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    held = api.payment_intents.create(
        intent_params(capture_method="manual", payment_method="pm_card_visa", confirm=True)
    )

    for id in (intent.id, held.id):
        with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
            api.refunds.create({"payment_intent": id})


def test_a_pending_refund_counts(api, pending):
    assert pending.status == "pending"
    assert api.charges.retrieve(pending.charge).amount_refunded == 400


def test_a_pending_refund_can_succeed(fake, api, pending):
    fake.settle_refund(pending.id, "succeeded")

    assert api.refunds.retrieve(pending.id).status == "succeeded"
    assert api.charges.retrieve(pending.charge).amount_refunded == 400
    assert types_of(fake)[-2:] == ["refund.updated", "charge.refund.updated"]


def test_a_refund_that_fails_gives_back(fake, api, pending):
    fake.settle_refund(pending.id, "failed")

    refund = api.refunds.retrieve(pending.id, {"expand": ["failure_balance_transaction"]})
    assert (refund.status, refund.failure_reason) == ("failed", "expired_or_canceled_card")
    assert refund.failure_balance_transaction.amount == 400
    charge = api.charges.retrieve(pending.charge)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert types_of(fake)[-2:] == ["refund.failed", "charge.refund.updated"]
    assert api.refunds.create({"charge": pending.charge}).amount == 1000


def test_a_refund_that_had_succeeded_may_fail_later(fake, api):
    intent = bought(api, "pm_card_refundFail")
    refund = api.refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded"

    fake.settle_refund(refund.id, "failed")

    assert not charge_of(api, intent).refunded


def test_a_refund_that_waits_for_the_customer_can_be_canceled(fake, api, pending):
    fake.settle_refund(pending.id, "requires_action")

    canceled = api.refunds.cancel(pending.id)

    assert canceled.status == "canceled"
    assert api.charges.retrieve(pending.charge).amount_refunded == 0


def test_another_refund_cannot_be_canceled(api, pending):
    with pytest.raises(stripe.InvalidRequestError, match="it has a status of pending"):
        api.refunds.cancel(pending.id)


def test_a_refund_is_settled_once_and_for_all(fake, pending):
    fake.settle_refund(pending.id, "failed")

    with pytest.raises(ValueError, match="cannot be settled"):
        fake.settle_refund(pending.id, "succeeded")
    with pytest.raises(ValueError, match="There is no refund"):
        fake.settle_refund("re_none", "succeeded")
    with pytest.raises(ValueError, match="cannot become 'done'"):
        fake.settle_refund(pending.id, "done")


def test_only_what_was_taken_can_be_given_back(api):
    held = api.payment_intents.create(
        intent_params(capture_method="manual", payment_method="pm_card_visa", confirm=True)
    )
    api.payment_intents.capture(held.id, {"amount_to_capture": 600})

    refund = api.refunds.create({"payment_intent": held.id})

    assert refund.amount == 600
    assert charge_of(api, held).refunded
