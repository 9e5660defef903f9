"""Rows of customers that changed at Stripe without a webhook: their cards, and deleted ones."""

from __future__ import annotations

import pytest
import stripe

from aa_stripe.exceptions import StripeInternalError, StripeNoActiveCustomer
from aa_stripe.jobs import charge_one, charge_pending
from aa_stripe.models import StripeCharge, StripeCustomer
from aa_stripe.testing import FakeStripe, Fault
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.clock import make_due
from tests.support.payments import (
    CONFIRM,
    CREATE,
    RETRIEVE,
    intent_of,
    lose_response,
    paid,
    payer_of,
)
from tests.support.processes import Killed
from tests.support.requests import before, calls, keys_of, when_done
from tests.support.rows import row_of

pytestmark = pytest.mark.django_db

CUSTOMER = "GET /v1/customers/*"
METHODS = "GET /v1/customers/*/payment_methods"

DECLINES = "pm_card_chargeCustomerFail"
BANK = "pm_card_fakeProcessing"

#: The ways in which a pending row is collected.
WAYS = [
    pytest.param(lambda charge: row_of(charge).charge(), id="charge()"),
    pytest.param(lambda charge: charge_pending(), id="charge_stripe"),
    pytest.param(lambda charge: charge_one(charge.pk), id="a queue"),
]


def attach(customer, card="pm_card_mastercard"):
    """Attach a card at Stripe; return its id."""
    return stripe.PaymentMethod.attach(card, customer=customer.stripe_customer_id).id


def make_default(customer, method_id):
    """Make it the default at Stripe; with ``""`` there is none."""
    settings = {"default_payment_method": method_id}
    stripe.Customer.modify(customer.stripe_customer_id, invoice_settings=settings)


def replace(customer, card="pm_card_mastercard"):
    """Make another card the default at Stripe; the old one stays attached. Return its id."""
    method_id = attach(customer, card)
    make_default(customer, method_id)
    return method_id


def detach(customer):
    """Remove the default card at Stripe, which then has no default."""
    stripe.PaymentMethod.detach(customer.default_source)


def forget_cards(customer):
    """Make the row one that was never refreshed."""
    StripeCustomer.objects.filter(pk=customer.pk).update(default_source="", sources=[])


def cards_of_attempts(fake):
    """Return the payment methods of the payments that succeeded or were declined."""
    return [made["payment_method"] for made in fake.account.all("charge")]


# The default was removed


@pytest.mark.parametrize("collect", WAYS)
def test_a_removed_card_is_replaced_by_the_default_at_stripe(customer, charge, fake, collect):
    new = replace(customer)
    detach(customer)
    fake.requests.clear()

    collect(charge)

    assert row_of(charge).is_charged
    assert row_of(customer).default_source == new
    assert row_of(customer).source_ids == {new}
    assert calls(fake) == [CREATE, CONFIRM, CUSTOMER, METHODS, RETRIEVE, CONFIRM]
    assert len(set(keys_of(fake, CONFIRM))) == 2
    assert len(paid(fake)) == 1


@pytest.mark.parametrize("collect", WAYS)
def test_a_card_removed_between_two_attempts_is_replaced(customer, charge, fake, collect):
    lose_response(fake, charge, Fault.REQUEST_LOST)
    new = replace(customer)
    detach(customer)
    make_due()
    fake.requests.clear()

    collect(charge)

    assert row_of(charge).is_charged
    assert cards_of_attempts(fake) == [new]
    assert calls(fake).count(CUSTOMER) == 1


def test_a_row_without_a_card_is_refreshed_once(customer, charge, fake):
    new = replace(customer)
    detach(customer)
    forget_cards(customer)
    fake.requests.clear()

    charge.charge()

    assert cards_of_attempts(fake) == [new]
    assert calls(fake) == [CREATE, CUSTOMER, METHODS, CONFIRM]


@pytest.mark.parametrize("has_another", [True, False])
@pytest.mark.parametrize("is_known", [True, False])
def test_without_a_default_the_payment_fails_after_one_refresh(
    customer, charge, fake, sent_signals, has_another, is_known
):
    others = {attach(customer)} if has_another else set()
    detach(customer)
    if not is_known:
        forget_cards(customer)
    fake.requests.clear()

    assert charge.charge() is None

    assert row_of(charge).charge_attempt_failed
    assert row_of(charge).failure_code == "payment_intent_unexpected_state"
    assert "missing a payment method" in row_of(charge).stripe_response["error"]["message"]
    assert not row_of(charge).is_unsettled
    assert sent_signals == ["card_exception"]
    assert (row_of(customer).default_source, row_of(customer).source_ids) == ("", others)
    assert calls(fake).count(CUSTOMER) == calls(fake).count(METHODS) == 1


def test_later_attempts_without_a_default_fail_in_the_same_way(
    customer, charge, fake, sent_signals
):
    detach(customer)
    charge.charge()

    for _ in range(2):
        fake.requests.clear()
        row_of(charge).charge()
        assert calls(fake) == [RETRIEVE, CUSTOMER, METHODS, CONFIRM]
        assert row_of(charge).failure_code == "payment_intent_unexpected_state"
    fake.requests.clear()
    charge_pending()  # which skips a failed row

    assert calls(fake) == []
    assert sent_signals == ["card_exception"] * 3


def test_a_charge_that_failed_without_a_default_is_paid_once_there_is_one(customer, charge, fake):
    detach(customer)
    charge.charge()
    new = replace(customer)

    assert row_of(charge).charge() is not None

    assert cards_of_attempts(fake) == [new]
    assert row_of(charge).failure_code == ""


def test_a_legacy_card_that_was_removed_is_replaced_by_the_default(db):
    with FakeStripe(allow_card_tokens=True) as old_account:
        known = stripe.Customer.create(source="tok_visa")
        customer = StripeCustomer.objects.create(user=make_user(), stripe_customer_id=known.id)
        customer.refresh_from_stripe()
        new = replace(customer)
        stripe.Customer.delete_source(known.id, customer.default_source)
        charge = make_charge(customer)

        charge.charge()

        assert row_of(charge).is_charged
        assert cards_of_attempts(old_account) == [new]


# The default was replaced, and the old one is declined


@pytest.fixture
def outdated(customer):
    """A customer whose default is declined, and who has another card."""
    replace(customer, DECLINES)
    customer.refresh_from_stripe()
    return row_of(customer)


@pytest.mark.parametrize("collect", WAYS)
def test_after_a_decline_the_new_default_pays_once(outdated, charge, fake, sent_signals, collect):
    new = replace(outdated)
    fake.requests.clear()

    collect(charge)

    row = row_of(charge)
    assert (row.is_charged, row.charge_attempt_failed, row.failure_code) == (True, False, "")
    assert cards_of_attempts(fake) == [outdated.default_source, new]
    assert calls(fake) == [CREATE, CONFIRM, CUSTOMER, METHODS, RETRIEVE, CONFIRM]
    assert len(set(keys_of(fake, CONFIRM))) == 2
    assert len(paid(fake)) == 1
    assert sent_signals == ["succeeded"]
    assert row_of(outdated).default_source == new


def test_a_new_default_that_the_row_knows_is_not_listed_again(outdated, charge, fake):
    [known] = outdated.source_ids - {outdated.default_source}
    make_default(outdated, known)
    fake.requests.clear()

    charge.charge()

    assert cards_of_attempts(fake) == [outdated.default_source, known]
    assert METHODS not in calls(fake)


def test_two_cards_at_most_are_tried(outdated, charge, fake, sent_signals):
    new = replace(outdated, DECLINES)
    before(fake, RETRIEVE, lambda: replace(outdated))  # one more, too late for this attempt
    fake.requests.clear()

    assert charge.charge() is None

    row = row_of(charge)
    assert (row.charge_attempt_failed, row.failure_code) == (True, "card_declined")
    assert row.stripe_response["error"]["payment_method"]["id"] == new
    assert cards_of_attempts(fake) == [outdated.default_source, new]
    assert calls(fake).count(CUSTOMER) == 1
    assert sent_signals == ["card_exception"]


def test_the_card_of_the_row_is_charged_if_stripe_accepts_it(customer, charge, fake):
    replace(customer)
    fake.requests.clear()

    charge.charge()

    assert cards_of_attempts(fake) == [customer.default_source]
    assert calls(fake) == [CREATE, CONFIRM]


@pytest.mark.parametrize("has_default", [True, False])
def test_a_decline_is_final_if_there_is_no_other_default(
    outdated, charge, fake, sent_signals, has_default
):
    if not has_default:
        make_default(outdated, "")
    fake.requests.clear()

    assert charge.charge() is None

    assert row_of(charge).failure_code == "card_declined"
    assert calls(fake) == [CREATE, CONFIRM, CUSTOMER]
    assert sent_signals == ["card_exception"]


@pytest.mark.parametrize(
    "fault", [Fault.ERROR_500_BEFORE, Fault.RATE_LIMITED, Fault.REQUEST_LOST, Fault.GARBAGE]
)
def test_a_decline_is_final_if_the_customer_cannot_be_read(
    outdated, charge, fake, sent_signals, fault, caplog
):
    replace(outdated)
    fake.fail_next(CUSTOMER, fault, times=3)

    assert charge.charge() is None

    assert row_of(charge).failure_code == "card_declined"
    assert sent_signals == ["card_exception"]
    assert "could not be refreshed" in caplog.text


def test_the_next_charge_after_a_decline_reads_the_default_again(outdated, charge, fake):
    charge.charge()
    new = replace(outdated)

    assert row_of(charge).charge() is not None

    assert cards_of_attempts(fake) == [outdated.default_source] * 2 + [new]


def test_a_lost_decline_is_not_reported_if_the_new_default_pays(
    outdated, charge, fake, sent_signals
):
    lose_response(fake, charge)
    new = replace(outdated)
    make_due()

    charge_pending()

    assert row_of(charge).is_charged
    assert cards_of_attempts(fake) == [outdated.default_source, new]
    assert sent_signals == ["succeeded"]


def test_a_lost_decline_of_a_row_that_is_manual_now_is_recorded_and_nothing_is_paid(
    outdated, charge, fake, sent_signals
):
    lose_response(fake, charge)
    replace(outdated)
    StripeCharge.objects.update(is_manual_charge=True)
    make_due()
    fake.requests.clear()

    charge_pending()

    assert calls(fake) == [RETRIEVE]
    assert row_of(charge).failure_code == "card_declined"
    assert sent_signals == ["card_exception"]


@pytest.mark.parametrize("endpoint", [CUSTOMER, RETRIEVE])
def test_a_process_that_dies_before_the_new_default_pays_leaves_the_row_pending(
    outdated, charge, fake, sent_signals, endpoint
):
    def die():
        raise Killed

    new = replace(outdated)
    when_done(fake, endpoint, die)
    with pytest.raises(Killed):
        charge.charge()
    make_due()

    charge_pending()

    assert row_of(charge).is_charged
    assert cards_of_attempts(fake) == [outdated.default_source, new]
    assert sent_signals == ["succeeded"]


def test_the_lost_response_of_the_new_default_is_settled_later(outdated, charge, fake):
    replace(outdated)
    before(fake, RETRIEVE, lambda: fake.fail_next(CONFIRM, Fault.ANSWER_LOST))
    with pytest.raises(StripeInternalError):
        charge.charge()
    assert row_of(charge).is_unsettled
    make_due()

    charge_pending()

    assert row_of(charge).is_charged
    assert len(paid(fake)) == 1


def test_a_card_that_needs_authentication_is_replaced_by_the_new_default(
    customer, charge, fake, sent_signals
):
    required = replace(customer, "pm_card_authenticationRequired")
    customer.refresh_from_stripe()
    new = replace(customer)

    charge.charge()

    assert customer.default_source == required
    assert row_of(charge).is_charged
    assert intent_of(fake, row_of(charge))["payment_method"] == new
    assert sent_signals == ["succeeded"]


@pytest.mark.parametrize("succeeds", [True, False])
def test_the_new_default_may_be_decided_by_a_bank_later(
    outdated, charge, fake, sent_signals, succeeds
):
    replace(outdated, BANK)
    assert charge.charge() is None
    charge_pending()  # nothing is due
    assert (row_of(charge).is_unsettled, sent_signals) == (True, [])
    fake.settle(row_of(charge).stripe_payment_intent_id, succeed=succeeds)
    make_due()

    charge_pending()

    assert row_of(charge).is_charged is succeeds
    assert row_of(charge).charge_attempt_failed is not succeeds
    assert sent_signals == ["succeeded" if succeeds else "card_exception"]
    assert len(fake.account.all("payment_intent")) == 1


def test_a_default_that_a_bank_has_refused_is_replaced_by_the_new_one(
    customer, charge, fake, sent_signals
):
    replace(customer, BANK)
    customer.refresh_from_stripe()
    charge.charge()
    fake.settle(row_of(charge).stripe_payment_intent_id, succeed=False)
    new = replace(customer)
    make_due()

    charge_pending()

    assert row_of(charge).is_charged
    assert intent_of(fake, row_of(charge))["payment_method"] == new
    assert sent_signals == ["succeeded"]
    assert len(paid(fake)) == 1


# The customer was deleted


@pytest.mark.parametrize("has_another", [True, False])
def test_a_customer_deleted_before_its_default_is_read_becomes_inactive(
    customer, charge, fake, sent_signals, has_another
):
    forget_cards(customer)
    other = make_customer(charge.user) if has_another else None
    if other is not None:
        StripeCustomer.objects.filter(pk=other.pk).update(is_active=False)
    deleted = payer_of(charge)

    def delete():
        stripe.Customer.delete(deleted.stripe_customer_id)
        StripeCustomer.objects.exclude(pk=deleted.pk).update(is_active=True)

    before(fake, CUSTOMER, delete)
    if other is None:
        with pytest.raises(StripeNoActiveCustomer):
            charge.charge()
    else:
        charge.charge()

    assert not row_of(deleted).is_active
    assert row_of(charge).is_charged is has_another
    assert not row_of(charge).charge_attempt_failed
    assert sent_signals == (["succeeded"] if has_another else [])


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("has_another", [True, False])
def test_a_customer_deleted_between_two_attempts_becomes_inactive(
    customer, fake, sent_signals, has_another, is_known
):
    newest = make_customer(customer.user)
    charge = make_charge(newest)
    lose_response(fake, charge, Fault.REQUEST_LOST)
    stripe.Customer.delete(newest.stripe_customer_id)
    if not is_known:
        forget_cards(newest)
    StripeCustomer.objects.filter(pk=customer.pk).update(is_active=has_another)

    if has_another:
        row_of(charge).charge()
    else:
        with pytest.raises(StripeNoActiveCustomer):
            row_of(charge).charge()

    assert not row_of(newest).is_active
    assert row_of(charge).is_charged is has_another
    assert not row_of(charge).charge_attempt_failed
    assert len(paid(fake)) == has_another
