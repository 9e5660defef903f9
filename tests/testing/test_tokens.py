from __future__ import annotations

import pytest
import stripe

from aa_stripe.testing import Refusal


def use(api, token):
    return api.payment_methods.create({"type": "card", "card": {"token": token}})


def test_a_token_can_become_a_payment_method_once(fake, api):
    token = fake.create_token("5555555555554444")

    assert use(api, token).card.brand == "mastercard"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        use(api, token)
    assert caught.value.code == "token_already_used"


def test_a_test_token_can_be_used_several_times(api):
    assert use(api, "tok_visa").id != use(api, "tok_visa").id


def test_an_unknown_token_is_refused(api):
    with pytest.raises(stripe.InvalidRequestError, match="No such token: 'tok_none'") as caught:
        use(api, "tok_none")

    assert (caught.value.http_status, caught.value.param) == (400, "card[token]")


def test_a_token_is_created_from_a_card_number(api):
    token = api.tokens.create(
        {"card": {"number": "4242 4242 4242 4242", "exp_month": "12", "exp_year": "2040"}}
    )

    found = api.tokens.retrieve(token.id)
    method = use(api, token.id)

    assert (token.object, token.type, found.used) == ("token", "card", False)
    assert token.card.last4 == "4242"
    assert (method.card.exp_month, method.card.exp_year) == (12, 2040)
    assert api.tokens.retrieve(token.id).used


@pytest.mark.parametrize("params", [{}, {"card": "card_1"}])
def test_a_token_cannot_be_created_from_anything_else(api, params):
    with pytest.raises(stripe.InvalidRequestError):
        api.tokens.create(params)


def test_a_number_that_is_not_a_test_cards_is_refused(fake):
    with pytest.raises(Refusal, match="Your card number is incorrect"):
        fake.create_token("4242424242424241")
