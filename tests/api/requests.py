"""Requests to the endpoints, and the requests that they send to Stripe."""

from __future__ import annotations

import stripe

CUSTOMERS = "/aa-stripe/customers"
SETUP_INTENTS = "/aa-stripe/setup-intents"

#: The response if there is no usable response from Stripe.
TRY_AGAIN = {"stripe_error": "Temporary Stripe API error"}

#: The response to a card that is not the payer's, or does not exist.
NOT_USABLE = {"stripe_error": "This card cannot be used. Please enter it again."}


def of(customer):
    return f"{CUSTOMERS}/{customer.stripe_customer_id}"


def charge_url(charge):
    return f"/aa-stripe/charges/{charge.uuid}"


def post_card(api, token="tok_visa", **details):
    """Post a response of Stripe.js with the id ``token``."""
    response = {"id": token, "object": "token", **details}
    return api.post(CUSTOMERS, {"stripe_js_response": response}, format="json")


def patch_card(api, customer, token="tok_mastercard"):
    return api.patch(of(customer), {"stripe_js_response": {"id": token}}, format="json")


def sent_to(fake):
    """``POST /v1/customers`` and so on, in their order."""
    return [f"{request.method} {request.path}" for request in fake.requests]


def customers_at(fake):
    """Return the customers at Stripe."""
    return fake.account.all("customer")


def begin_confirming(setup_intent, card="pm_card_authenticationRequiredOnSetup"):
    """Confirm as a browser does, up to the point where the cardholder has to authenticate."""
    client = stripe.StripeClient("sk_test_fake", http_client=stripe.default_http_client)
    client.v1.setup_intents.confirm(setup_intent, {"payment_method": card})


def confirm(fake, setup_intent):
    """Confirm, and complete the authentication."""
    begin_confirming(setup_intent)
    fake.complete_authentication(setup_intent)
