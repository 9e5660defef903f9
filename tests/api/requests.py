"""What tests say to the endpoints, and what reached Stripe of it."""

from __future__ import annotations

import stripe

CUSTOMERS = "/aa-stripe/customers"
SETUP_INTENTS = "/aa-stripe/setup-intents"

#: What the endpoints say when Stripe gave no usable answer.
TRY_AGAIN = {"stripe_error": "Stripe API returned an error, please try again later."}


def of(customer):
    return f"{CUSTOMERS}/{customer.stripe_customer_id}"


def charge_url(charge):
    return f"/aa-stripe/charges/{charge.uuid}"


def post_card(api, token="tok_visa", **details):
    """Post what Stripe.js answered with the id ``token``."""
    answered = {"id": token, "object": "token", **details}
    return api.post(CUSTOMERS, {"stripe_js_response": answered}, format="json")


def patch_card(api, customer, token="tok_mastercard"):
    return api.patch(of(customer), {"stripe_js_response": {"id": token}}, format="json")


def sent_to(fake):
    """``POST /v1/customers`` and so on, in their order."""
    return [f"{request.method} {request.path}" for request in fake.requests]


def customers_at(fake):
    """Stripe's customers that are there."""
    return fake.account.all("customer")


def begin_confirming(setup_intent, card="pm_card_authenticationRequiredOnSetup"):
    """What the browser does with the client secret; the card's owner is asked then."""
    client = stripe.StripeClient("sk_test_fake", http_client=stripe.default_http_client)
    client.v1.setup_intents.confirm(setup_intent, {"payment_method": card})


def confirm(fake, setup_intent):
    """The same, and the owner agrees."""
    begin_confirming(setup_intent)
    fake.complete_authentication(setup_intent)
