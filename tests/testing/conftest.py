"""A fake account, and the real SDK that calls it."""

from __future__ import annotations

import pytest
import stripe

from aa_stripe.testing import FakeStripe

OFF_SITE = {"enabled": True, "allow_redirects": "never"}


@pytest.fixture
def fake():
    return FakeStripe()


@pytest.fixture
def still(fake):
    """A clock of Stripe that moves only when it is advanced."""
    with fake.account.held():
        yield


@pytest.fixture
def legacy_fake():
    """An account that still allows card tokens as ``source``."""
    return FakeStripe(allow_card_tokens=True)


@pytest.fixture
def api(fake):
    return client_of(fake)


@pytest.fixture
def legacy_api(legacy_fake):
    return client_of(legacy_fake)


def client_of(fake, **options):
    """Return the SDK's own client, which calls ``fake``."""
    options.setdefault("max_network_retries", 0)
    options.setdefault("http_client", fake.http_client)
    return stripe.StripeClient("sk_test_123", **options).v1


@pytest.fixture
def customer(api):
    """A customer with a good card."""
    return api.customers.create({"payment_method": "pm_card_visa"})


@pytest.fixture
def card(api, customer):
    """The customer's good card."""
    return api.customers.payment_methods.list(customer.id).data[-1]


@pytest.fixture
def intent(api, customer):
    """A PaymentIntent of 10 dollars of the customer, not yet confirmed."""
    return api.payment_intents.create(intent_params(customer=customer.id))


@pytest.fixture
def paid(api, intent, card):
    """The confirmed PaymentIntent, which is paid."""
    return api.payment_intents.confirm(intent.id, {"payment_method": card.id, "off_session": True})


def intent_params(**changes):
    """Return the parameters of a PaymentIntent of 10 dollars."""
    return {
        "amount": 1000,
        "currency": "usd",
        "automatic_payment_methods": OFF_SITE,
        **changes,
    }


def attach(api, customer, method):
    """Attach a payment method to the customer; return it."""
    return api.payment_methods.attach(method, {"customer": customer.id})


def types_of(fake):
    """Return the types of the events so far."""
    return [event["type"] for event in fake.events]


def customer_with(api, method="pm_card_visa"):
    """Create a customer with that payment method as the default; return it."""
    customer = api.customers.create({"payment_method": method})
    (card,) = api.customers.payment_methods.list(customer.id).data
    return api.customers.update(
        customer.id, {"invoice_settings": {"default_payment_method": card.id}}
    )


def change_card(api, customer, method):
    """Attach a payment method to the customer, as the new default; return it."""
    card = attach(api, customer, method)
    api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    return card


@pytest.fixture
def subscriber(api):
    """A customer with a good card that is the default."""
    return customer_with(api)


@pytest.fixture
def plan(api):
    """A plan of 10 dollars a month."""
    return api.plans.create(plan_params(id="gold"))


def plan_params(**changes):
    """Return the parameters of a plan of 10 dollars a month."""
    return {
        "amount": 1000,
        "currency": "usd",
        "interval": "month",
        "product": {"name": "Gold"},
        **changes,
    }


@pytest.fixture
def subscription(api, subscriber, plan):
    """The subscriber's subscription to the plan; the first period is paid."""
    return subscribe(api, subscriber)


def subscribe(api, customer, **params):
    """Subscribe the customer to the plan; return the subscription."""
    return api.subscriptions.create(
        {"customer": customer.id, "items": [{"price": "gold"}], **params}
    )


def refusal_of(call, *args, kind=stripe.InvalidRequestError):
    """Return the error that the call raises."""
    with pytest.raises(kind) as caught:
        call(*args)
    return caught.value
