"""The outcome of ``charge()`` for each of Stripe's responses."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aa_stripe import signals
from aa_stripe.exceptions import (
    StripeInternalError,
    StripeMethodNotAllowed,
    StripeNoActiveCustomer,
)
from aa_stripe.models import StripeCharge, StripeCustomer
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.clock import let_pass
from tests.support.payments import (
    CANCEL,
    CONFIRM,
    CREATE,
    RETRIEVE,
    UPDATE,
    authenticate,
    intent_of,
    lose_response,
    paid,
)
from tests.support.requests import calls
from tests.support.rows import row_of

# Succeeded


def test_a_successful_charge_is_stored_in_the_row(charge, fake):
    collected = charge.charge()

    row = StripeCharge.objects.get(pk=charge.pk)
    assert row.is_charged
    assert (row.amount, row.currency) == (1000, "usd")
    assert row.stripe_charge_id == collected.id
    assert row.stripe_response["id"] == collected.id
    assert row.stripe_payment_intent_id == collected.payment_intent
    assert not row.charge_attempt_failed
    assert row.signal_due == ""


def test_the_charged_object_has_the_values_of_the_row(charge):
    charge.charge()

    assert charge.is_charged
    assert charge.changed_fields() == set()


def test_a_successful_charge_sends_one_signal(charge, sent_signals):
    charge.charge()

    assert sent_signals == ["succeeded"]


def test_a_charge_costs_two_requests(charge, fake):
    fake.requests.clear()

    charge.charge()

    assert calls(fake) == [CREATE, CONFIRM]


def test_a_charge_costs_a_known_number_of_statements(charge):
    charge = StripeCharge.objects.get(pk=charge.pk)

    with CaptureQueriesContext(connection) as captured:
        charge.charge()

    # The claim, the row, the customer, the renewed claim with the intent, the success.
    assert len(captured) == 5


def test_the_latest_active_customer_is_charged(charge, fake):
    newer = make_customer(charge.user)
    inactive = make_customer(charge.user)
    StripeCustomer.objects.filter(pk=inactive.pk).update(is_active=False)
    StripeCustomer.objects.create(user=charge.user)  # not at Stripe yet

    collected = charge.charge()

    assert collected.customer == newer.stripe_customer_id
    assert charge.customer == newer


def test_the_metadata_of_the_intent_identifies_the_charge(charge, fake, settings):
    settings.PAYMENT_ORIGIN = "shop"
    charge.source = charge.user
    charge.save()

    charge.charge(idempotency_key="my-key", payment_uuid="p-1")

    intent = intent_of(fake, charge)
    assert intent["metadata"] == {
        "aa_stripe_charge_uuid": str(charge.uuid),
        "content_type_id": str(charge.content_type_id),
        "object_id": str(charge.user.pk),
        "origin": "shop",
        "payment_uuid": "p-1",
        "idempotency_key": "my-key",
    }


def test_the_metadata_has_the_uuid_of_the_user_if_the_user_model_has_one(charge, fake, monkeypatch):
    monkeypatch.setattr(get_user_model(), "uuid", "u-1", raising=False)
    charge = StripeCharge.objects.get(pk=charge.pk)

    with CaptureQueriesContext(connection) as captured:
        charge.charge()

    assert intent_of(fake, charge)["metadata"]["member_uuid"] == "u-1"
    assert len(captured) == 6  # with the user


def test_the_receipt_email_is_sent(charge, fake):
    charge.receipt_email = "ada@example.com"
    charge.charge()

    [intent] = paid(fake)
    assert intent["receipt_email"] == "ada@example.com"
    assert fake.account.all("charge")[0]["receipt_email"] == "ada@example.com"


def test_without_a_receipt_email_stripe_gets_none(charge, fake):
    charge.charge()

    assert all("receipt_email" not in request.params for request in fake.requests)


def test_a_receipt_email_that_stripe_does_not_accept_can_be_corrected(charge, fake):
    charge.receipt_email = "ada@com"
    assert charge.charge() is None
    assert (charge.charge_attempt_failed, charge.failure_code) == (True, "email_invalid")

    charge.receipt_email = "ada@example.com"
    charge.charge()

    assert [it["receipt_email"] for it in paid(fake)] == ["ada@example.com"]


def test_description_and_statement_descriptor_are_sent_and_the_comment_is_not(charge, fake):
    charge.description, charge.comment = "For stuff", "internal"
    charge.statement_descriptor = "My Company"

    charge.charge()

    intent = intent_of(fake, charge)
    assert intent["description"] == "For stuff"
    assert intent["statement_descriptor_suffix"] == "My Company"
    assert "internal" not in str(intent)


def test_an_unsaved_change_is_saved_and_charged(charge):
    charge.amount = 700

    charge.charge()

    assert StripeCharge.objects.get(pk=charge.pk).amount == 700


def test_a_row_that_was_never_saved_is_saved_and_charged(customer):
    charge = StripeCharge(user=customer.user, amount=500)

    charge.charge()

    assert StripeCharge.objects.get(pk=charge.pk).is_charged


def test_no_client_secret_reaches_the_database(charge, customer):
    declining = make_customer(card="tok_chargeCustomerFail")
    declined = make_charge(declining)

    charge.charge()
    declined.charge()

    for row in StripeCharge.objects.all():
        assert "client_secret" not in str(row.stripe_response)


def test_an_amount_in_a_zero_decimal_currency_is_sent_unchanged(customer):
    charge = make_charge(customer, amount=500, currency="JPY")

    collected = charge.charge()

    assert (collected.amount, collected.currency) == (500, "jpy")
    assert charge.currency == "jpy"


# Refused by Stripe


def test_a_declined_card_is_recorded(declined):
    assert declined.charge() is None

    row = StripeCharge.objects.get(pk=declined.pk)
    assert row.charge_attempt_failed
    assert not row.is_charged
    assert row.failure_code == "card_declined"
    assert row.stripe_response["error"]["code"] == "card_declined"
    assert row.stripe_charge_id == row.stripe_response["error"]["charge"]


def test_a_declined_card_sends_a_signal_with_stripes_error(declined, sent_signals):
    errors = []

    def receiver(sender, instance, exception, **kwargs):
        errors.append((sender, instance, exception))

    signals.stripe_charge_card_exception.connect(receiver)

    declined.charge()

    [(sender, instance, error)] = errors
    assert sender is StripeCharge
    assert instance is declined
    assert isinstance(error, stripe.CardError)
    assert sent_signals == ["card_exception"]


def test_a_declined_card_is_not_pending_any_more(declined):
    declined.charge()

    assert list(StripeCharge.objects.pending()) == []


def test_the_command_skips_a_row_that_failed_meanwhile(declined, fake):
    stale = StripeCharge.objects.get(pk=declined.pk)
    declined.charge()
    fake.requests.clear()

    assert stale.charge_if_pending() is None

    assert fake.requests == []


def test_a_failed_charge_succeeds_when_retried_with_a_good_card(declined, sent_signals):
    declined.charge()
    declined.user.stripe_customers.get().add_new_source("tok_visa")

    assert declined.charge() is not None

    row = StripeCharge.objects.get(pk=declined.pk)
    assert row.is_charged
    assert not row.charge_attempt_failed
    assert row.failure_code == ""
    assert sent_signals == ["card_exception", "succeeded"]


def test_a_second_decline_sends_the_signal_again(declined, fake, sent_signals):
    declined.charge()
    first = declined.stripe_charge_id

    declined.charge()

    assert declined.stripe_charge_id != first
    assert sent_signals == ["card_exception", "card_exception"]


def test_a_card_that_needs_authentication_sends_requires_action(db, fake, sent_signals):
    charge = make_charge(make_customer(card="pm_card_authenticationRequired"))

    assert charge.charge() is None

    row = StripeCharge.objects.get(pk=charge.pk)
    assert row.charge_attempt_failed
    assert row.failure_code == "authentication_required"
    assert row.stripe_charge_id == ""
    assert sent_signals == ["card_exception", "requires_action"]


def test_a_payment_authenticated_in_the_browser_is_adopted(db, fake, sent_signals):
    charge = make_charge(make_customer(card="pm_card_authenticationRequired"))
    charge.charge()
    authenticate(fake, charge)

    assert charge.charge() is not None

    assert charge.is_charged
    assert sent_signals == ["card_exception", "requires_action", "succeeded"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"amount": 0}, "parameter_invalid_integer"),
        ({"amount": -5}, "parameter_invalid_integer"),
        ({"amount": 1}, "amount_too_small"),
        ({"amount": 10**12}, "amount_too_large"),
        ({"currency": "xxx"}, "invalid_request_error"),
        ({"currency": "isk", "amount": 150}, "parameter_invalid_integer"),
    ],
)
def test_a_charge_that_stripe_refuses_as_invalid_is_marked_as_failed(
    customer, sent_signals, fields, code
):
    charge = make_charge(customer, **fields)

    assert charge.charge() is None

    row = StripeCharge.objects.get(pk=charge.pk)
    assert row.charge_attempt_failed
    assert row.failure_code == code
    assert row.stripe_payment_intent_id == ""
    assert sent_signals == ["card_exception"]


def test_a_refused_charge_succeeds_once_it_is_corrected(customer):
    charge = make_charge(customer, amount=0)
    charge.charge()
    charge.amount = 800

    charge.charge()

    assert charge.is_charged
    assert charge.amount == 800


def test_a_charge_of_a_customer_without_a_card_is_marked_as_failed(db, fake):
    charge = make_charge(make_customer(card=None))

    assert charge.charge() is None

    assert charge.failure_code == "payment_intent_unexpected_state"
    assert charge.charge_attempt_failed


# Nothing to collect


def test_a_charged_row_is_not_charged_again(charge, fake):
    charge.charge()
    fake.requests.clear()

    with pytest.raises(StripeMethodNotAllowed, match=r"^Already charged\.$"):
        charge.charge()

    assert fake.requests == []


def test_a_stale_object_does_not_charge_again(charge, fake):
    stale = StripeCharge.objects.get(pk=charge.pk)
    charge.charge()

    with pytest.raises(StripeMethodNotAllowed, match=r"^Already charged\.$"):
        stale.charge()


def test_nothing_is_collected_without_an_amount(customer, fake):
    charge = make_charge(customer, amount=None)
    fake.requests.clear()

    with pytest.raises(StripeMethodNotAllowed, match="no amount"):
        charge.charge()

    assert fake.requests == []


def test_nothing_is_collected_without_an_active_customer(db, fake):
    charge = StripeCharge.objects.create(user=make_user(), amount=1000)

    with pytest.raises(StripeNoActiveCustomer):
        charge.charge()

    assert fake.requests == []
    assert list(StripeCharge.objects.pending()) == [charge]


def test_a_failed_row_without_an_active_customer_stays_failed(declined):
    declined.charge()
    StripeCustomer.objects.all().delete()

    with pytest.raises(StripeNoActiveCustomer):
        declined.charge()

    # The intent may have been paid in the browser, so it is read; there is no customer to charge.
    assert not StripeCharge.objects.get(pk=declined.pk).is_charged


def test_an_inactive_customer_is_not_charged(charge, fake):
    fake.fail_next(CONFIRM, Fault.REQUEST_LOST)
    with pytest.raises(StripeInternalError):
        charge.charge()
    StripeCustomer.objects.update(is_active=False)

    with pytest.raises(StripeNoActiveCustomer):
        charge.charge()

    assert calls(fake)[-1] == RETRIEVE


def test_a_payment_that_succeeded_is_adopted_though_its_customer_is_inactive_now(charge, fake):
    fake.fail_next(CONFIRM, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charge.charge()
    StripeCustomer.objects.update(is_active=False)

    charge.charge()

    assert charge.is_charged


# No response, or one that leaves the outcome open


@pytest.mark.parametrize(
    "fault",
    [
        Fault.REQUEST_LOST,
        Fault.ANSWER_LOST,
        Fault.ERROR_500_BEFORE,
        Fault.ERROR_500_AFTER,
        Fault.RATE_LIMITED,
        Fault.CONFLICT,
        Fault.GARBAGE,
    ],
)
def test_without_a_usable_response_the_outcome_stays_unknown(charge, fake, sent_signals, fault):
    fake.fail_next(CONFIRM, fault)

    with pytest.raises(StripeInternalError) as raised:
        charge.charge()

    assert isinstance(raised.value.__cause__, stripe.StripeError)
    row = StripeCharge.objects.get(pk=charge.pk)
    assert not row.is_charged
    assert not row.charge_attempt_failed
    assert row.stripe_payment_intent_id.startswith("pi_")
    assert list(StripeCharge.objects.pending()) == [row]
    assert sent_signals == []


def test_a_retry_retrieves_the_intent_first(charge, fake):
    fake.fail_next(CONFIRM, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        charge.charge()
    fake.requests.clear()

    charge.charge()

    assert calls(fake) == [RETRIEVE]
    assert charge.is_charged


def test_a_decline_whose_response_was_lost_is_recorded_and_not_retried(
    declined, fake, sent_signals
):
    fake.fail_next(CONFIRM, Fault.ANSWER_LOST)
    with pytest.raises(StripeInternalError):
        declined.charge()
    fake.requests.clear()

    assert declined.charge() is None

    assert calls(fake) == [RETRIEVE, "GET /v1/customers/*"]
    assert declined.charge_attempt_failed
    assert declined.failure_code == "card_declined"
    assert sent_signals == ["card_exception"]


def test_a_processing_payment_stays_unsettled(db, fake, sent_signals):
    charge = make_charge(make_customer(card="pm_card_fakeProcessing"))

    assert charge.charge() is None

    row = StripeCharge.objects.get(pk=charge.pk)
    assert not row.is_charged
    assert not row.charge_attempt_failed
    assert sent_signals == []


def test_a_processing_payment_that_succeeded_is_adopted_by_the_next_run(db, fake, sent_signals):
    charge = make_charge(make_customer(card="pm_card_fakeProcessing"))
    charge.charge()
    fake.settle(charge.stripe_payment_intent_id, succeed=True)

    charge.charge()

    assert charge.is_charged
    assert sent_signals == ["succeeded"]


def test_a_processing_payment_that_failed_is_recorded_by_the_next_run(db, fake, sent_signals):
    charge = make_charge(make_customer(card="pm_card_fakeProcessing"))
    charge.charge()
    fake.settle(charge.stripe_payment_intent_id, succeed=False)

    assert charge.charge() is None

    assert charge.charge_attempt_failed
    assert sent_signals == ["card_exception"]


def test_a_refused_api_key_raises_and_leaves_the_row_pending(charge, settings, fake):
    settings.STRIPE_API_KEY = ""

    with pytest.raises(stripe.AuthenticationError):
        charge.charge()

    assert list(StripeCharge.objects.pending()) == [charge]


# Changes of the intent at Stripe


def lose_the_response(charge, fake, fault=Fault.REQUEST_LOST):
    lose_response(fake, charge, fault)
    fake.requests.clear()


def test_the_changed_amount_is_collected(charge, fake):
    lose_the_response(charge, fake)
    charge.amount, charge.description = 1500, "More stuff"
    charge.save()

    collected = charge.charge()

    assert collected.amount == 1500
    assert collected.description == "More stuff"
    # An update from before might still arrive, so the intent is not updated but replaced.
    assert calls(fake) == [RETRIEVE, UPDATE, CANCEL, CREATE, CONFIRM]


def test_an_amount_changed_later_is_sent_by_an_update(charge, fake):
    lose_the_response(charge, fake)
    let_pass(fake, timedelta(hours=2))
    row = row_of(charge)
    row.amount = 1500
    row.save()

    assert row.charge().amount == 1500

    assert calls(fake) == [RETRIEVE, UPDATE, CONFIRM]


def test_a_changed_currency_cancels_the_intent_and_creates_another(charge, fake):
    lose_the_response(charge, fake)
    first = charge.stripe_payment_intent_id
    charge.currency = "eur"
    charge.save()

    collected = charge.charge()

    assert collected.currency == "eur"
    assert charge.stripe_payment_intent_id != first
    assert fake.account.get("payment_intent", first)["status"] == "canceled"


def test_a_payment_that_succeeded_is_adopted_as_collected_though_the_row_was_edited(charge, fake):
    lose_the_response(charge, fake, Fault.ANSWER_LOST)
    charge.amount, charge.currency = 1500, "eur"
    charge.save()

    charge.charge()

    assert (charge.amount, charge.currency) == (1000, "usd")


def test_a_payment_canceled_at_stripe_marks_the_row_as_failed(charge, fake, sent_signals):
    lose_the_response(charge, fake)
    fake.dashboard_cancel(charge.stripe_payment_intent_id)

    assert charge.charge() is None

    assert charge.failure_code == "canceled"
    assert list(StripeCharge.objects.pending()) == []
    assert sent_signals == ["card_exception"]


def test_a_charge_canceled_at_stripe_can_be_retried(charge, fake):
    lose_the_response(charge, fake)
    first = charge.stripe_payment_intent_id
    fake.dashboard_cancel(first)
    charge.charge()

    charge.charge()

    assert charge.is_charged
    assert charge.stripe_payment_intent_id != first


def test_the_replacement_of_a_canceled_payment_may_be_canceled_as_well(charge, fake):
    lose_the_response(charge, fake)
    fake.dashboard_cancel(charge.stripe_payment_intent_id)
    charge.charge()
    lose_the_response(charge, fake)
    fake.dashboard_cancel(charge.stripe_payment_intent_id)

    assert charge.charge_if_pending() is None

    assert charge.failure_code == "canceled"
    assert charge.charge_attempt_failed


def test_the_row_names_the_customer_who_paid_though_it_was_replaced(charge, customer, fake):
    lose_the_response(charge, fake, Fault.ANSWER_LOST)
    make_customer(charge.user)

    charge.charge()

    assert charge.customer == customer


# The source object


def test_two_charges_for_the_same_object_are_two_payments(customer, fake):
    charges = [make_charge(customer, source=customer.user) for _ in range(2)]

    intents = {charge.charge().payment_intent for charge in charges}

    assert len(intents) == 2


def test_two_charges_for_no_object_are_two_payments(customer, fake):
    charges = [make_charge(customer) for _ in range(2)]

    intents = {charge.charge(idempotency_key="same").payment_intent for charge in charges}

    assert len(intents) == 2


# Saving


def test_saving_a_stale_object_does_not_revert_the_charge(charge):
    stale = StripeCharge.objects.get(pk=charge.pk)
    charge.charge()
    stale.comment = "edited"

    stale.save()

    row = StripeCharge.objects.get(pk=charge.pk)
    assert row.is_charged
    assert row.stripe_charge_id
    assert row.comment == "edited"


def test_saving_a_stale_object_sets_updated(charge):
    before = charge.updated
    stale = StripeCharge.objects.get(pk=charge.pk)

    stale.save()

    assert StripeCharge.objects.get(pk=charge.pk).updated > before


# Signals that are due after a crash


class ReceiverError(Exception):
    pass


@pytest.fixture
def broken_receiver():
    def receiver(sender, instance, **kwargs):
        raise ReceiverError

    signals.stripe_charge_succeeded.connect(receiver)
    yield lambda: signals.stripe_charge_succeeded.disconnect(receiver)
    signals.stripe_charge_succeeded.disconnect(receiver)


def test_a_signal_whose_receiver_raised_stays_due(charge, broken_receiver):
    with pytest.raises(ReceiverError):
        charge.charge()

    row = StripeCharge.objects.get(pk=charge.pk)
    assert row.is_charged
    assert list(StripeCharge.objects.with_signal_due()) == [row]


def test_a_due_signal_is_sent_later_and_only_once(charge, broken_receiver, sent_signals):
    with pytest.raises(ReceiverError):
        charge.charge()
    broken_receiver()
    sent_signals.clear()
    row = StripeCharge.objects.get(pk=charge.pk)

    row.send_due_signals()
    row.send_due_signals()

    assert sent_signals == ["succeeded"]
    assert list(StripeCharge.objects.with_signal_due()) == []


def test_a_signal_that_another_worker_has_sent_is_not_sent_again(
    charge, broken_receiver, sent_signals
):
    with pytest.raises(ReceiverError):
        charge.charge()
    broken_receiver()
    sent_signals.clear()
    rows = [StripeCharge.objects.get(pk=charge.pk) for _ in range(2)]

    for row in rows:
        row.send_due_signals()

    assert sent_signals == ["succeeded"]


@pytest.mark.django_db
@pytest.mark.parametrize("character", ["\0", "\ud800"], ids=["NUL", "half a surrogate pair"])
@pytest.mark.parametrize("card", ["tok_visa", "tok_chargeCustomerFail"])
def test_text_from_stripe_that_a_database_rejects_is_stored_escaped(fake, card, character):
    charge = make_charge(make_customer(card=card))
    for payment_method in fake.account.all("payment_method"):
        payment_method["billing_details"]["name"] = f"Jane{character}Doe"

    charge.charge()

    stored = StripeCharge.objects.get(pk=charge.pk)
    assert (stored.is_charged, stored.charge_attempt_failed) == (
        card == "tok_visa",
        card != "tok_visa",
    )
    assert f"Jane\\u{ord(character):04x}Doe" in texts_in(stored.stripe_response)


def texts_in(value):
    """Return all texts in JSON data, at any depth."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in texts_in(item)]
    return [value]
