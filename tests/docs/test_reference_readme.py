"""What the README of 0.14 shows about tokens and charging works as it is printed there.

Its code makes customers with a card token as their source, so it needs an account on which Stripe
still allows that.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import stripe
from django.core.management import call_command
from django.test import Client

from aa_stripe.models import StripeCharge, StripeCustomer, StripeToken
from aa_stripe.signals import stripe_charge_card_exception, stripe_charge_succeeded
from aa_stripe.testing import FakeStripe
from tests.builders import make_user
from tests.docs.blocks import ROOT, blocks_of

#: It can be saved, and then declines every payment.
DECLINING_CARD = "4000000000000341"

[CREATE, SAVE, CHARGE] = blocks_of(ROOT / "tests" / "docs" / "reference_readme.rst")


@pytest.fixture
def account(db):
    with FakeStripe(allow_card_tokens=True) as fake:
        yield fake


@pytest.fixture
def user(account):
    return make_user()


@pytest.fixture
def card():
    return "4242424242424242"


@pytest.fixture
def data(account, card):
    """What stripe.createToken answers in the browser."""
    return {"id": account.create_token(card), "object": "token", "type": "card"}


@pytest.fixture
def names(user, data):
    """What the README's reader has at hand."""
    return {"request": SimpleNamespace(user=user), "user": user, "data": data}


@pytest.fixture
def heard():
    """The keyword arguments of each signal that a charge sends."""
    calls = []

    def listen(signal, **arguments):
        calls.append((signal, arguments))

    for signal in (stripe_charge_succeeded, stripe_charge_card_exception):
        signal.connect(listen)
    yield calls
    for signal in (stripe_charge_succeeded, stripe_charge_card_exception):
        signal.disconnect(listen)


def run(block, names):
    exec(compile(block.code, str(block), "exec"), names)


def test_creating_a_token_stores_the_customer(names, user, data):
    names |= {"stripe": stripe, "StripeToken": StripeToken}

    run(CREATE, names)

    token = StripeToken.objects.get(user=user)
    assert token.content == data
    assert token.customer_id == names["customer"]["id"]
    assert stripe.Customer.retrieve(token.customer_id).default_source.startswith("card_")


def test_the_endpoint_creates_a_customer_of_the_token(user, data):
    browser = Client()
    browser.force_login(user)

    answer = browser.post(
        "/aa-stripe/customers", {"stripe_js_response": data}, content_type="application/json"
    )

    assert answer.status_code == 201
    assert StripeCustomer.objects.get(user=user).is_created_at_stripe


def test_the_endpoint_requires_an_authenticated_user(data):
    answer = Client().post(
        "/aa-stripe/customers", {"stripe_js_response": data}, content_type="application/json"
    )

    assert answer.status_code in (401, 403)
    assert not StripeCustomer.objects.exists()


def test_charging_with_the_token_collects_the_money(names, account, heard):
    names |= {"StripeCharge": StripeCharge}

    run(SAVE, names)
    run(CHARGE, names)

    charge = StripeCharge.objects.get()
    assert charge.is_charged
    assert charge.token == StripeCustomer.objects.get()
    [intent] = account.account.all("payment_intent")
    assert intent["amount_received"] == 500
    assert intent["description"] == "Charge for stuff"
    assert intent["statement_descriptor_suffix"] == "My Company"
    assert [(signal, it["instance"]) for signal, it in heard] == [(stripe_charge_succeeded, charge)]


@pytest.mark.parametrize("card", [DECLINING_CARD])
def test_a_card_error_is_recorded_told_and_left_alone_by_the_command(names, account, heard):
    names |= {"StripeCharge": StripeCharge}
    run(SAVE, names)
    run(CHARGE, names)
    asked = len(account.requests)

    call_command("charge_stripe", verbosity=0)

    charge = StripeCharge.objects.get()
    assert (charge.is_charged, charge.charge_attempt_failed) == (False, True)
    [(signal, arguments)] = heard
    assert signal is stripe_charge_card_exception
    assert arguments["instance"] == charge
    assert isinstance(arguments["exception"], stripe.CardError)
    assert len(account.requests) == asked


def test_the_command_processes_the_remaining_charges(names, heard):
    run(SAVE, names)
    charge = StripeCharge.objects.create(user=names["user"], token=names["token"], amount=500)

    call_command("charge_stripe", verbosity=0)

    charge.refresh_from_db()
    assert charge.is_charged
    assert [signal for signal, _ in heard] == [stripe_charge_succeeded]
