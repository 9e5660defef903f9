"""What docs/charging.rst shows does what the page says of it."""

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
def awaited(fake):
    """A charge that its owner has to authenticate."""
    charge = make_charge(make_customer(card="tok_authenticationRequired"))
    charge.charge()
    return charge


@pytest.fixture
def payment_done(request):
    """The view that the page shows."""
    return run(the_block(PAGE, "def payment_done"), request)["payment_done"]


def test_a_payment_is_told_from_one_that_is_not_known(user, fake, request, capsys):
    run(the_block(PAGE, OUTCOMES), request, user=user)
    fake.fail_next("POST /v1/payment_intents/*/confirm", Fault.REQUEST_LOST)
    run(the_block(PAGE, OUTCOMES), request, user=user)

    assert capsys.readouterr().out == "Paid.\nNot known yet. Cron will find out.\n"


def test_a_decline_is_told_from_a_user_without_a_card(fake, request, capsys):
    declined = make_customer(card="tok_chargeCustomerFail").user

    run(the_block(PAGE, OUTCOMES), request, user=declined)
    run(the_block(PAGE, OUTCOMES), request, user=make_user())

    assert capsys.readouterr().out == "Not paid: card_declined.\nAsk the user for a card.\n"


def test_a_charge_is_collected_after_the_commit_that_creates_it(
    user, fake, request, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        run(the_block(PAGE, "on_commit(charge.charge)"), request, user=user)
        assert fake.account.all("payment_intent") == []

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


def test_the_owner_is_asked_to_confirm(fake, write_to, request):
    names = run(the_block(PAGE, "def ask_cardholder"), request, write_to=write_to)

    charge = make_charge(make_customer(card="tok_authenticationRequired"))
    charge.charge()

    assert names["ask_cardholder"]
    [((owner, text), _)] = write_to.call_args_list
    assert owner == charge.user
    assert str(charge.uuid) in text


def test_a_payment_that_its_owner_has_authenticated_is_taken_over(
    awaited, fake, payment_done, http_request
):
    http_request.user = awaited.user
    confirm_in_browser(awaited)
    fake.complete_authentication(awaited.stripe_payment_intent_id)

    answer = payment_done(http_request, awaited.uuid)

    assert answer.content == b'{"is_charged": true}'
    assert len(fake.account.all("charge")) == 1


def test_a_payment_that_nobody_has_authenticated_is_not_made(awaited, payment_done, http_request):
    http_request.user = awaited.user

    answer = payment_done(http_request, awaited.uuid)

    assert answer.content == b'{"is_charged": false}'


def test_the_view_may_be_called_twice(charge, payment_done, http_request):
    http_request.user = charge.user

    answer = payment_done(http_request, charge.uuid)

    assert answer.content == b'{"is_charged": true}'


def test_the_view_knows_no_charge_of_somebody_else(charge, payment_done, http_request):
    for unknown in (charge.uuid, uuid.uuid4()):
        with pytest.raises(Http404):
            payment_done(http_request, unknown)


def test_a_refund_without_an_answer_is_not_asked_for_twice(charge, fake, request, capsys):
    fake.fail_next("POST /v1/refunds", Fault.ANSWER_LOST)

    run(the_block(PAGE, "made = charge.refund(5_00)"), request, charge=charge)
    run(the_block(PAGE, "filter(amount=5_00).exists()"), request, charge=charge)

    assert capsys.readouterr().out == "Not known yet.\n"
    assert [refund["amount"] for refund in fake.account.all("refund")] == [5_00]


def test_a_saved_comment_leaves_the_payment_as_it_is(user, fake, request):
    charge = make_charge(user.stripe_customers.get())
    StripeCharge.objects.get(pk=charge.pk).charge()

    run(the_block(PAGE, "charge.comment"), request, charge=charge)

    charge.refresh_from_db()
    assert (charge.is_charged, charge.comment) == (True, "Called the customer")


def test_an_amount_is_shown_as_the_comment_says(user, request, capsys):
    run(the_block(PAGE, "to_minor_units"), request, user=user)

    assert capsys.readouterr().out == "19.99 EUR\n"
