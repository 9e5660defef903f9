from __future__ import annotations

import pytest
import stripe

from aa_stripe.testing.cards.catalog import CARDS, NAMES, by_number


def created(api, **card):
    params = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, **card}
    return api.payment_methods.create({"type": "card", "card": params})


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.number)
def test_every_card_is_found_by_its_number(card):
    assert by_number(card.number) is card


def test_a_name_identifies_a_token_and_a_payment_method(api):
    for name in NAMES:
        method = api.payment_methods.retrieve(f"pm_card_{name}")
        token = api.payment_methods.create({"type": "card", "card": {"token": f"tok_{name}"}})

        assert method.card.fingerprint == token.card.fingerprint


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ({"number": "4242424242424241"}, "incorrect_number", None),
        ({"number": "hello"}, "incorrect_number", None),
        ({"number": "4111111111111111"}, "card_declined", "test_mode_live_card"),
        ({"exp_month": 13}, "invalid_expiry_month", None),
        ({"exp_year": 2020}, "invalid_expiry_year", None),
    ],
)
def test_a_card_with_invalid_details_is_refused(api, card, code, decline_code):
    with pytest.raises(stripe.CardError) as caught:
        created(api, **card)

    assert caught.value.code == code
    assert caught.value.error.decline_code == decline_code
