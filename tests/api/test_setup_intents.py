"""POST aa-stripe/setup-intents: what a browser needs to save a card for later."""

from __future__ import annotations

import logging

import pytest

from aa_stripe.models import StripeCustomer
from aa_stripe.testing import Fault
from tests.api.requests import SETUP_INTENTS, TRY_AGAIN, post_card, sent_to
from tests.support.builders import make_customer


def test_the_client_secret_of_a_new_setup_intent_is_returned(api, fake):
    response = api.post(SETUP_INTENTS)

    [intent] = fake.account.all("setup_intent")
    assert response.status_code == 201
    assert response.json() == {
        "id": intent["id"],
        "client_secret": intent["client_secret"],
        "stripe_customer_id": None,
    }
    assert intent["usage"] == "off_session"
    assert intent["customer"] is None


def test_the_intent_names_its_payer(api, payer, fake):
    api.post(SETUP_INTENTS)

    [intent] = fake.account.all("setup_intent")
    assert intent["metadata"] == {"aa_stripe_payer": f"auth.user:{payer.pk}"}
    assert intent["metadata"] == StripeCustomer.payer_metadata(payer)


def test_it_is_for_the_payers_newest_active_customer(api, payer, fake):
    make_customer(payer)
    active = make_customer(payer)
    make_customer(payer)
    StripeCustomer.objects.filter(pk__gt=active.pk).update(is_active=False)

    response = api.post(SETUP_INTENTS)

    assert response.json()["stripe_customer_id"] == active.stripe_customer_id
    [intent] = fake.account.all("setup_intent")
    assert intent["customer"] == active.stripe_customer_id


def test_customers_of_other_users_are_ignored(api, fake):
    make_customer()

    assert api.post(SETUP_INTENTS).json()["stripe_customer_id"] is None


def test_the_secret_is_neither_stored_logged_nor_cached(api, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "stripe")  # at DEBUG the SDK logs whole responses

    response = api.post(SETUP_INTENTS)

    assert response.json()["client_secret"] not in caplog.text
    assert not StripeCustomer.objects.exists()
    assert "no-store" in response.headers["Cache-Control"]


def test_a_body_is_not_needed_and_changes_nothing(api, fake):
    response = api.post(SETUP_INTENTS, {"customer": "cus_other", "usage": "on_session"})

    assert response.status_code == 201
    [intent] = fake.account.all("setup_intent")
    assert intent["customer"] is None
    assert intent["usage"] == "off_session"


@pytest.mark.parametrize(
    "fault", [it for it in Fault if it is not Fault.SLOW], ids=lambda fault: fault.name
)
def test_a_failed_call_to_stripe_gives_a_503_response(api, fake, fault):
    fake.fail_next("POST /v1/setup_intents", fault)

    response = api.post(SETUP_INTENTS)

    assert (response.status_code, response.json()) == (503, TRY_AGAIN)
    assert api.post(SETUP_INTENTS).status_code == 201


def test_a_customer_deleted_at_stripe_becomes_inactive_and_the_next_one_is_used(api, payer, fake):
    left, *deleted = (make_customer(payer) for _ in range(3))
    for customer in deleted:
        fake.dashboard_delete_customer(customer.stripe_customer_id)

    response = api.post(SETUP_INTENTS)

    assert response.status_code == 201
    assert response.json()["stripe_customer_id"] == left.stripe_customer_id
    assert StripeCustomer.objects.get(is_active=True) == left


def test_without_another_customer_the_card_is_for_a_new_one(api, payer, fake):
    deleted = make_customer(payer)
    fake.dashboard_delete_customer(deleted.stripe_customer_id)

    response = api.post(SETUP_INTENTS)

    assert (response.status_code, response.json()["stripe_customer_id"]) == (201, None)
    assert post_card(api).status_code == 201
    customer = StripeCustomer.get_latest_active_customer_for_user(payer)
    assert customer.stripe_customer_id != deleted.stripe_customer_id


def test_a_customer_that_stripe_does_not_know_stays_active(api, payer, fake):
    customer = make_customer(payer)
    StripeCustomer.objects.update(stripe_customer_id="cus_of_another_account")

    response = api.post(SETUP_INTENTS)

    assert response.status_code == 400
    assert StripeCustomer.objects.get(pk=customer.pk).is_active


def test_one_request_is_sent_to_stripe(api, fake):
    api.post(SETUP_INTENTS)

    assert sent_to(fake) == ["POST /v1/setup_intents"]


def test_the_browsable_api_accepts_only_posts(api):
    assert api.post(SETUP_INTENTS, HTTP_ACCEPT="text/html").status_code == 201
    assert api.get(SETUP_INTENTS, HTTP_ACCEPT="text/html").status_code == 405
