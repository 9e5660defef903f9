"""A customer is created once, and no response that Stripe stores for a day blocks its row."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

from aa_stripe.models import StripeCustomer
from aa_stripe.models.keys import MOST_NUMBERED, create_with_new_key
from aa_stripe.testing import FakeStripe, Fault
from tests.support.builders import make_user
from tests.support.clock import let_pass
from tests.support.requests import calls, keys_of

CREATE = "POST /v1/customers"
CREATE_CARD = "POST /v1/payment_methods"
FIND_CARD = "GET /v1/payment_methods/*"
FIND = "GET /v1/customers/*"
SEARCH = "GET /v1/customers/search"
REFRESH = ["GET /v1/customers/*", "GET /v1/customers/*/payment_methods"]

ERRORS_500 = [Fault.ERROR_500_BEFORE, Fault.ERROR_500_AFTER]

pytestmark = pytest.mark.django_db


@pytest.fixture
def new(fake):
    """``new(id)`` returns a row that is not created at Stripe yet, with that card, or without."""

    def new(js_id=None):
        content = {"id": js_id} if js_id else {}
        return StripeCustomer.objects.create(user=make_user(), stripe_js_response=content)

    return new


@pytest.fixture
def card(fake):
    """The PaymentMethod of a card that was entered in a browser."""
    return stripe.PaymentMethod.create(type="card", card={"token": fake.create_token()}).id


def fail(row, error=stripe.StripeError):
    with pytest.raises(error):
        row.create_at_stripe()
    row.refresh_from_db()


def choose(row, js_id):
    row.stripe_js_response = {"id": js_id}
    row.save()


def rename(row):
    row.user.username += "-renamed"
    row.user.save()


def is_one(fake, row):
    """Return whether there is one customer at Stripe, and the row knows it."""
    [known] = fake.account.all("customer")
    return StripeCustomer.objects.get(pk=row.pk).stripe_customer_id == known["id"]


# Responses that Stripe stores


@pytest.mark.parametrize("fault", ERRORS_500)
@pytest.mark.parametrize("has_card", [True, False])
def test_a_500_does_not_block_the_next_call(new, fake, card, has_card, fault):
    row = new(card if has_card else None)
    fake.fail_next(CREATE, fault)
    fail(row)
    fake.advance(60)  # until the search finds it

    row.create_at_stripe()

    assert is_one(fake, row)


def test_a_customer_made_in_spite_of_a_500_is_found_by_its_card_at_once(new, fake, card):
    row = new(card)
    fake.fail_next(CREATE, Fault.ERROR_500_AFTER)
    fail(row)
    fake.requests.clear()

    row.create_at_stripe()

    assert calls(fake) == [CREATE, FIND_CARD, FIND, *REFRESH]
    assert is_one(fake, row)


def test_without_a_card_and_within_a_minute_there_may_be_a_second_customer(new, fake):
    row = new()
    fake.fail_next(CREATE, Fault.ERROR_500_AFTER)
    fail(row)

    row.create_at_stripe()

    assert len(fake.account.all("customer")) == 2
    assert row.stripe_customer_id == fake.account.all("customer")[-1]["id"]


def test_a_500_to_the_conversion_of_the_token_does_not_block_the_next_call(new, fake):
    row = new(fake.create_token())
    fake.fail_next(CREATE_CARD, Fault.ERROR_500_BEFORE)
    fail(row)

    row.create_at_stripe()

    assert is_one(fake, row)
    assert len(fake.account.all("payment_method")) == 1


@pytest.mark.parametrize("bad", ["pm_card_chargeDeclined", "pm_unknown"])
def test_another_card_can_be_used_after_a_refusal(new, fake, card, bad):
    row = new(bad)
    fail(row)
    choose(row, card)
    fake.requests.clear()

    row.create_at_stripe()

    assert calls(fake) == [CREATE, FIND_CARD, SEARCH, CREATE, *REFRESH]
    assert is_one(fake, row)
    assert row.default_source == card


def test_another_token_can_be_used_after_a_decline(new, fake):
    row = new("tok_chargeDeclined")
    fail(row, stripe.CardError)
    choose(row, fake.create_token())

    row.create_at_stripe()

    assert is_one(fake, row)


def test_the_customer_who_has_the_card_already_is_not_adopted(new, fake, card):
    stripe.Customer.create(payment_method=card)
    row = new(card)
    fake.advance(60)

    for _ in range(2):
        fail(row, stripe.InvalidRequestError)

    assert row.stripe_customer_id == ""


def test_any_number_of_refusals_blocks_nothing(new, fake, card):
    row = new("pm_unknown")
    for _ in range(MOST_NUMBERED + 2):
        fail(row, stripe.InvalidRequestError)
    fake.requests.clear()
    choose(row, card)

    row.create_at_stripe()

    assert is_one(fake, row)
    assert len(keys_of(fake, CREATE)) == MOST_NUMBERED + 1


def test_a_response_that_is_lost_after_a_stored_error_makes_no_second_customer(new, fake):
    row = new()
    fake.fail_next(CREATE, Fault.ERROR_500_BEFORE)
    fail(row)
    fake.before_request.append(lose_second_key(fake))
    fail(row)
    fake.before_request.clear()

    row.create_at_stripe()

    assert is_one(fake, row)


def lose_second_key(fake):
    def hook(request):
        if (request.idempotency_key or "").endswith("-1"):
            fake.fail_next(CREATE, Fault.ANSWER_LOST)

    return hook


def test_the_number_of_keys_that_are_tried_is_limited(new, fake):
    row = new()
    error = stripe.APIError("Again.", headers={"idempotent-replayed": "true"})
    tried = []

    def create(key):
        tried.append(key)
        raise error

    with pytest.raises(stripe.APIError):
        create_with_new_key(row.uuid, create)

    assert tried[:2] == [str(row.uuid), f"{row.uuid}-1"]
    assert len(tried) == len(set(tried)) == MOST_NUMBERED + 1


def test_a_card_posted_again_after_the_life_of_the_key_is_saved(fake, card):
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    user = make_user()
    with pytest.raises(stripe.APIConnectionError):
        StripeCustomer.get_or_create_at_stripe(user, {"id": card})
    let_pass(fake, timedelta(hours=25))

    row = StripeCustomer.get_or_create_at_stripe(user, {"id": card})

    assert is_one(fake, row)
    assert row.default_source == card


# Other parameters


@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.ANSWER_LOST])
def test_a_user_renamed_after_a_lost_response_has_one_customer(new, fake, card, fault):
    row = new(card)
    fake.fail_next(CREATE, fault)
    fail(row)
    rename(row)

    row.create_at_stripe()

    assert is_one(fake, row)


def test_a_renamed_user_with_a_token_has_one_customer_and_one_card(new, fake):
    row = new(fake.create_token())
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fail(row)
    rename(row)

    row.create_at_stripe()

    assert is_one(fake, row)
    assert len(row.sources) == 1


def test_a_renamed_user_without_a_card_has_one_customer(new, fake):
    row = new()
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fail(row)
    rename(row)
    fake.advance(60)

    row.create_at_stripe()

    assert is_one(fake, row)


def test_another_card_after_a_lost_response_becomes_the_default(new, fake, card):
    row = new("pm_card_mastercard")
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fail(row)
    choose(row, card)
    fake.advance(60)

    row.create_at_stripe()

    assert is_one(fake, row)
    assert row.default_source == card
    assert len(row.sources) == 2


def test_where_stripe_has_no_search_another_customer_is_created(new, fake):
    row = new()
    fake.fail_next(CREATE, Fault.ANSWER_LOST)
    fail(row)
    rename(row)
    fake.before_request.append(refuse_search)

    row.create_at_stripe()

    assert row.stripe_customer_id == fake.account.all("customer")[-1]["id"]


def refuse_search(request):
    if request.path.endswith("/search"):
        request.params["query"] = "nonsense"


def test_a_legacy_source_after_a_lost_response_is_not_taken_for_another_one(db):
    with FakeStripe(allow_card_tokens=True) as old_account:
        user = make_user()
        row = StripeCustomer.objects.create(user=user, stripe_js_response={"id": "src_unknown"})
        fail(row, stripe.InvalidRequestError)
        rename(row)

        fail(row, stripe.InvalidRequestError)

        assert SEARCH not in calls(old_account)
