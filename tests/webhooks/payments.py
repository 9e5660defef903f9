"""Charges with lost responses, the types of their events, and a check against Stripe."""

from __future__ import annotations

from aa_stripe.models import StripeCharge
from aa_stripe.models.charge.search import UUID_KEY
from tests.support.payments import paid
from tests.support.rows import row_of

SUCCEEDED = "payment_intent.succeeded"
FAILED = "payment_intent.payment_failed"
CANCELED = "payment_intent.canceled"
REQUIRES_ACTION = "payment_intent.requires_action"
PROCESSING = "payment_intent.processing"

#: The types of events about a payment, and about its refunds.
OF_PAYMENT = (SUCCEEDED, FAILED, CANCELED, REQUIRES_ACTION, PROCESSING)
OF_REFUND = (
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
)


def lose_id(charge):
    """Reset the row, as a rollback of the transaction around ``charge()`` does."""
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


def assert_matches_stripe(fake, charge):
    """Check that the row matches Stripe's charge and that no signal is due."""
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
