"""Customers at Stripe have the e-mail address and the name of their user."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import stripe
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models.signals import post_save

from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models import StripeCharge, StripeCustomer, customer_data
from aa_stripe.models.customer.details import UUID_KEY
from aa_stripe.testing import Fault
from tests.api.requests import post_card
from tests.support.builders import make_customer, make_user
from tests.support.clients import signed_in
from tests.support.requests import calls
from tests.support.rows import row_of
from tests.support.signals import connected

CREATE = "POST /v1/customers"
UPDATE = "POST /v1/customers/*"
ADA = {"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace"}

#: Django accepts the first one; both are refused by Stripe.
REFUSED = ["ada@localhost", "Ada"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(fake):
    return make_user(**ADA)


@pytest.fixture
def card(fake):
    return stripe.PaymentMethod.create(type="card", card={"token": fake.create_token()}).id


def at_stripe(fake):
    [known] = fake.account.all("customer")
    return known


def shown(known):
    return known["email"], known["name"]


def data_with_phone(user):
    """Return what a project adds to the defaults."""
    return {
        **customer_data(user),
        "phone": "+44 20",
        "preferred_locales": ["en-GB"],
        "address": {"city": "London"},
        "invoice_settings": {"footer": "Thank you"},
        "metadata": {"club": "7", UUID_KEY: "of another row"},
        "description": "of the project",
        "shipping": None,
    }


def nothing(user):
    return {}


def no_name(user):
    """Return an empty text, which deletes the value at Stripe."""
    return {"name": ""}


def bad_phone(user):
    return {"phone": ["not", "text"]}


# Creation


def test_a_customer_has_the_users_email_and_name(fake, ada):
    make_customer(ada)

    known = at_stripe(fake)
    assert shown(known) == ("ada@example.com", "Ada Lovelace")
    assert known["description"] == f"{ada} id: {ada.pk}"


def test_a_customer_of_the_http_api_has_them_too(fake, ada):
    post_card(signed_in(ada))

    assert shown(at_stripe(fake)) == ("ada@example.com", "Ada Lovelace")


def test_blank_texts_are_not_sent(fake):
    make_customer(make_user(email=" ", first_name=" "))

    assert shown(at_stripe(fake)) == (None, None)


@pytest.mark.parametrize("email", REFUSED)
def test_an_address_that_stripe_does_not_accept_is_left_out(fake, email, caplog):
    customer = make_customer(make_user(email=email, first_name="Ada"))

    assert shown(at_stripe(fake)) == (None, "Ada")
    assert customer.is_created_at_stripe
    assert email not in caplog.text or email == "Ada"


def test_a_long_name_is_shortened(fake):
    make_customer(make_user(first_name="a" * 150, last_name="b" * 150))

    assert len(at_stripe(fake)["name"]) == 256


def test_an_office_need_not_have_an_email_or_a_name():
    office = SimpleNamespace(pk=1)

    assert customer_data(office) == {}


def test_an_office_may_have_them():
    office = SimpleNamespace(email="office@example.com", get_full_name=lambda: "Office")

    assert customer_data(office) == {"email": "office@example.com", "name": "Office"}


def test_the_email_field_may_have_another_name():
    user = SimpleNamespace(get_email_field_name=lambda: "mail", mail="ada@example.com", email=5)

    assert customer_data(user) == {"email": "ada@example.com"}


def test_the_project_chooses_what_is_sent(fake, ada, card, settings):
    settings.STRIPE_CUSTOMER_DATA = f"{__name__}.data_with_phone"

    make_customer(ada, card)

    known = at_stripe(fake)
    assert shown(known) == ("ada@example.com", "Ada Lovelace")
    assert (known["phone"], known["preferred_locales"]) == ("+44 20", ["en-GB"])
    assert known["address"]["city"] == "London"
    assert known["invoice_settings"]["footer"] == "Thank you"
    assert known["invoice_settings"]["default_payment_method"] == card


def test_the_description_and_the_uuid_stay_ours(fake, ada, settings):
    settings.STRIPE_CUSTOMER_DATA = f"{__name__}.data_with_phone"

    customer = make_customer(ada)

    known = at_stripe(fake)
    assert known["description"] == f"{ada} id: {ada.pk}"
    assert known["metadata"] == {"club": "7", UUID_KEY: str(customer.uuid)}


@pytest.mark.parametrize("path", [f"{__name__}.nothing", f"{__name__}.no_name"])
def test_the_project_may_send_nothing(fake, ada, settings, path):
    settings.STRIPE_CUSTOMER_DATA = path

    make_customer(ada)

    assert shown(at_stripe(fake)) == (None, None)


def test_other_data_that_stripe_refuses_is_an_error(fake, ada, settings):
    settings.STRIPE_CUSTOMER_DATA = f"{__name__}.bad_phone"

    response = post_card(signed_in(ada))

    assert response.status_code == 400
    assert response.json().keys() == {"stripe_error"}
    assert not StripeCustomer.objects.exists()


# A response that was lost


@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.ANSWER_LOST])
@pytest.mark.parametrize("token", ["card", "token", None])
@pytest.mark.parametrize("email", ["new@example.com", "", *REFUSED])
def test_an_email_that_changes_after_a_lost_response_makes_no_second_customer(
    fake, ada, card, fault, token, email
):
    js_id = {"card": card, "token": fake.create_token()}.get(token)
    content = {"id": js_id} if js_id else {}
    row = StripeCustomer.objects.create(user=ada, stripe_js_response=content)
    fake.fail_next(CREATE, fault)
    with pytest.raises(stripe.APIConnectionError):
        row.create_at_stripe()
    get_user_model().objects.filter(pk=ada.pk).update(email=email)
    fake.advance(60)  # until the search finds a customer without a card

    row_of(row).create_at_stripe()

    known = at_stripe(fake)
    assert row_of(row).stripe_customer_id == known["id"]
    if email == "new@example.com":
        assert known["email"] == email


@pytest.mark.parametrize("email", REFUSED)
def test_an_address_that_is_not_accepted_makes_no_second_customer(fake, card, email):
    user = make_user(email=email)
    row = StripeCustomer.objects.create(user=user, stripe_js_response={"id": card})
    fake.after_request.append(lose_first_creation(fake))
    with pytest.raises(stripe.APIConnectionError):
        row.create_at_stripe()

    row_of(row).create_at_stripe()

    assert row_of(row).stripe_customer_id == at_stripe(fake)["id"]


def lose_first_creation(fake):
    """Lose the response of the request that creates the customer, once."""
    lost = []

    def hook(request, *args):
        if fake.account.all("customer") and not lost:
            lost.append(request)
            raise stripe.APIConnectionError("Lost.")

    return hook


# Later


def test_the_details_are_pushed_as_they_are_now(fake, ada):
    customer = make_customer(ada)
    get_user_model().objects.filter(pk=ada.pk).update(email="new@example.com", first_name="Augusta")
    fake.requests.clear()

    known = customer.push_details()

    assert shown(at_stripe(fake)) == ("new@example.com", "Augusta Lovelace")
    assert known.email == "new@example.com"
    assert row_of(customer).stripe_response["email"] == "new@example.com"
    assert calls(fake) == [UPDATE]


def test_pushing_keeps_the_description_the_metadata_and_the_card(fake, ada, card, settings):
    customer = make_customer(ada, card)
    stripe.Customer.modify(customer.stripe_customer_id, metadata={"a": "1"}, description="Mine")
    settings.STRIPE_CUSTOMER_DATA = f"{__name__}.data_with_phone"

    customer.push_details()

    known = at_stripe(fake)
    assert known["description"] == "Mine"
    assert known["metadata"] == {"a": "1", "club": "7", UUID_KEY: str(customer.uuid)}
    assert row_of(customer).default_source == card


def test_pushing_an_empty_text_deletes_the_value(fake, ada, settings):
    customer = make_customer(ada)
    settings.STRIPE_CUSTOMER_DATA = f"{__name__}.no_name"

    customer.push_details()

    assert shown(at_stripe(fake)) == ("ada@example.com", None)


def test_pushing_an_address_that_stripe_does_not_accept_raises_its_error(fake, ada):
    customer = make_customer(ada)
    get_user_model().objects.filter(pk=ada.pk).update(email="ada@localhost")

    with pytest.raises(stripe.InvalidRequestError) as caught:
        customer.push_details()

    assert caught.value.code == "email_invalid"
    assert shown(at_stripe(fake)) == ("ada@example.com", "Ada Lovelace")


def test_the_details_of_a_customer_that_is_not_at_stripe_cannot_be_pushed(fake, ada):
    customer = StripeCustomer.objects.create(user=ada)

    with pytest.raises(StripeMethodNotAllowed, match="not created at Stripe yet"):
        customer.push_details()


def test_the_details_of_a_user_that_does_not_exist_cannot_be_pushed(fake):
    customer = StripeCustomer(user_id=0, stripe_customer_id="cus_1")

    with pytest.raises(StripeMethodNotAllowed, match="no user"):
        customer.push_details()


def test_saving_the_user_sends_nothing(fake, ada):
    make_customer(ada)
    fake.requests.clear()

    ada.email = "new@example.com"
    ada.save()

    assert calls(fake) == []


@pytest.mark.django_db(transaction=True)
def test_a_receiver_of_the_project_may_push_after_the_commit(fake, ada):
    make_customer(ada)

    def push(instance, **kwargs):
        customer = StripeCustomer.get_latest_active_customer_for_user(instance)
        if customer is not None:
            transaction.on_commit(customer.push_details)

    ada.email = "new@example.com"
    with connected(post_save, push, sender=get_user_model()), transaction.atomic():
        ada.save()
        fake.requests.clear()

    assert calls(fake) == [UPDATE]
    assert shown(at_stripe(fake)) == ("new@example.com", "Ada Lovelace")


def test_a_customer_with_details_is_charged(fake, ada):
    make_customer(ada)

    charge = StripeCharge.objects.create(user=ada, amount=500)
    charge.charge()

    assert charge.is_charged
