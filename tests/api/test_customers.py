"""POST aa-stripe/customers: a card from the browser becomes a customer, once."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import connection, connections

from aa_stripe.models import StripeCharge, StripeCustomer
from aa_stripe.models.customer import model as customer_module
from aa_stripe.testing import Fault
from tests.api.requests import (
    CUSTOMERS,
    NOT_USABLE,
    SETUP_INTENTS,
    TRY_AGAIN,
    begin_confirming,
    confirm,
    customers_at,
    post_card,
    sent_to,
)
from tests.support.builders import make_user
from tests.support.clients import signed_in

REFUSED_CARDS = {
    "tok_chargeDeclined": "Your card was declined.",
    "tok_chargeDeclinedExpiredCard": "Your card has expired.",
    "tok_unknown": "No such token: 'tok_unknown'",
    "pm_unknown": "This card cannot be used.",
    "seti_unknown": "This card cannot be used.",
}

UNKNOWN_OUTCOMES = [
    Fault.REQUEST_LOST,
    Fault.ANSWER_LOST,
    Fault.RATE_LIMITED,
    Fault.CONFLICT,
    Fault.GARBAGE,
]


@pytest.mark.parametrize("card", ["tok_visa", "pm_card_visa"])
def test_a_posted_card_becomes_a_customer_that_pays_with_it(api, payer, fake, card):
    response = post_card(api, card)

    assert response.status_code == 201
    customer = StripeCustomer.objects.get()
    [at_stripe] = customers_at(fake)
    assert customer.user == payer
    assert customer.stripe_customer_id == at_stripe["id"]
    assert customer.is_created_at_stripe
    assert customer.default_source == at_stripe["invoice_settings"]["default_payment_method"]
    assert customer.default_source_data["card"]["brand"] == "visa"


def test_the_response_shows_the_customer(api, payer):
    shown = post_card(api).json()

    customer = StripeCustomer.objects.get()
    assert shown == {
        "id": customer.pk,
        "user": payer.pk,
        "stripe_customer_id": customer.stripe_customer_id,
        "is_active": True,
        "sources": customer.sources,
        "default_source": customer.default_source,
        "default_source_data": customer.default_source_data,
        "stripe_js_response": {"id": "tok_visa", "object": "token"},
    }


def test_the_customer_can_be_charged(api, payer):
    post_card(api)

    charge = StripeCharge.objects.create(user=payer, amount=500)
    charge.charge()

    assert charge.is_charged


def test_a_confirmed_setup_intent_becomes_a_customer(api, fake):
    intent = api.post(SETUP_INTENTS).json()["id"]
    confirm(fake, intent)

    response = post_card(api, intent)

    assert response.status_code == 201
    assert response.json()["default_source_data"]["card"]["last4"] == "3155"


@pytest.mark.parametrize("is_confirmed", [False, True])
def test_an_unfinished_setup_intent_is_rejected(api, fake, is_confirmed):
    intent = api.post(SETUP_INTENTS).json()["id"]
    if is_confirmed:  # and the authentication is still to be completed
        begin_confirming(intent)

    response = post_card(api, intent)

    assert response.status_code == 400
    assert response.json() == {"stripe_error": "The card was not saved: it is not confirmed yet."}
    assert not StripeCustomer.objects.exists()
    assert not customers_at(fake)


def test_client_secrets_and_card_data_are_not_stored(api, caplog):
    caplog.set_level(logging.DEBUG)
    details = {
        "client_secret": "seti_1_secret_2",
        "card": {"last4": "4242", "number": "4242424242424242", "cvc": "123"},
        "charges": [{"client_secret": "pi_1_secret_2"}],
    }

    response = post_card(api, **details)

    kept = {"id": "tok_visa", "object": "token", "card": {"last4": "4242"}, "charges": [{}]}
    assert response.json()["stripe_js_response"] == kept
    assert StripeCustomer.objects.get().stripe_js_response == kept
    assert "_secret_" not in caplog.text
    assert "4242424242424242" not in caplog.text


@pytest.mark.parametrize(("card", "message"), REFUSED_CARDS.items())
def test_a_refused_card_gives_stripes_message_and_leaves_no_row(api, card, message):
    response = post_card(api, card)

    assert response.status_code == 400
    assert response.json().keys() == {"stripe_error"}
    assert response.json()["stripe_error"].startswith(message)
    assert not StripeCustomer.objects.exists()


def test_an_id_of_an_unknown_kind_is_refused_by_stripe(api):
    response = post_card(api, "nonsense")

    assert response.status_code == 400
    assert response.json().keys() == {"stripe_error"}
    assert not StripeCustomer.objects.exists()


def test_a_card_of_another_customer_is_refused(api, fake):
    post_card(api)
    [taken] = fake.account.all("payment_method")

    response = post_card(signed_in(make_user()), taken["id"])

    assert (response.status_code, response.json()) == (400, NOT_USABLE)
    assert StripeCustomer.objects.count() == 1


def test_after_a_refusal_another_card_can_be_posted(api):
    post_card(api, "tok_chargeDeclined")

    response = post_card(api, "tok_visa")

    assert response.status_code == 201
    assert StripeCustomer.objects.count() == 1


def test_the_same_token_posted_twice_is_the_same_customer(api, fake):
    first = post_card(api, "tok_visa")
    before = len(fake.requests)

    second = post_card(api, "tok_visa")

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len(fake.requests) == before
    assert StripeCustomer.objects.count() == len(customers_at(fake)) == 1


def test_the_same_test_token_of_another_user_is_another_customer(api, fake):
    post_card(api, "tok_visa")

    post_card(signed_in(make_user()), "tok_visa")

    assert StripeCustomer.objects.count() == len(customers_at(fake)) == 2


@pytest.mark.parametrize("endpoint", ["POST /v1/payment_methods", "POST /v1/customers"])
@pytest.mark.parametrize("fault", UNKNOWN_OUTCOMES, ids=lambda fault: fault.name)
def test_after_an_unknown_outcome_posting_again_finishes_the_customer(api, fake, endpoint, fault):
    fake.fail_next(endpoint, fault)
    token = fake.create_token()

    failed = post_card(api, token)
    row = StripeCustomer.objects.get()
    repeated = post_card(api, token)

    assert (failed.status_code, failed.json()) == (503, TRY_AGAIN)
    assert not row.is_created_at_stripe
    assert repeated.status_code == 201
    assert repeated.json()["id"] == row.pk
    assert repeated.json()["default_source_data"]["card"]["last4"] == "4242"
    assert len(customers_at(fake)) == 1


@pytest.mark.parametrize("endpoint", ["POST /v1/payment_methods", "POST /v1/customers"])
@pytest.mark.parametrize(
    "fault", [Fault.ERROR_500_BEFORE, Fault.ERROR_500_AFTER], ids=lambda fault: fault.name
)
def test_after_a_500_posting_again_never_creates_a_second_customer(api, fake, endpoint, fault):
    fake.fail_next(endpoint, fault)
    token = fake.create_token()

    failed, repeated = post_card(api, token), post_card(api, token)

    assert (failed.status_code, failed.json()) == (503, TRY_AGAIN)
    # A token can be used once, and the PaymentMethod that was made of it is lost.
    is_lost = (endpoint, fault) == ("POST /v1/payment_methods", Fault.ERROR_500_AFTER)
    assert repeated.status_code == (400 if is_lost else 201)
    assert StripeCustomer.objects.count() == len(customers_at(fake)) == (0 if is_lost else 1)


def test_an_unfinished_customer_is_not_charged(api, payer, fake):
    fake.fail_next("POST /v1/customers", Fault.ANSWER_LOST)

    post_card(api)

    assert StripeCustomer.get_latest_active_customer_for_user(payer) is None


@pytest.mark.parametrize("endpoint", ["GET /v1/customers/*", "GET /v1/customers/*/payment_methods"])
def test_a_customer_whose_cards_cannot_be_read_is_stored(api, fake, caplog, endpoint):
    fake.fail_next(endpoint, Fault.RATE_LIMITED)

    response = post_card(api)

    assert response.status_code == 201
    assert response.json()["sources"] == []
    customer = StripeCustomer.objects.get()
    assert customer.stripe_customer_id == customers_at(fake)[0]["id"]
    [record] = (it for it in caplog.records if it.name == "aa-stripe")
    assert record.exc_info


def test_posting_again_stores_the_cards_that_could_not_be_read(api, fake):
    fake.fail_next("GET /v1/customers/*", Fault.RATE_LIMITED)
    post_card(api)

    response = post_card(api)

    assert response.json()["default_source_data"]["card"]["last4"] == "4242"
    assert len(customers_at(fake)) == 1


def test_a_customer_whose_response_was_lost_is_found_though_the_user_was_renamed(api, payer, fake):
    # The user's name is part of the request, so the idempotency key no longer matches.
    token = fake.create_token()
    fake.fail_next("POST /v1/customers", Fault.ANSWER_LOST)
    post_card(api, token)
    payer.username = "renamed"
    payer.save()

    response = post_card(api, token)

    assert response.status_code == 201
    [known] = customers_at(fake)
    assert StripeCustomer.objects.get().stripe_customer_id == known["id"]


def test_after_a_lost_request_a_renamed_user_can_post_the_card_again(api, payer, fake):
    token = fake.create_token()
    fake.fail_next("POST /v1/customers", Fault.REQUEST_LOST)
    post_card(api, token)
    payer.username = "renamed"
    payer.save()

    response = post_card(api, token)

    assert response.status_code == 201
    assert StripeCustomer.objects.count() == len(customers_at(fake)) == 1


@pytest.mark.parametrize("key", ["", "revoked_key", "pk_test_browsers_own"])
def test_a_refused_api_key_is_logged_and_not_shown(api, fake, settings, caplog, key):
    settings.STRIPE_API_KEY = key

    response = post_card(api)

    assert (response.status_code, response.json()) == (503, TRY_AGAIN)
    [record] = (it for it in caplog.records if it.name == "aa-stripe")
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert not key or key not in caplog.text


def test_a_row_kept_after_a_refused_api_key_is_finished_with_a_valid_one(api, fake, settings):
    with_key, settings.STRIPE_API_KEY = settings.STRIPE_API_KEY, ""
    post_card(api)
    settings.STRIPE_API_KEY = with_key

    response = post_card(api)

    assert response.status_code == 201
    assert StripeCustomer.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_atomic", [False, True])
class TestTransactions:
    """Rows are committed alike with ``ATOMIC_REQUESTS`` and without."""

    @pytest.fixture(autouse=True)
    def atomic_requests(self, monkeypatch, is_atomic):
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", is_atomic)

    def test_a_refused_card_leaves_no_row(self, api):
        response = post_card(api, "tok_chargeDeclined")

        assert response.status_code == 400
        assert not StripeCustomer.objects.exists()

    def test_an_unknown_outcome_leaves_the_row(self, api, fake):
        fake.fail_next("POST /v1/customers", Fault.ANSWER_LOST)

        response = post_card(api)

        assert response.status_code == 503
        assert StripeCustomer.objects.count() == 1

    def test_the_row_is_committed_before_stripe_is_called(self, api, fake):
        seen = []

        def look(request):
            with ThreadPoolExecutor(1) as elsewhere:
                seen.append(elsewhere.submit(rows_committed).result())

        fake.before_request.append(look)
        post_card(api)

        assert set(seen) == {1}


@pytest.fixture
def slow_stripe(fake, settings, monkeypatch):
    """A slow response of Stripe; the SDK retries requests whose idempotency key is in use."""
    fake.fail_next("POST /v1/customers", Fault.SLOW, seconds=0.2)
    settings.STRIPE_MAX_NETWORK_RETRIES = 2
    monkeypatch.setattr(fake.http_client, "_sleep_time_seconds", lambda *args: 0.3)


@pytest.mark.django_db(transaction=True)
def test_a_double_click_is_one_customer(payer, fake, slow_stripe):
    token = fake.create_token()

    responses = at_once(4, lambda: post_card(signed_in(payer), token))

    assert [it.status_code for it in responses] == [201] * 4
    assert {it.json()["stripe_customer_id"] for it in responses} == {customers_at(fake)[0]["id"]}
    assert StripeCustomer.objects.count() == len(customers_at(fake)) == 1


@pytest.mark.django_db(transaction=True)
def test_a_double_click_with_a_refused_card_leaves_no_row(payer, fake, slow_stripe):
    token = fake.create_token("4000000000000002")

    responses = at_once(4, lambda: post_card(signed_in(payer), token))

    assert [it.status_code for it in responses] == [400] * 4
    assert not StripeCustomer.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_request_that_waited_for_the_row_does_not_call_stripe(payer, fake, slow_stripe):
    if not connection.features.has_select_for_update:
        pytest.skip("This database has no row locks.")
    token = fake.create_token()

    at_once(4, lambda: post_card(signed_in(payer), token))

    assert sent_to(fake).count("POST /v1/payment_methods") == 1
    assert sent_to(fake).count("POST /v1/customers") == 1


def test_a_row_that_another_process_deleted_meanwhile_is_created_again(api, monkeypatch):
    taken = customer_module.locked

    @contextmanager
    def deleted_and_locked(row):
        monkeypatch.setattr(customer_module, "locked", taken)
        StripeCustomer.objects.all().delete()
        with taken(row):
            yield

    monkeypatch.setattr(customer_module, "locked", deleted_and_locked)
    response = post_card(api)

    assert response.status_code == 201
    assert StripeCustomer.objects.count() == 1


def test_a_row_that_another_process_finished_meanwhile_is_kept(api, monkeypatch):
    is_final = customer_module._is_final

    def is_final_late(error):
        StripeCustomer.objects.update(stripe_customer_id="cus_1", is_created_at_stripe=True)
        return is_final(error)

    monkeypatch.setattr(customer_module, "_is_final", is_final_late)
    response = post_card(api, "tok_chargeDeclined")

    assert response.status_code == 400
    assert StripeCustomer.objects.get().stripe_customer_id == "cus_1"


def test_customers_cannot_be_listed(api):
    assert api.get(CUSTOMERS).status_code == 405


def rows_committed():
    """Return the number of customers that another connection sees."""
    try:
        return StripeCustomer.objects.count()
    finally:
        connections.close_all()


def at_once(times, post):
    """Return the responses to ``times`` threads that post at the same time."""

    def run():
        try:
            return post()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(times) as pool:
        return [it.result() for it in [pool.submit(run) for _ in range(times)]]
