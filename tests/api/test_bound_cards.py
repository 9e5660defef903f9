"""A card is saved for the payer who entered it, not for a user who has learned its id."""

from __future__ import annotations

import pytest
import stripe

from aa_stripe.models import StripeCustomer
from aa_stripe.testing import Fault
from tests.api.requests import (
    NOT_USABLE,
    SETUP_INTENTS,
    TRY_AGAIN,
    confirm,
    customers_at,
    patch_card,
    post_card,
    sent_to,
)
from tests.support.builders import make_customer, make_user
from tests.support.clients import signed_in
from tests.support.rows import values_of

REFRESH = ["GET /v1/customers/*", "GET /v1/customers/*/payment_methods"]

pytestmark = pytest.mark.django_db

each_setting = pytest.mark.parametrize("accepted", [None, True, False])


@pytest.fixture(params=["POST customers", "PATCH customers/<id>"])
def save(request, api, payer):
    """``save(id)`` posts or patches that card for the payer."""
    if request.param == "POST customers":
        return lambda js_id: post_card(api, js_id)
    customer = make_customer(payer)
    return lambda js_id: patch_card(api, customer, js_id)


@pytest.fixture
def victim(fake):
    """The client of another payer."""
    return signed_in(make_user())


@pytest.fixture
def bound(fake):
    """``bound(client)`` returns the id of a SetupIntent that the client has confirmed."""

    def bound(client):
        intent = client.post(SETUP_INTENTS).json()["id"]
        confirm(fake, intent)
        return intent

    return bound


def unbound(**params):
    """Return the id of a confirmed SetupIntent that was made without our endpoint."""
    return stripe.SetupIntent.create(
        confirm=True,
        payment_method="pm_card_visa",
        automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
        **params,
    ).id


def unattached(fake):
    return stripe.PaymentMethod.create(type="card", card={"token": fake.create_token()}).id


@pytest.fixture
def refused(save, fake):
    """``refused(id)`` saves the card, which must be refused and must change nothing."""

    def refused(js_id):
        before = stored(), attached(fake), len(customers_at(fake))
        response = save(js_id)
        assert (response.status_code, response.json()) == (400, NOT_USABLE)
        assert (stored(), attached(fake), len(customers_at(fake))) == before

    return refused


def stored():
    return [values_of(row) for row in StripeCustomer.objects.all()]


def attached(fake):
    """Return the customer of each payment method."""
    return {it["id"]: it["customer"] for it in fake.account.all("payment_method")}


def with_a_parameter_that_stripe_does_not_know(user):
    return {"nonsense": "1"}


def test_stripes_error_about_anything_else_is_shown(api, fake, settings):
    settings.STRIPE_CUSTOMER_DATA = f"{__name__}.with_a_parameter_that_stripe_does_not_know"

    response = post_card(api, "pm_card_visa")

    assert response.status_code == 400
    assert "nonsense" in response.json()["stripe_error"]


# SetupIntents


@each_setting
def test_the_payers_own_intent_is_accepted(api, save, bound, settings, accepted):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = accepted

    response = save(bound(api))

    assert response.status_code in {200, 201}
    assert response.json()["default_source_data"]["card"]["last4"] == "3155"


@each_setting
def test_an_intent_of_another_payer_is_refused(refused, bound, victim, settings, accepted):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = accepted

    refused(bound(victim))


@each_setting
def test_an_intent_of_another_payers_customer_is_refused(refused, bound, settings, accepted):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = accepted
    other = make_customer()

    refused(bound(signed_in(other.user)))
    refused(unbound(customer=other.stripe_customer_id))


@each_setting
def test_a_customer_that_is_not_the_payers_counts_more_than_the_metadata(
    refused, payer, settings, accepted
):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = accepted
    other = make_customer()
    metadata = StripeCustomer.payer_metadata(payer)

    refused(unbound(customer=other.stripe_customer_id, metadata=metadata))


@pytest.mark.parametrize("accepted", [None, False])
def test_an_intent_that_names_no_payer_is_refused(refused, settings, accepted, fake):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = accepted

    refused(unbound())
    refused(unbound(metadata={"order": "7"}))


def test_it_is_accepted_where_the_setting_says_so(save, fake, settings):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = True

    assert save(unbound()).status_code in {200, 201}


def test_an_intent_that_the_project_has_bound_is_accepted(save, fake, payer):
    assert save(unbound(metadata=StripeCustomer.payer_metadata(payer))).status_code in {200, 201}


def test_an_intent_of_the_payers_customer_is_accepted(api, payer, bound):
    customer = make_customer(payer)

    assert patch_card(api, customer, bound(api)).status_code == 200


def test_another_kind_of_payer_with_the_same_key_is_another_payer(refused, payer, fake):
    refused(unbound(metadata={"aa_stripe_payer": f"offices.office:{payer.pk}"}))


def test_an_unknown_intent_gets_the_same_response(refused):
    refused("seti_unknown")


def test_after_a_refusal_the_payers_own_intent_can_be_saved(api, save, bound, victim):
    save(bound(victim))

    assert save(bound(api)).status_code in {200, 201}


def test_an_intent_that_cannot_be_read_is_not_refused(save, api, bound, fake):
    intent = bound(api)
    fake.fail_next("GET /v1/setup_intents/*", Fault.RATE_LIMITED)

    response = save(intent)

    assert (response.status_code, response.json()) == (503, TRY_AGAIN)
    assert save(intent).status_code in {200, 201}


# Payment methods and tokens


@each_setting
def test_a_payment_method_of_another_customer_is_refused(refused, settings, accepted):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = accepted

    refused(make_customer().default_source)


@each_setting
def test_an_unknown_payment_method_gets_the_same_response(refused, settings, accepted):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = accepted

    refused("pm_unknown")


@pytest.mark.parametrize("accepted", [None, True])
def test_unattached_cards_are_accepted_by_default(save, fake, settings, accepted):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = accepted

    assert save(unattached(fake)).status_code in {200, 201}
    assert save(fake.create_token()).status_code in {200, 201}


@pytest.mark.parametrize("kind", ["pm", "tok", "src", "card", "nonsense"])
def test_the_setting_refuses_whatever_is_not_bound(refused, fake, settings, kind):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = False
    made = {"pm": unattached, "tok": lambda fake: fake.create_token()}

    refused(made[kind](fake) if kind in made else f"{kind}_1")


def test_a_payment_method_that_the_customer_has_can_become_the_default(api, payer, fake, settings):
    customer = make_customer(payer)
    first = customer.default_source
    customer.add_new_source("tok_mastercard")
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = False

    response = patch_card(api, customer, first)

    assert response.status_code == 200
    assert response.json()["default_source"] == first


def test_an_unknown_outcome_is_not_hidden(save, fake):
    for endpoint in ("POST /v1/customers", "POST /v1/payment_methods/*/attach"):
        fake.fail_next(endpoint, Fault.CONFLICT)

    assert save(unattached(fake)).status_code == 503


def test_a_decline_keeps_stripes_message(save, fake):
    response = save("pm_card_chargeDeclined")

    assert response.status_code == 400
    assert response.json() == {"stripe_error": "Your card was declined."}


# Python


@each_setting
def test_code_of_the_project_is_trusted(fake, bound, victim, settings, accepted):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = accepted
    user = make_user()

    row = StripeCustomer.get_or_create_at_stripe(user, {"id": unbound()})
    row.add_new_source(bound(victim))
    StripeCustomer.objects.create(
        user=user, stripe_js_response={"id": "tok_visa"}
    ).create_at_stripe()

    assert len(row.sources) == 2


# The cost


def test_the_check_of_an_intent_costs_no_request(api, fake, bound):
    intent = bound(api)
    fake.requests.clear()

    post_card(api, intent)

    sent = ["GET /v1/setup_intents/*", "POST /v1/customers", *REFRESH]
    assert len(sent_to(fake)) == len(sent)


def test_a_foreign_intent_costs_one_request(api, fake, bound, victim):
    intent = bound(victim)
    fake.requests.clear()

    post_card(api, intent)

    assert sent_to(fake) == [f"GET /v1/setup_intents/{intent}"]


def test_what_the_setting_refuses_costs_no_request(api, fake, settings):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = False

    post_card(api, "tok_visa")
    post_card(api, "pm_card_visa")

    assert sent_to(fake) == []
