"""The examples of docs/charging.rst work as the page says."""

from __future__ import annotations

import uuid

import pytest
import stripe
from django.http import Http404

from aa_stripe.models import StripeCharge
from aa_stripe.testing import Fault
from tests.docs.blocks import run, the_block
from tests.support.builders import make_charge, make_customer, make_user

PAGE = "charging.rst"
OUTCOMES = "except StripeNoActiveCustomer"


def confirm_in_browser(charge):
    stripe.PaymentIntent.confirm(
        charge.stripe_payment_intent_id, payment_method=charge.customer.default_source
    )


@pytest.fixture
def unauthenticated(fake):
    """A charge that the customer has to authenticate."""
    charge = make_charge(make_customer(card="tok_authenticationRequired"))
    charge.charge()
    return charge


@pytest.fixture
def payment_done(request):
    """The view that the page shows."""
    return run(the_block(PAGE, "def payment_done"), request)["payment_done"]


def test_the_example_distinguishes_a_payment_from_an_unknown_outcome(user, fake, request, capsys):
    run(the_block(PAGE, OUTCOMES), request, user=user)
    fake.fail_next("POST /v1/payment_intents/*/confirm", Fault.REQUEST_LOST)
    run(the_block(PAGE, OUTCOMES), request, user=user)

    assert capsys.readouterr().out == "Paid.\nNot known yet. Cron will find out.\n"


def test_the_example_distinguishes_a_decline_from_a_missing_card(fake, request, capsys):
    declined = make_customer(card="tok_chargeCustomerFail").user

    run(the_block(PAGE, OUTCOMES), request, user=declined)
    run(the_block(PAGE, OUTCOMES), request, user=make_user())

    assert capsys.readouterr().out == "Not paid: card_declined.\nAsk the user for a card.\n"


def test_the_charge_of_an_order_is_found(user, order, request):
    names = run(the_block(PAGE, "source=order"), request, user=user)

    assert names["of_orders"].get(source_key=order.pk) == names["charge"]
    assert names["charge"].source == order


def test_a_charge_is_collected_after_the_commit_that_creates_it(
    user, fake, request, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        run(the_block(PAGE, "on_commit(charge.charge)"), request, user=user)
        assert fake.account.all("payment_intent") == []

    assert StripeCharge.objects.get().is_charged


def test_a_charge_that_is_left_to_a_queue_is_collected_by_its_worker(
    user, fake, my_queue, settings, request, django_capture_on_commit_callbacks
):
    names = run(the_block(PAGE, "def enqueue_charge"), request, my_queue=my_queue)
    settings.STRIPE_CHARGE_PROCESSOR = names["enqueue_charge"]
    with django_capture_on_commit_callbacks(execute=True):
        run(the_block(PAGE, "charge.charge_later()"), request, user=user)
    assert fake.account.all("payment_intent") == []

    names["work"]()

    assert StripeCharge.objects.get().is_charged


def test_the_mail_waits_for_the_commit(
    charge, write_to, request, django_capture_on_commit_callbacks
):
    names = run(the_block(PAGE, "def thank"), request, write_to=write_to)

    with django_capture_on_commit_callbacks(execute=True):
        make_charge(charge.customer).charge()
        write_to.assert_not_called()

    assert names["thank"]
    write_to.assert_called_once_with(charge.user, "Thank you!")


def test_the_cardholder_is_asked_to_confirm(fake, write_to, request):
    names = run(the_block(PAGE, "def ask_cardholder"), request, write_to=write_to)

    charge = make_charge(make_customer(card="tok_authenticationRequired"))
    charge.charge()

    assert names["ask_cardholder"]
    [((recipient, text), _)] = write_to.call_args_list
    assert recipient == charge.user
    assert str(charge.uuid) in text


def test_the_view_records_a_payment_that_the_customer_has_authenticated(
    unauthenticated, fake, payment_done, http_request
):
    http_request.user = unauthenticated.user
    confirm_in_browser(unauthenticated)
    fake.complete_authentication(unauthenticated.stripe_payment_intent_id)

    response = payment_done(http_request, unauthenticated.uuid)

    assert response.content == b'{"is_charged": true}'
    assert len(fake.account.all("charge")) == 1


def test_a_payment_without_authentication_is_not_collected(
    unauthenticated, payment_done, http_request
):
    http_request.user = unauthenticated.user

    response = payment_done(http_request, unauthenticated.uuid)

    assert response.content == b'{"is_charged": false}'


def test_the_view_reports_a_charge_that_is_already_paid(charge, payment_done, http_request):
    http_request.user = charge.user

    response = payment_done(http_request, charge.uuid)

    assert response.content == b'{"is_charged": true}'


def test_the_view_raises_404_for_an_unknown_charge_and_for_another_users(
    charge, payment_done, http_request
):
    for unknown in (charge.uuid, uuid.uuid4()):
        with pytest.raises(Http404):
            payment_done(http_request, unknown)


def test_a_refund_without_a_response_is_not_requested_twice(charge, fake, request, capsys):
    fake.fail_next("POST /v1/refunds", Fault.ANSWER_LOST)

    run(the_block(PAGE, "made = charge.refund(5_00)"), request, charge=charge)
    run(the_block(PAGE, "filter(amount=5_00).exists()"), request, charge=charge)

    assert capsys.readouterr().out == "Not known yet.\n"
    assert [refund["amount"] for refund in fake.account.all("refund")] == [5_00]


def test_saving_a_comment_does_not_change_the_payment(user, fake, request):
    charge = make_charge(user.stripe_customers.get())
    StripeCharge.objects.get(pk=charge.pk).charge()

    run(the_block(PAGE, "charge.comment"), request, charge=charge)

    charge.refresh_from_db()
    assert (charge.is_charged, charge.comment) == (True, "Called the customer")


def test_an_amount_is_shown_as_the_comment_says(user, request, capsys):
    run(the_block(PAGE, "to_minor_units"), request, user=user)

    assert capsys.readouterr().out == "19.99 EUR\n"
