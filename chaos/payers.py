"""The payers and what they owe."""

from __future__ import annotations

from random import Random

from django.contrib.auth import get_user_model

from aa_stripe.models import StripeCharge, StripeCustomer

ROWS_EACH = 5

#: The cards, as often as they occur.
CARDS = [
    *["visa"] * 5,
    *["mastercard"] * 2,
    "pendingRefund",
    "chargeCustomerFail",
    "authenticationRequired",
    *["fakeProcessing"] * 2,
]

CURRENCIES = ["usd", "eur"]


def create(rows: int, chance: Random) -> None:
    """Create that many charges, and users with a card who are to pay them."""
    user_model = get_user_model()
    names = [f"payer{number}" for number in range(max(2, rows // ROWS_EACH))]
    users = user_model.objects.bulk_create(user_model(username=name) for name in names)
    for user in users:
        card = {"id": a_card(chance)}
        StripeCustomer(user=user, stripe_js_response=card).create_at_stripe()
    StripeCharge.objects.bulk_create(
        StripeCharge(
            user=chance.choice(users), amount=an_amount(chance), currency=a_currency(chance)
        )
        for _ in range(rows)
    )


def a_card(chance: Random) -> str:
    return f"pm_card_{chance.choice(CARDS)}"


def an_amount(chance: Random) -> int:
    return chance.randrange(10_00, 100_00)


def a_currency(chance: Random) -> str:
    return chance.choice(CURRENCIES)
