"""Charges whose payments Stripe's events tell of: how they come about, and what they must say."""

from __future__ import annotations

import pytest

from aa_stripe.exceptions import StripeInternalError
from aa_stripe.models import StripeCharge
from aa_stripe.models.charge.intent import UUID_KEY
from aa_stripe.testing import Fault
from tests.support.payments import CONFIRM, paid
from tests.support.rows import row_of

SUCCEEDED = "payment_intent.succeeded"
FAILED = "payment_intent.payment_failed"
CANCELED = "payment_intent.canceled"
REQUIRES_ACTION = "payment_intent.requires_action"
PROCESSING = "payment_intent.processing"

#: What tells of a payment, and of what was given back.
OF_PAYMENT = (SUCCEEDED, FAILED, CANCELED, REQUIRES_ACTION, PROCESSING)
OF_REFUND = (
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
)


def lose_answer(fake, charge):
    """Collect, and never hear what became of it."""
    fake.fail_next(CONFIRM, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charge.charge()


def lose_id(charge):
    """What a transaction around ``charge()`` does when it rolls back."""
    StripeCharge.objects.filter(pk=charge.pk).update(
        stripe_payment_intent_id="",
        is_charged=False,
        charge_attempt_failed=False,
        failure_code="",
        stripe_charge_id="",
        stripe_response={},
        customer=None,
        signal_due="",
    )


def assert_as_stripe_says(fake, charge):
    """The row is equal to Stripe's charge, and owes nobody anything."""
    row = row_of(charge)
    [intent] = [it for it in paid(fake) if it["metadata"][UUID_KEY] == str(row.uuid)]
    collected = fake.account.get("charge", intent["latest_charge"])
    assert (row.is_charged, row.charge_attempt_failed, row.failure_code) == (True, False, "")
    assert row.stripe_payment_intent_id == intent["id"]
    assert row.stripe_charge_id == row.stripe_response["id"] == collected["id"]
    assert (row.amount, row.currency) == (intent["amount_received"], intent["currency"])
    assert row.customer.stripe_customer_id == intent["customer"]
    assert row.amount_refunded == collected["amount_refunded"]
    assert row.is_refunded == collected["refunded"]
    assert row.signal_due == ""
