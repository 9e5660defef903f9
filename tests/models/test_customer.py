"""A customer and its payment methods."""

from __future__ import annotations

import pytest
import stripe

from aa_stripe.exceptions import StripeMethodNotAllowed, StripeNoActiveCustomer
from aa_stripe.models import StripeCharge, StripeCustomer
from aa_stripe.testing import FakeStripe, Fault
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db

CREATE = "POST /v1/customers"


@pytest.fixture
def old_account():
    """An account that still accepts card tokens as sources."""
    with FakeStripe(allow_card_tokens=True) as fake:
        yield fake


def at_stripe(fake, customer):
    return fake.account.get("customer", customer.stripe_customer_id)


# Creating


@pytest.mark.parametrize("js_id", ["tok_visa", "pm_card_visa"])
def test_the_card_from_the_front_end_becomes_the_default(fake, js_id):
    customer = make_customer(card=js_id)

    row = StripeCustomer.objects.get(pk=customer.pk)
    assert row.is_created_at_stripe
    assert row.default_source.startswith("pm_")
    assert row.default_source_data["card"]["last4"] == "4242"
    assert [source["id"] for source in row.sources] == [row.default_source]


def test_the_card_of_a_setup_intent_becomes_the_default(fake):
    intent = stripe.SetupIntent.create(
        payment_method="pm_card_mastercard",
        confirm=True,
        automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
    )

    customer = make_customer(card=intent.id)

    assert customer.default_source_data["card"]["brand"] == "mastercard"


def test_a_setup_intent_that_is_not_confirmed_makes_no_customer(fake):
    intent = stripe.SetupIntent.create()

    with pytest.raises(StripeMethodNotAllowed, match="not confirmed"):
        make_customer(card=intent.id)

    assert fake.account.all("customer") == []


def test_a_customer_without_a_card_can_be_created(fake):
    customer = make_customer(card=None)

    assert customer.stripe_customer_id
    assert (customer.sources, customer.default_source_data) == ([], None)


def test_any_other_id_is_sent_to_stripe_as_a_source(old_account):
    with pytest.raises(stripe.InvalidRequestError):
        make_customer(card="src_unknown")

    [request] = [it for it in old_account.requests if it.path == "/v1/customers"]
    assert request.params["source"] == "src_unknown"


def test_the_description_and_the_metadata_identify_the_customer(fake):
    customer = make_customer()

    known = at_stripe(fake, customer)
    assert known["description"] == f"{customer.user} id: {customer.user.pk}"
    assert known["metadata"] == {"aa_stripe_customer_uuid": str(customer.uuid)}


def test_the_description_can_be_chosen(fake):
    customer = StripeCustomer(user=make_user(), stripe_js_response={"id": "tok_visa"})

    customer.create_at_stripe(description="An office")

    assert at_stripe(fake, customer)["description"] == "An office"


def test_a_customer_is_created_once(fake):
    customer = make_customer()

    with pytest.raises(StripeMethodNotAllowed):
        customer.create_at_stripe()

    assert len(fake.account.all("customer")) == 1


@pytest.mark.parametrize("endpoint", [CREATE, "POST /v1/payment_methods"])
@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.GARBAGE])
def test_creating_again_after_a_lost_response_makes_no_second_customer(fake, endpoint, fault):
    customer = StripeCustomer.objects.create(
        user=make_user(), stripe_js_response={"id": fake.create_token()}
    )
    fake.fail_next(endpoint, fault)
    with pytest.raises(stripe.StripeError):
        customer.create_at_stripe()

    customer.create_at_stripe()

    [known] = fake.account.all("customer")
    assert customer.stripe_customer_id == known["id"]
    assert len(customer.sources) == 1


def test_a_refused_card_leaves_the_row_as_it_was(fake):
    customer = StripeCustomer.objects.create(
        user=make_user(), stripe_js_response={"id": "tok_chargeDeclined"}
    )

    with pytest.raises(stripe.CardError):
        customer.create_at_stripe()

    row = StripeCustomer.objects.get(pk=customer.pk)
    assert (row.stripe_customer_id, row.is_created_at_stripe) == ("", False)


# Cards


@pytest.mark.parametrize("js_id", ["tok_mastercard", "pm_card_mastercard"])
def test_a_new_card_becomes_the_default(fake, js_id):
    customer = make_customer()

    customer.add_new_source(js_id, {"id": js_id})

    row = StripeCustomer.objects.get(pk=customer.pk)
    assert row.default_source_data["card"]["brand"] == "mastercard"
    assert len(row.sources) == 2
    assert row.stripe_js_response == {"id": js_id}


def test_a_refused_card_changes_nothing(fake):
    customer = make_customer()
    before = customer.default_source

    with pytest.raises(stripe.CardError):
        customer.add_new_source("tok_chargeDeclined", {"id": "tok_chargeDeclined"})

    row = StripeCustomer.objects.get(pk=customer.pk)
    assert (row.default_source, row.stripe_js_response) == (before, {"id": "tok_visa"})
    assert at_stripe(fake, row)["invoice_settings"]["default_payment_method"] == before


def test_cards_beyond_the_first_page_are_stored(fake):
    customer = make_customer()
    for _ in range(101):
        stripe.PaymentMethod.attach("pm_card_visa", customer=customer.stripe_customer_id)

    customer.refresh_from_stripe()

    assert len({source["id"] for source in customer.sources}) == 102


def test_refresh_from_stripe_stores_a_card_added_in_the_dashboard(fake):
    customer = make_customer()
    added = stripe.PaymentMethod.attach("pm_card_mastercard", customer=customer.stripe_customer_id)
    stripe.Customer.modify(
        customer.stripe_customer_id, invoice_settings={"default_payment_method": added.id}
    )

    known = customer.refresh_from_stripe()

    row = StripeCustomer.objects.get(pk=customer.pk)
    assert row.default_source == added.id
    assert row.stripe_response["id"] == known.id


def test_a_customer_deleted_at_stripe_becomes_inactive(fake):
    customer = make_customer()
    fake.dashboard_delete_customer(customer.stripe_customer_id)

    customer.refresh_from_stripe()

    assert not StripeCustomer.objects.get(pk=customer.pk).is_active


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda it: it.change_description("Ada"), id="change_description"),
        pytest.param(lambda it: it.push_details(), id="push_details"),
        pytest.param(lambda it: it.add_new_source("tok_visa"), id="add_new_source"),
    ],
)
def test_a_call_for_a_customer_deleted_at_stripe_makes_it_inactive(fake, call):
    row = make_customer()
    stripe.Customer.delete(row.stripe_customer_id)

    with pytest.raises(
        StripeNoActiveCustomer, match="The customer was deleted at Stripe"
    ) as raised:
        call(row)

    assert raised.value.__cause__.code == "resource_missing"
    assert (row.is_active, row_of(row).is_active) == (False, False)


@pytest.mark.parametrize("name", ["change_description", "push_details"])
def test_a_customer_of_another_account_stays_active(fake, name):
    row = make_customer()
    StripeCustomer.objects.update(stripe_customer_id="cus_of_another_account")

    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        getattr(row_of(row), name)(*["Ada"] * (name == "change_description"))

    assert row_of(row).is_active


def test_the_description_can_be_changed(fake):
    customer = make_customer()

    known = customer.change_description("Another customer")

    assert known.description == "Another customer"
    assert at_stripe(fake, customer)["description"] == "Another customer"


def test_retrieving_leaves_the_row_as_it_is(fake):
    customer = make_customer()
    stripe.Customer.modify(customer.stripe_customer_id, description="Another customer")

    known = customer.retrieve_from_stripe()

    assert known.description == "Another customer"
    assert "Another customer" not in str(StripeCustomer.objects.get(pk=customer.pk).stripe_response)


@pytest.mark.parametrize("sources", [None, {}, "text", [None, "text", {}]])
def test_an_upgraded_row_with_malformed_sources_has_no_default_card(sources):
    customer = StripeCustomer(sources=sources, default_source="card_1")

    assert customer.default_source_data is None


# The customer that is charged


def test_the_latest_active_customer_has_an_id_at_stripe(fake):
    user = make_user()
    older, latest = make_customer(user), make_customer(user)
    StripeCustomer.objects.create(user=user)
    StripeCustomer.objects.create(user=user, stripe_customer_id="cus_gone", is_active=False)

    assert StripeCustomer.get_latest_active_customer_for_user(user) == latest != older


def test_a_user_without_customers_has_no_latest_one():
    assert StripeCustomer.get_latest_active_customer_for_user(make_user()) is None


def test_a_customer_with_a_legacy_card_is_charged_with_it(old_account):
    known = stripe.Customer.create(source="tok_visa")
    customer = StripeCustomer.objects.create(user=make_user(), stripe_customer_id=known.id)
    charge = make_charge(customer)

    charge.charge()

    customer.refresh_from_db()
    assert StripeCharge.objects.get(pk=charge.pk).is_charged
    assert customer.default_source.startswith("card_")
    assert [source["id"] for source in customer.sources] == [customer.default_source]


def test_a_row_without_a_card_gets_the_default_before_it_is_charged(fake):
    known = make_customer(card="pm_card_mastercard")
    customer = StripeCustomer.objects.create(
        user=make_user(), stripe_customer_id=known.stripe_customer_id
    )

    charge = make_charge(customer)
    charge.charge()

    customer.refresh_from_db()
    assert charge.is_charged
    assert customer.default_source == known.default_source
