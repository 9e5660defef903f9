"""A subscription is created exactly once, and an error of Stripe's never blocks it for a day."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import stripe
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from aa_stripe.exceptions import (
    StripeInProgress,
    StripeInternalError,
    StripeMethodNotAllowed,
    StripeNoActiveCustomer,
)
from aa_stripe.models import (
    StripeCoupon,
    StripeCustomer,
    StripeSubscription,
    StripeSubscriptionPlan,
    StripeWebhook,
)
from aa_stripe.models.claims import Claim
from aa_stripe.models.subscription import subscribe
from aa_stripe.testing import Fault, event
from aa_stripe.testing.http import faults
from aa_stripe.testing.http.response import Response
from tests.support.builders import make_customer, make_subscription, make_user
from tests.support.claims import hold, let_holder_die
from tests.support.clock import let_pass
from tests.support.requests import (
    arrive_late,
    before,
    calls,
    keys_of,
    refuse_next,
    requests_to,
    when_done,
)
from tests.support.statements import statements
from tests.support.threads import InThread

CREATE = "POST /v1/subscriptions"
LIST = "GET /v1/subscriptions"
SEARCH = "GET /v1/subscriptions/search"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

LOST = [Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.GARBAGE, Fault.RATE_LIMITED, Fault.CONFLICT]
ERRORS_500 = [Fault.ERROR_500_BEFORE, Fault.ERROR_500_AFTER]

pytestmark = pytest.mark.django_db


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(subscribe, "PATIENCE", 0)


def stored():
    return StripeSubscription.objects.get()


def create():
    """Create the subscription as another process does, later."""
    row = stored()
    row.create_at_stripe()
    return row


def fail(error=stripe.StripeError):
    with pytest.raises(error):
        create()


def is_one(fake):
    """Return whether there is one subscription at Stripe, and the row knows it and is settled."""
    [known] = fake.account.all("subscription")
    row = stored()
    is_free = (row.claim, row.claimed_until, row.is_unsettled) == ("", None, False)
    return row.stripe_subscription_id == known["id"] and is_free


def forget_requests(fake):
    fake.requests.clear()


# The cost


def test_a_new_row_costs_one_request(subscription, fake):
    forget_requests(fake)

    create()

    assert calls(fake) == [CREATE]
    assert is_one(fake)


def test_a_new_row_costs_seven_statements(subscription, fake):
    row = stored()
    with CaptureQueriesContext(connection) as captured:
        row.create_at_stripe()

    # Claim, read, the plan, the customer, renew, the customer of the response, record.
    assert len(statements(captured)) == 7


def test_no_transaction_is_open_while_stripe_is_asked(subscription, fake):
    seen = []
    depth = len(connection.savepoint_ids)
    fake.before_request.append(lambda request: seen.append(len(connection.savepoint_ids)))

    create()

    assert set(seen) == {depth}


# Responses that were lost


@pytest.mark.parametrize("hours", [0, 2, 25])
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_response_makes_no_second_subscription(subscription, fake, fault, hours):
    fake.fail_next(CREATE, fault)
    fail()
    assert stored().is_unsettled
    let_pass(fake, timedelta(hours=hours))

    create()

    assert is_one(fake)


def test_a_request_that_was_lost_is_repeated_with_the_same_key(subscription, fake):
    fake.fail_next(CREATE, Fault.REQUEST_LOST)
    fail()
    forget_requests(fake)

    create()

    assert calls(fake) == [LIST, SEARCH, CREATE]
    assert keys_of(fake, CREATE) == [f"{subscription.uuid}-0"]


def test_a_subscription_whose_response_was_lost_is_found_by_the_list(subscription, fake):
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fail()
    forget_requests(fake)

    create()

    assert calls(fake) == [LIST, SEARCH]
    assert is_one(fake)


@pytest.mark.parametrize("hours", [0, 2, 25])
def test_a_lost_subscription_is_found_though_the_row_was_edited(subscription, fake, hours):
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fail()
    let_pass(fake, timedelta(hours=hours))
    StripeSubscription.objects.update(metadata={"edited": "yes"})

    create()

    assert is_one(fake)


def test_a_lost_subscription_is_found_though_its_customer_was_deactivated(subscription, fake):
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fail()
    old = StripeCustomer.objects.get()
    StripeCustomer.objects.update(is_active=False)

    create()

    assert is_one(fake)
    assert stored().customer == old


def test_a_lost_subscription_has_the_customer_that_pays_it(subscription, fake):
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fail()
    payer = StripeCustomer.objects.get()
    make_customer(subscription.user)

    create()

    assert stored().customer == payer


def test_a_lost_subscription_is_found_though_the_user_was_changed(subscription, fake):
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fail()
    StripeSubscription.objects.update(user=make_customer().user)
    let_pass(fake, timedelta(minutes=2))  # until the search finds it

    create()

    assert is_one(fake)


def test_a_request_on_its_way_for_an_hour_makes_no_second_subscription(subscription, fake):
    fake.fail_next(CREATE, Fault.REQUEST_LOST)
    fail()
    [late] = requests_to(fake, CREATE)
    let_pass(fake, HOUR / 2)
    create()

    arrive_late(fake, late)

    assert is_one(fake)


# Errors that Stripe stores for a day


@pytest.mark.parametrize("fault", ERRORS_500)
def test_after_a_500_the_subscription_is_created_an_hour_later(subscription, fake, fault):
    fake.fail_next(CREATE, fault)
    fail()
    let_pass(fake, HOUR)

    create()

    assert is_one(fake)
    assert keys_of(fake, CREATE)[0] == f"{subscription.uuid}-0"


def test_a_subscription_is_found_at_once_after_a_500_that_took_effect(subscription, fake):
    fake.fail_next(CREATE, Fault.ERROR_500_AFTER)
    fail()
    forget_requests(fake)

    create()

    assert calls(fake) == [LIST, SEARCH]
    assert is_one(fake)


def test_within_an_hour_after_a_500_nothing_is_sent_that_could_bill_twice(subscription, fake):
    fake.fail_next(CREATE, Fault.ERROR_500_BEFORE)
    fail()
    forget_requests(fake)

    fail(StripeInternalError)

    assert calls(fake) == [LIST, SEARCH]
    assert stored().claim == ""


def test_any_error_that_stripe_repeats_blocks_for_an_hour_only(subscription, fake, monkeypatch):
    monkeypatch.setattr(faults, "error_500", lambda: Response.of(503, {"error": {}}))
    fake.fail_next(CREATE, Fault.ERROR_500_BEFORE)
    fail()
    let_pass(fake, HOUR)
    fail()  # Stripe repeats the error: only now it is known to be stored
    let_pass(fake, HOUR)

    create()

    assert is_one(fake)


def test_a_second_500_is_waited_for_as_well(subscription, fake):
    for _ in range(2):
        fake.fail_next(CREATE, Fault.ERROR_500_BEFORE)
        fail(stripe.APIError)
        fail(StripeInternalError)
        let_pass(fake, HOUR)

    create()

    assert is_one(fake)
    assert keys_of(fake, CREATE) == [f"{subscription.uuid}-{number}" for number in range(3)]


def test_a_plan_unknown_at_stripe_is_no_obstacle_once_it_is_created(subscription, fake):
    StripeSubscriptionPlan.objects.update(stripe_plan_id="later")
    fail(stripe.InvalidRequestError)
    stripe.Plan.create(
        id="later", amount=100, currency="usd", interval="month", product={"name": "gold"}
    )
    forget_requests(fake)

    create()

    assert calls(fake) == [CREATE]
    assert is_one(fake)


def test_another_customer_pays_at_once_if_the_first_is_gone_at_stripe(subscription, fake):
    gone = StripeCustomer.objects.get()
    fake.dashboard_delete_customer(gone.stripe_customer_id)
    fail(StripeNoActiveCustomer)
    newer = make_customer(subscription.user)
    forget_requests(fake)

    create()

    assert calls(fake) == [CREATE]
    assert is_one(fake)
    assert stored().customer == newer


@pytest.mark.parametrize("is_lost_first", [False, True])
def test_another_card_pays_at_once_after_a_decline(db, fake, settings, is_lost_first):
    settings.STRIPE_SUBSCRIPTION_PAYMENT_BEHAVIOR = "error_if_incomplete"
    subscription = make_subscription(card="tok_chargeCustomerFail")
    if is_lost_first:  # a decline under the same key is final for the lost request as well
        fake.fail_next(CREATE, Fault.REQUEST_LOST)
        fail(stripe.APIConnectionError)
    fail(stripe.CardError)
    subscription.user.stripe_customers.get().add_new_source("tok_visa")
    forget_requests(fake)

    create()

    assert calls(fake) == [CREATE]
    assert is_one(fake)


def test_a_refusal_whose_response_was_lost_is_final_once_stripe_repeats_it(subscription, fake):
    fake.dashboard_delete_customer(StripeCustomer.objects.get().stripe_customer_id)
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fail(stripe.APIConnectionError)
    fail(StripeNoActiveCustomer)
    assert not stored().is_unsettled
    make_customer(subscription.user)

    create()

    assert is_one(fake)


@pytest.mark.parametrize("key", ["revoked_key", ""])
def test_a_rejected_api_key_leaves_the_row_settled(subscription, fake, settings, key):
    with_key, settings.STRIPE_API_KEY = settings.STRIPE_API_KEY, key
    fail(stripe.AuthenticationError)
    settings.STRIPE_API_KEY = with_key
    forget_requests(fake)

    create()

    assert calls(fake) == [CREATE]
    assert is_one(fake)


def test_a_refusal_says_nothing_about_an_earlier_request_on_its_way(subscription, fake):
    fake.fail_next(CREATE, Fault.REQUEST_LOST)
    fail()
    [late] = requests_to(fake, CREATE)
    refuse_next(fake, CREATE)
    fail(stripe.InvalidRequestError)
    assert stored().is_unsettled

    fail(StripeInternalError)  # instead of another key
    arrive_late(fake, late)
    create()

    assert is_one(fake)


def test_a_key_used_for_other_parameters_is_replaced_an_hour_later(subscription, fake):
    stripe.Subscription.create(
        customer=StripeCustomer.objects.get().stripe_customer_id,
        items=[{"price": subscription.plan.stripe_plan_id}],
        idempotency_key=f"{subscription.uuid}-0",
    )
    fail(stripe.IdempotencyError)
    fail(StripeInternalError)
    let_pass(fake, HOUR)

    create()

    assert len(fake.account.all("subscription")) == 2
    assert stored().is_created_at_stripe


def test_the_subscription_of_an_old_process_is_found_though_the_row_was_edited(subscription, fake):
    old = stripe.Subscription.create(
        customer=StripeCustomer.objects.get().stripe_customer_id,
        items=[{"price": subscription.plan.stripe_plan_id}],
        metadata={subscribe.UUID_KEY: str(subscription.uuid)},
        idempotency_key=f"{subscription.uuid}-0",
    )

    assert create().stripe_subscription_id == old.id
    assert is_one(fake)


@pytest.mark.parametrize("fault", [Fault.ERROR_500_BEFORE, Fault.REQUEST_LOST])
def test_a_subscription_that_cannot_be_read_is_stored_as_it_was_created(subscription, fake, fault):
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fail()
    StripeSubscription.objects.update(is_unsettled=False)  # as an old process has left it
    fake.fail_next("GET /v1/subscriptions/*", fault)

    create()

    assert is_one(fake)


# Several processes


@pytest.mark.parametrize("when", [before, when_done])
def test_creating_twice_at_once_makes_one_subscription(subscription, fake, impatient, when):
    when(fake, CREATE, lambda: fail(StripeInProgress))

    create()

    assert is_one(fake)


@pytest.mark.django_db(transaction=True)
def test_a_call_waits_for_the_process_that_creates_the_subscription(transactional_db, fake):
    row = make_subscription()
    fake.fail_next(CREATE, Fault.SLOW, seconds=0.3)
    forget_requests(fake)
    threads = [InThread(StripeSubscription.objects.get(pk=row.pk).create_at_stripe) for _ in "123"]

    outcomes = []
    for thread in threads:
        try:
            outcomes.append(thread.join().id)
        except StripeMethodNotAllowed:
            outcomes.append(None)

    assert outcomes.count(None) == 2
    assert calls(fake) == [CREATE]
    assert is_one(fake)


def test_a_row_that_another_process_holds_sends_nothing(subscription, fake, impatient):
    hold(subscription)
    forget_requests(fake)

    fail(StripeInProgress)

    assert calls(fake) == []


def test_a_row_whose_holder_died_is_looked_for_first(subscription, fake):
    let_holder_die(subscription)
    forget_requests(fake)

    create()

    assert calls(fake) == [LIST, SEARCH, CREATE]
    assert is_one(fake)


def test_a_row_that_is_created_meanwhile_raises(subscription, fake, monkeypatch):
    create()

    with pytest.raises(StripeMethodNotAllowed, match="Already created"):
        subscription.create_at_stripe()

    assert is_one(fake)


def test_an_interrupted_call_gives_the_row_back_unsettled(subscription, fake):
    def interrupt():
        raise KeyboardInterrupt

    when_done(fake, CREATE, interrupt)
    with pytest.raises(KeyboardInterrupt):
        create()
    assert (stored().claim, stored().is_unsettled) == ("", True)

    create()

    assert is_one(fake)


def test_a_row_whose_response_could_not_be_written_is_free_at_once(
    subscription, fake, impatient, monkeypatch
):
    def fails(claim, values):
        raise OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(Claim, "conclude", fails)
        fail(OperationalError)

    create()

    assert is_one(fake)


def test_a_row_without_a_customer_is_given_back_settled(plan, fake):
    StripeSubscription.objects.create(user=make_user(), plan=plan)

    fail(StripeMethodNotAllowed)

    assert (stored().claim, stored().is_unsettled) == ("", False)


@pytest.mark.parametrize("hours", [0, 25])
def test_a_rolled_back_creation_is_found(subscription, fake, settings, hours):
    settings.STRIPE_TRANSACTIONS = "allow"
    with transaction.atomic():
        create()
        transaction.set_rollback(True)
    assert not stored().is_created_at_stripe
    let_pass(fake, timedelta(hours=hours))

    create()

    assert is_one(fake)


def test_a_creation_after_a_refusal_is_found_though_both_were_rolled_back(
    subscription, fake, settings
):
    settings.STRIPE_TRANSACTIONS = "allow"
    with transaction.atomic():
        refuse_next(fake, CREATE)
        fail(stripe.InvalidRequestError)
        create()
        transaction.set_rollback(True)

    create()

    assert is_one(fake)


# Webhooks


def apply(type, about):
    received = event(type, about)
    StripeWebhook.objects.create(id=received["id"], raw_data=received)


def test_what_a_webhook_writes_before_the_response_is_not_overwritten(subscription, fake):
    def cancel():
        [known] = fake.account.all("subscription")
        stripe.Subscription.cancel(known["id"])
        apply("customer.subscription.deleted", known)

    when_done(fake, CREATE, cancel)

    row = create()

    assert row.status == stored().status == "canceled"
    assert is_one(fake)


def test_a_row_that_a_webhook_completes_before_the_request_is_created(subscription, fake):
    fake.fail_next(CREATE, Fault.REQUEST_LOST)
    fail()
    [late] = requests_to(fake, CREATE)

    def arrive():
        arrive_late(fake, late)
        apply("customer.subscription.created", fake.account.all("subscription")[0])

    when_done(fake, SEARCH, arrive)

    fail(StripeMethodNotAllowed)

    assert is_one(fake)


# Coupons


def test_a_deleted_coupon_does_not_give_the_discount_of_another_with_its_id(fake):
    coupon = StripeCoupon(coupon_id="SALE", duration="once", percent_off=10)
    coupon.save()
    make_subscription(coupon=coupon)
    coupon.delete()
    fake.advance(5)
    StripeCoupon(coupon_id="SALE", duration="forever", percent_off=90).save()

    fail(StripeMethodNotAllowed)

    assert fake.account.all("subscription") == []


# Tax rates


@pytest.mark.parametrize("fault", [*ERRORS_500, *LOST])
def test_a_failed_tax_rate_leaves_the_row_settled_and_is_created_once(db, fake, fault):
    make_subscription(tax_percent=Decimal("19"))
    fake.fail_next("POST /v1/tax_rates", fault)
    fail()
    assert not stored().is_unsettled

    create()

    assert is_one(fake)
    assert len(fake.account.all("tax_rate")) == 1
