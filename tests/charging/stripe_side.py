"""What Stripe knows, and what happens there without us."""

from __future__ import annotations

import stripe

from aa_stripe.testing.http import routes

CREATE = "POST /v1/payment_intents"
CONFIRM = "POST /v1/payment_intents/*/confirm"
RETRIEVE = "GET /v1/payment_intents/*"
UPDATE = "POST /v1/payment_intents/*"
CANCEL = "POST /v1/payment_intents/*/cancel"
LIST = "GET /v1/payment_intents"
REFUND = "POST /v1/refunds"
REFUNDS = "GET /v1/refunds"


def endpoint_of(request):
    """``METHOD /path`` with ids as stars."""
    route, _ = routes.find(request.method, request.path)
    return route.endpoint


def calls(fake):
    """What was asked of Stripe, oldest first."""
    return [endpoint_of(request) for request in fake.requests]


def intent_of(fake, charge):
    return fake.account.get("payment_intent", charge.stripe_payment_intent_id)


def intents(fake):
    return fake.account.all("payment_intent")


def paid(fake):
    """The payments that succeeded, whoever made them."""
    return [intent for intent in intents(fake) if intent["status"] == "succeeded"]


def refunds_of(fake, charge):
    """The refunds of the charge that were not taken back, oldest first."""
    return [it for it in fake.account.all("refund") if it["charge"] == charge.stripe_charge_id]


def authenticate(fake, charge):
    """The customer confirms in the browser and passes 3-D Secure."""
    intent = intent_of(fake, charge)
    stripe.PaymentIntent.confirm(intent["id"], payment_method=charge.customer.default_source)
    fake.complete_authentication(intent["id"])
