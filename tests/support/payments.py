"""Payments and refunds at Stripe, and the endpoints that make them."""

from __future__ import annotations

import pytest
import stripe

from aa_stripe.exceptions import StripeInternalError
from aa_stripe.models import StripeCustomer
from aa_stripe.models.charge import collect
from aa_stripe.testing import Fault

CREATE = "POST /v1/payment_intents"
CONFIRM = "POST /v1/payment_intents/*/confirm"
RETRIEVE = "GET /v1/payment_intents/*"
UPDATE = "POST /v1/payment_intents/*"
CANCEL = "POST /v1/payment_intents/*/cancel"
LIST = "GET /v1/payment_intents"
REFUND = "POST /v1/refunds"
REFUNDS = "GET /v1/refunds"


def payer_of(charge):
    """Return the customer that would pay the charge now."""
    return StripeCustomer.latest_active(charge.user_id)


def intent_of(fake, charge):
    return fake.account.get("payment_intent", charge.stripe_payment_intent_id)


def intents(fake):
    return fake.account.all("payment_intent")


def paid(fake):
    """Return the payments that succeeded."""
    return [intent for intent in intents(fake) if intent["status"] == "succeeded"]


def refunds_of(fake, charge):
    """Return the refunds of the charge, oldest first."""
    return [it for it in fake.account.all("refund") if it["charge"] == charge.stripe_charge_id]


def amounts_refunded(fake, charge):
    """Return the amounts of the charge's refunds, oldest first."""
    return [made["amount"] for made in refunds_of(fake, charge)]


def lose_response(fake, charge, fault=Fault.ANSWER_LOST):
    """Charge, but lose Stripe's response to the confirmation: the row stays unsettled."""
    fake.fail_next(CONFIRM, fault)
    with pytest.raises(StripeInternalError):
        charge.charge()


def authenticate(fake, charge):
    """Confirm as the customer does in the browser, with 3-D Secure."""
    intent = intent_of(fake, charge)
    stripe.PaymentIntent.confirm(intent["id"], payment_method=charge.customer.default_source)
    fake.complete_authentication(intent["id"])


def before_it_is_written(monkeypatch, act):
    """Call ``act()`` once, after Stripe's response and before the outcome is recorded."""
    writes = {name: getattr(collect, name) for name in ("write_success", "write_failure")}

    def slow(name):
        def be_slow(*arguments):
            for each, write in writes.items():
                monkeypatch.setattr(collect, each, write)
            act()
            return writes[name](*arguments)

        return be_slow

    for name in writes:
        monkeypatch.setattr(collect, name, slow(name))
