"""What becomes of a customer's rows when Stripe tells of the customer, or of what it pays with."""

from __future__ import annotations

import random
import time

import pytest
import stripe
from django.db import connection

from aa_stripe.models import StripeCustomer, StripeWebhook
from aa_stripe.testing import FakeStripe, Fault
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.requests import calls
from tests.support.rows import row_of, values_of
from tests.support.threads import InThread
from tests.support.waiting import wait_until
from tests.webhooks.account import (
    NEW,
    NOT_APPLIED,
    OUTAGES,
    REDELIVERED,
    altered,
    deliver,
    each_order,
    error_of,
    errors,
    events_of,
    newest,
    row_locked,
)

RETRIEVE = "GET /v1/customers/*"
METHODS = "GET /v1/customers/*/payment_methods"

#: What refreshing one row asks for.
REFRESH = [RETRIEVE, METHODS]

UPDATED, DELETED = "customer.updated", "customer.deleted"
ATTACHED, DETACHED = "payment_method.attached", "payment_method.detached"

#: What a customer's rows listen to.
HEARD = (
    UPDATED,
    DELETED,
    "customer.source.created",
    "customer.source.updated",
    "customer.source.deleted",
    ATTACHED,
    DETACHED,
    "payment_method.updated",
    "payment_method.automatically_updated",
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer(fake):
    return make_customer()


def save_card(customer, token="tok_mastercard"):
    """What a browser does: save another card for the customer, not as the default."""
    method = stripe.PaymentMethod.create(type="card", card={"token": token})
    return stripe.PaymentMethod.attach(method.id, customer=customer.stripe_customer_id).id


def choose(customer, method):
    """Let the customer pay with that card from now on."""
    stripe.Customer.modify(
        customer.stripe_customer_id, invoice_settings={"default_payment_method": method}
    )


def assert_matches_stripe(fake, customer):
    row = row_of(customer)
    known = fake.account.find("customer", row.stripe_customer_id)
    assert row.is_active == (not known.get("deleted"))
    if not row.is_active:
        return
    methods = fake.account.all("payment_method")
    theirs = {it["id"] for it in methods if it["customer"] == known["id"]}
    assert {it["id"] for it in row.sources} == theirs
    assert row.default_source == (known["invoice_settings"]["default_payment_method"] or "")


def test_another_default_is_what_is_charged_next(customer, fake):
    chosen = save_card(customer)
    choose(customer, chosen)

    statuses = deliver(fake, newest(fake, UPDATED))

    row = row_of(customer)
    assert statuses == [NEW]
    assert calls(fake) == REFRESH
    assert (row.default_source, row.default_source_data["card"]["brand"]) == (chosen, "mastercard")
    charge = make_charge(row)
    charge.charge()
    assert fake.account.get("charge", charge.stripe_charge_id)["payment_method"] == chosen


def test_a_card_that_was_saved_elsewhere_is_one_of_the_sources(customer, fake):
    saved = save_card(customer)

    deliver(fake, newest(fake, ATTACHED))

    row = row_of(customer)
    assert calls(fake) == REFRESH
    assert saved in [it["id"] for it in row.sources]
    assert row.default_source == customer.default_source != saved


def test_a_detached_card_is_none_of_the_sources_any_more(customer, fake):
    saved = save_card(customer)
    deliver(fake, newest(fake, ATTACHED))
    stripe.PaymentMethod.detach(saved)
    told = newest(fake, DETACHED)
    assert told["data"]["object"]["customer"] is None  # only what was before tells whose it was

    deliver(fake, told)

    assert calls(fake) == REFRESH
    assert [it["id"] for it in row_of(customer).sources] == [customer.default_source]


def test_a_detached_default_is_not_charged_any_more(customer, fake):
    stripe.PaymentMethod.detach(customer.default_source)

    deliver(fake, newest(fake, DETACHED))

    row = row_of(customer)
    assert (row.sources, row.default_source, row.default_source_data) == ([], "", None)


@pytest.mark.parametrize("before", [None, {}, {"customer": None}])
def test_a_detached_card_that_nobody_had_asks_nothing(customer, fake, before):
    stripe.PaymentMethod.detach(customer.default_source)
    told = altered(newest(fake, DETACHED))
    told["data"]["previous_attributes"] = before
    as_before = values_of(customer)

    statuses = deliver(fake, told)

    assert statuses == [NEW]
    assert calls(fake) == []
    assert values_of(customer) == as_before


def test_a_detached_card_without_word_of_what_was_before_asks_nothing(customer, fake):
    stripe.PaymentMethod.detach(customer.default_source)
    told = altered(newest(fake, DETACHED))
    del told["data"]["previous_attributes"]

    statuses = deliver(fake, told)

    assert statuses == [NEW]
    assert calls(fake) == []


@pytest.mark.parametrize("type", ["payment_method.updated", "payment_method.automatically_updated"])
def test_a_card_with_a_new_date_is_shown_with_it(customer, fake, type):
    stripe.PaymentMethod.modify(customer.default_source, card={"exp_year": 2040})
    told = altered(newest(fake, "payment_method.updated"))
    told["type"] = type

    deliver(fake, told)

    assert calls(fake) == REFRESH
    assert row_of(customer).default_source_data["card"]["exp_year"] == 2040


def test_a_deleted_customer_is_not_charged_any_more(customer, fake):
    fake.dashboard_delete_customer(customer.stripe_customer_id)

    statuses = deliver(fake, newest(fake, DELETED))

    assert statuses == [NEW]
    assert calls(fake) == [RETRIEVE]
    assert not row_of(customer).is_active
    assert StripeCustomer.get_latest_active_customer_for_user(customer.user) is None


def test_the_customer_before_a_deleted_one_is_charged_again(customer, fake):
    newer = make_customer(customer.user)
    fake.dashboard_delete_customer(newer.stripe_customer_id)

    deliver(fake, newest(fake, DELETED))

    assert StripeCustomer.get_latest_active_customer_for_user(customer.user) == customer


def test_a_customer_that_we_have_switched_off_stays_so(customer, fake):
    StripeCustomer.objects.filter(pk=customer.pk).update(is_active=False)
    choose(customer, save_card(customer))

    deliver(fake, *events_of(fake, *HEARD))

    assert not row_of(customer).is_active


def test_legacy_cards_are_followed_as_well():
    with FakeStripe(allow_card_tokens=True) as fake:
        customer = make_customer(card=None)
        card = stripe.Customer.create_source(customer.stripe_customer_id, source="tok_visa")

        deliver(fake, newest(fake, "customer.source.created"))

        row = row_of(customer)
        assert calls(fake) == REFRESH
        assert [it["id"] for it in row.sources] == [card.id]
        assert row.default_source == card.id

        stripe.Customer.modify_source(customer.stripe_customer_id, card.id, exp_year=2041)
        deliver(fake, newest(fake, "customer.source.updated"))
        assert "2041" in str(row_of(customer).sources)

        stripe.Customer.delete_source(customer.stripe_customer_id, card.id)
        deliver(fake, newest(fake, "customer.source.deleted"))
        row = row_of(customer)
        assert (row.sources, row.default_source) == ([], "")


def test_a_customer_of_nobody_here_asks_nothing(customer, fake):
    stranger = stripe.Customer.create(description="of another site")
    stripe.Customer.modify(stranger.id, description="edited")
    card = stripe.PaymentMethod.create(type="card", card={"token": "tok_visa"})
    stripe.PaymentMethod.attach(card.id, customer=stranger.id)
    stripe.PaymentMethod.detach(card.id)
    fake.dashboard_delete_customer(stranger.id)
    told = [newest(fake, it) for it in (UPDATED, ATTACHED, DETACHED, DELETED)]
    before = values_of(customer)

    statuses = deliver(fake, *told)

    assert statuses == [NEW] * 4
    assert calls(fake) == []
    assert values_of(customer) == before
    assert errors(fake) == {}


def test_a_row_that_is_not_at_stripe_yet_is_nobodys_customer(customer, fake):
    unborn = StripeCustomer.objects.create(user=make_user())
    before = values_of(unborn)
    choose(customer, save_card(customer))

    deliver(fake, newest(fake, UPDATED))

    assert calls(fake) == REFRESH
    assert values_of(unborn) == before


def test_two_rows_of_one_customer_are_both_refreshed(customer, fake):
    twin = StripeCustomer.objects.create(
        user=customer.user,
        stripe_customer_id=customer.stripe_customer_id,
        is_created_at_stripe=True,
    )
    choose(customer, save_card(customer))

    deliver(fake, newest(fake, UPDATED))

    assert calls(fake) == REFRESH * 2
    assert_matches_stripe(fake, customer)
    assert_matches_stripe(fake, twin)


def test_the_same_event_again_asks_nothing(customer, fake):
    choose(customer, save_card(customer))
    deliver(fake, newest(fake, UPDATED))

    statuses = deliver(fake, newest(fake, UPDATED))

    assert statuses == [REDELIVERED]
    assert calls(fake) == []


def live(fake, customer):
    """What a customer goes through; the events about it."""
    second = save_card(customer)
    choose(customer, second)
    stripe.PaymentMethod.modify(second, card={"exp_year": 2042})
    third = save_card(customer, "tok_amex")
    choose(customer, third)
    stripe.PaymentMethod.detach(second)
    return [it for it in events_of(fake, *HEARD) if customer.stripe_customer_id in str(it["data"])]


def test_whatever_comes_last_the_row_says_what_stripe_says(fake):
    chance = random.Random(20261124)
    for number in range(10):
        customer = make_customer()
        happened = live(fake, customer)
        [*_, order] = each_order(happened, chance, number + 2)

        statuses = deliver(fake, *order)

        assert len(happened) >= 6
        assert statuses == [NEW] * len(happened)
        assert_matches_stripe(fake, customer)
        assert row_of(customer).default_source_data["card"]["brand"] == "amex"
    assert errors(fake) == {}


def test_a_customer_stays_deleted_whatever_comes_last(customer, fake):
    live(fake, customer)
    fake.dashboard_delete_customer(customer.stripe_customer_id)
    happened = events_of(fake, *HEARD)

    statuses = deliver(fake, newest(fake, DELETED), *happened)

    assert set(statuses) == {NEW, REDELIVERED}
    assert not row_of(customer).is_active
    assert errors(fake) == {}


def test_what_was_changed_here_meanwhile_is_kept(customer, fake):
    stale = row_of(customer)
    choose(customer, save_card(customer))
    deliver(fake, newest(fake, UPDATED))

    stale.stripe_js_response = {"id": "something else"}
    stale.save()

    assert_matches_stripe(fake, customer)
    assert row_of(customer).stripe_js_response == {"id": "something else"}


@pytest.mark.parametrize("endpoint", REFRESH)
@pytest.mark.parametrize("fault", OUTAGES, ids=lambda fault: fault.name)
def test_while_stripe_is_down_nothing_changes(customer, fake, endpoint, fault):
    choose(customer, save_card(customer))
    told, before = newest(fake, UPDATED), values_of(customer)
    fake.fail_next(endpoint, fault)

    statuses = deliver(fake, told)

    assert statuses == [NOT_APPLIED]
    assert values_of(customer) == before
    assert deliver(fake, told) == [REDELIVERED]
    assert_matches_stripe(fake, customer)
    assert error_of(told) == ""


def test_of_two_rows_none_is_changed_alone(customer, fake):
    twin = StripeCustomer.objects.create(
        user=customer.user, stripe_customer_id=customer.stripe_customer_id
    )
    choose(customer, save_card(customer))
    before = values_of(customer)

    def fail_the_second(request, answer):
        fake.after_request.clear()
        fake.fail_next(METHODS, Fault.SLOW)
        fake.fail_next(METHODS, Fault.ERROR_500_BEFORE)

    fake.after_request.append(fail_the_second)

    statuses = deliver(fake, newest(fake, UPDATED))

    assert statuses == [NOT_APPLIED]
    assert calls(fake) == REFRESH * 2
    assert values_of(customer) == before
    assert row_of(twin).sources == []


def test_a_customer_that_stripe_does_not_know_is_recorded_as_such(customer, fake):
    choose(customer, save_card(customer))
    told, before = newest(fake, UPDATED), values_of(customer)
    fake.account.remove("customer", customer.stripe_customer_id)

    statuses = deliver(fake, told)

    assert statuses == [NEW]
    assert "No such customer" in error_of(told)
    assert values_of(customer) == before


on_servers = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writer at a time."
)


@on_servers
def test_stripe_is_asked_under_the_lock_of_the_row(transactional_db, fake):
    customer = make_customer()
    choose(customer, save_card(customer))

    with row_locked(customer):
        delivery = InThread(lambda: deliver(fake, newest(fake, UPDATED)))
        wait_until(StripeWebhook.objects.exists)
        time.sleep(0.2)
        assert calls(fake) == []
        fake.account.get("customer", customer.stripe_customer_id).update(description="changed")

    assert delivery.join() == [NEW]
    assert row_of(customer).stripe_response["description"] == "changed"


@on_servers
def test_events_of_one_customer_at_once_do_not_stand_in_each_others_way(transactional_db, fake):
    customer = make_customer()
    for _ in range(2):
        StripeCustomer.objects.create(
            user=customer.user, stripe_customer_id=customer.stripe_customer_id
        )
    told = live(fake, customer)
    charge = make_charge(customer)

    deliveries = [InThread(lambda it=it: deliver(fake, it)) for it in told]
    collecting = InThread(charge.charge)
    statuses = [it.join() for it in deliveries]
    collecting.join()

    assert statuses == [[NEW]] * len(told)
    for row in StripeCustomer.objects.all():
        assert_matches_stripe(fake, row)
    charge.refresh_from_db()
    assert charge.is_charged
