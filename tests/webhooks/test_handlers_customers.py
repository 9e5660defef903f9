"""Events about a customer and its payment methods."""

from __future__ import annotations

import random

import pytest
import stripe
from django.db import connection
from django.db.models.signals import post_save

from aa_stripe.models import StripeCustomer
from aa_stripe.testing import FakeStripe
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.requests import calls, when_done
from tests.support.rows import row_of, values_of
from tests.support.threads import InThread
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
)
from tests.webhooks.effects import WentWrong

RETRIEVE = "GET /v1/customers/*"
METHODS = "GET /v1/customers/*/payment_methods"

#: The requests that update one row.
REFRESH = [RETRIEVE, METHODS]

UPDATED, DELETED = "customer.updated", "customer.deleted"
ATTACHED, DETACHED = "payment_method.attached", "payment_method.detached"

#: The types of events that update a customer's rows.
OF_CUSTOMER = (
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
    """Save another card for the customer, as a browser does, but not as the default."""
    method = stripe.PaymentMethod.create(type="card", card={"token": token})
    return stripe.PaymentMethod.attach(method.id, customer=customer.stripe_customer_id).id


def make_default(customer, method):
    """Make that card the customer's default payment method."""
    stripe.Customer.modify(
        customer.stripe_customer_id, invoice_settings={"default_payment_method": method}
    )


def assert_matches_stripe(fake, customer):
    """Check that the row matches Stripe's customer."""
    row = row_of(customer)
    known = fake.account.find("customer", row.stripe_customer_id)
    assert row.is_active == (not known.get("deleted"))
    if not row.is_active:
        return
    methods = fake.account.all("payment_method")
    method_ids = {it["id"] for it in methods if it["customer"] == known["id"]}
    assert {it["id"] for it in row.sources} == method_ids
    assert row.default_source == (known["invoice_settings"]["default_payment_method"] or "")


def test_a_new_default_payment_method_is_charged_next(customer, fake):
    chosen = save_card(customer)
    make_default(customer, chosen)

    statuses = deliver(fake, newest(fake, UPDATED))

    row = row_of(customer)
    assert statuses == [NEW]
    assert calls(fake) == REFRESH
    assert (row.default_source, row.default_source_data["card"]["brand"]) == (chosen, "mastercard")
    charge = make_charge(row)
    charge.charge()
    assert fake.account.get("charge", charge.stripe_charge_id)["payment_method"] == chosen


@pytest.mark.parametrize("type", [UPDATED, DELETED])
def test_a_customer_whose_id_differs_in_letter_case_is_not_changed(customer, fake, type):
    other = StripeCustomer.objects.create(
        user=make_user(), stripe_customer_id=customer.stripe_customer_id.swapcase()
    )
    before = values_of(other)
    make_default(customer, save_card(customer))
    if type == DELETED:
        stripe.Customer.delete(customer.stripe_customer_id)

    deliver(fake, newest(fake, type))

    assert_matches_stripe(fake, customer)
    assert values_of(other) == before


def test_a_card_that_was_saved_in_the_browser_is_added_to_the_sources(customer, fake):
    saved = save_card(customer)

    deliver(fake, newest(fake, ATTACHED))

    row = row_of(customer)
    assert calls(fake) == REFRESH
    assert saved in [it["id"] for it in row.sources]
    assert row.default_source == customer.default_source != saved


def test_a_detached_card_is_removed_from_the_sources(customer, fake):
    saved = save_card(customer)
    deliver(fake, newest(fake, ATTACHED))
    stripe.PaymentMethod.detach(saved)
    event = newest(fake, DETACHED)
    assert event["data"]["object"]["customer"] is None  # its customer is in previous_attributes

    deliver(fake, event)

    assert calls(fake) == REFRESH
    assert [it["id"] for it in row_of(customer).sources] == [customer.default_source]


def test_a_detached_default_payment_method_is_removed(customer, fake):
    stripe.PaymentMethod.detach(customer.default_source)

    deliver(fake, newest(fake, DETACHED))

    row = row_of(customer)
    assert (row.sources, row.default_source, row.default_source_data) == ([], "", None)


@pytest.mark.parametrize("previous", [None, {}, {"customer": None}])
def test_detaching_a_card_without_a_previous_customer_makes_no_request(customer, fake, previous):
    stripe.PaymentMethod.detach(customer.default_source)
    event = altered(newest(fake, DETACHED))
    event["data"]["previous_attributes"] = previous
    before = values_of(customer)

    statuses = deliver(fake, event)

    assert statuses == [NEW]
    assert calls(fake) == []
    assert values_of(customer) == before


def test_detaching_a_card_without_previous_attributes_makes_no_request(customer, fake):
    stripe.PaymentMethod.detach(customer.default_source)
    event = altered(newest(fake, DETACHED))
    del event["data"]["previous_attributes"]

    statuses = deliver(fake, event)

    assert statuses == [NEW]
    assert calls(fake) == []


@pytest.mark.parametrize("type", ["payment_method.updated", "payment_method.automatically_updated"])
def test_a_new_expiry_date_of_a_card_is_recorded(customer, fake, type):
    stripe.PaymentMethod.modify(customer.default_source, card={"exp_year": 2040})
    event = altered(newest(fake, "payment_method.updated"))
    event["type"] = type

    deliver(fake, event)

    assert calls(fake) == REFRESH
    assert row_of(customer).default_source_data["card"]["exp_year"] == 2040


def test_a_deleted_customer_becomes_inactive(customer, fake):
    fake.dashboard_delete_customer(customer.stripe_customer_id)

    statuses = deliver(fake, newest(fake, DELETED))

    assert statuses == [NEW]
    assert calls(fake) == [RETRIEVE]
    assert not row_of(customer).is_active
    assert StripeCustomer.get_latest_active_customer_for_user(customer.user) is None


def test_the_previous_customer_is_charged_after_the_latest_is_deleted(customer, fake):
    newer = make_customer(customer.user)
    fake.dashboard_delete_customer(newer.stripe_customer_id)

    deliver(fake, newest(fake, DELETED))

    assert StripeCustomer.get_latest_active_customer_for_user(customer.user) == customer


def test_a_deactivated_customer_stays_inactive(customer, fake):
    StripeCustomer.objects.filter(pk=customer.pk).update(is_active=False)
    make_default(customer, save_card(customer))

    deliver(fake, *events_of(fake, *OF_CUSTOMER))

    assert not row_of(customer).is_active


def test_the_events_of_legacy_cards_update_the_customer():
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


def test_events_of_an_unknown_customer_make_no_request(customer, fake):
    unknown = stripe.Customer.create(description="of another site")
    stripe.Customer.modify(unknown.id, description="edited")
    card = stripe.PaymentMethod.create(type="card", card={"token": "tok_visa"})
    stripe.PaymentMethod.attach(card.id, customer=unknown.id)
    stripe.PaymentMethod.detach(card.id)
    fake.dashboard_delete_customer(unknown.id)
    events = [newest(fake, it) for it in (UPDATED, ATTACHED, DETACHED, DELETED)]
    before = values_of(customer)

    statuses = deliver(fake, *events)

    assert statuses == [NEW] * 4
    assert calls(fake) == []
    assert values_of(customer) == before
    assert errors(fake) == {}


def test_a_row_that_is_not_at_stripe_yet_is_not_changed(customer, fake):
    local_only = StripeCustomer.objects.create(user=make_user())
    before = values_of(local_only)
    make_default(customer, save_card(customer))

    deliver(fake, newest(fake, UPDATED))

    assert calls(fake) == REFRESH
    assert values_of(local_only) == before


def test_a_default_that_the_row_knows_costs_one_request(customer, fake):
    first = row_of(customer).default_source
    make_default(customer, save_card(customer))
    deliver(fake, newest(fake, UPDATED))
    make_default(customer, first)
    fake.requests.clear()

    deliver(fake, newest(fake, UPDATED))

    assert calls(fake) == [RETRIEVE]
    assert_matches_stripe(fake, customer)


def test_a_customer_without_a_default_costs_one_request(customer, fake):
    make_default(customer, "")
    fake.requests.clear()

    deliver(fake, newest(fake, UPDATED))

    assert calls(fake) == [RETRIEVE]
    assert row_of(customer).default_source == ""


def test_both_rows_of_one_customer_are_updated_by_the_same_requests(customer, fake):
    second_row = StripeCustomer.objects.create(
        user=customer.user,
        stripe_customer_id=customer.stripe_customer_id,
        is_created_at_stripe=True,
    )
    make_default(customer, save_card(customer))

    deliver(fake, newest(fake, UPDATED))

    assert calls(fake) == REFRESH
    assert_matches_stripe(fake, customer)
    assert_matches_stripe(fake, second_row)


def test_a_redelivered_event_makes_no_request(customer, fake):
    make_default(customer, save_card(customer))
    deliver(fake, newest(fake, UPDATED))

    statuses = deliver(fake, newest(fake, UPDATED))

    assert statuses == [REDELIVERED]
    assert calls(fake) == []


def make_history(fake, customer):
    """Change the customer's cards several times; return the events about it."""
    second = save_card(customer)
    make_default(customer, second)
    stripe.PaymentMethod.modify(second, card={"exp_year": 2042})
    third = save_card(customer, "tok_amex")
    make_default(customer, third)
    stripe.PaymentMethod.detach(second)
    return [
        it for it in events_of(fake, *OF_CUSTOMER) if customer.stripe_customer_id in str(it["data"])
    ]


def test_the_row_matches_stripe_after_events_in_any_order(fake):
    chance = random.Random(20261124)
    for number in range(10):
        customer = make_customer()
        events = make_history(fake, customer)
        [*_, order] = each_order(events, chance, number + 2)

        statuses = deliver(fake, *order)

        assert len(events) >= 6
        assert statuses == [NEW] * len(events)
        assert_matches_stripe(fake, customer)
        assert row_of(customer).default_source_data["card"]["brand"] == "amex"
    assert errors(fake) == {}


def test_a_deleted_customer_stays_deleted_after_late_events(customer, fake):
    make_history(fake, customer)
    fake.dashboard_delete_customer(customer.stripe_customer_id)
    events = events_of(fake, *OF_CUSTOMER)

    statuses = deliver(fake, newest(fake, DELETED), *events)

    assert set(statuses) == {NEW, REDELIVERED}
    assert not row_of(customer).is_active
    assert errors(fake) == {}


def test_saving_an_older_object_keeps_what_the_webhook_has_changed(customer, fake):
    stale = row_of(customer)
    make_default(customer, save_card(customer))
    deliver(fake, newest(fake, UPDATED))

    stale.stripe_js_response = {"id": "something else"}
    stale.save()

    assert_matches_stripe(fake, customer)
    assert row_of(customer).stripe_js_response == {"id": "something else"}


@pytest.mark.parametrize("endpoint", REFRESH)
@pytest.mark.parametrize("fault", OUTAGES, ids=lambda fault: fault.name)
def test_a_customer_is_not_changed_during_an_outage(customer, fake, endpoint, fault):
    make_default(customer, save_card(customer))
    event, before = newest(fake, UPDATED), values_of(customer)
    fake.fail_next(endpoint, fault)

    statuses = deliver(fake, event)

    assert statuses == [NOT_APPLIED]
    assert values_of(customer) == before
    assert deliver(fake, event) == [REDELIVERED]
    assert_matches_stripe(fake, customer)
    assert error_of(event) == ""


def test_two_rows_of_a_customer_are_changed_together_or_not_at_all(customer, fake):
    second_row = StripeCustomer.objects.create(
        user=customer.user, stripe_customer_id=customer.stripe_customer_id
    )
    make_default(customer, save_card(customer))
    before = values_of(customer)

    def fail_the_second(sender, instance, **kwargs):
        if instance.pk == second_row.pk:
            raise WentWrong

    post_save.connect(fail_the_second, sender=StripeCustomer)
    try:
        statuses = deliver(fake, newest(fake, UPDATED))
    finally:
        post_save.disconnect(fail_the_second, sender=StripeCustomer)

    assert statuses == [NOT_APPLIED]
    assert values_of(customer) == before
    assert row_of(second_row).sources == []


def test_the_error_of_a_customer_unknown_to_stripe_is_recorded(customer, fake):
    make_default(customer, save_card(customer))
    event, before = newest(fake, UPDATED), values_of(customer)
    fake.account.remove("customer", customer.stripe_customer_id)

    statuses = deliver(fake, event)

    assert statuses == [NEW]
    assert "No such customer" in error_of(event)
    assert values_of(customer) == before


on_servers = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writer at a time."
)


@on_servers
def test_no_lock_is_held_while_stripe_is_asked(transactional_db, fake):
    customer = make_customer()
    make_default(customer, save_card(customer))
    fake.requests.clear()
    when_done(
        fake, METHODS, lambda: InThread(StripeCustomer.objects.get(pk=customer.pk).save).join()
    )

    assert deliver(fake, newest(fake, UPDATED)) == [NEW]

    assert calls(fake) == REFRESH * 2
    assert_matches_stripe(fake, customer)


@on_servers
def test_simultaneous_events_of_one_customer_cause_no_deadlock(transactional_db, fake):
    customer = make_customer()
    for _ in range(2):
        StripeCustomer.objects.create(
            user=customer.user, stripe_customer_id=customer.stripe_customer_id
        )
    events = make_history(fake, customer)
    charge = make_charge(customer)

    deliveries = [InThread(lambda it=it: deliver(fake, it)) for it in events]
    collecting = InThread(charge.charge)
    statuses = [it.join() for it in deliveries]
    collecting.join()

    assert statuses == [[NEW]] * len(events)
    for row in StripeCustomer.objects.all():
        assert_matches_stripe(fake, row)
    charge.refresh_from_db()
    assert charge.is_charged
