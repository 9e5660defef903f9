"""Stripe's test cards: their behaviour and their names.

https://docs.stripe.com/testing lists them. Names that begin with ``fake`` are not Stripe's.
"""

from __future__ import annotations

from aa_stripe.testing.base.refusals import card_error
from aa_stripe.testing.cards.card import Authentication, Decline, RefundOutcome, TestCard

GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
INSUFFICIENT = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
LOST = Decline("card_declined", "lost_card", "Your card was declined.")
STOLEN = Decline("card_declined", "stolen_card", "Your card was declined.")
VELOCITY = Decline(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount "
    "limit.",
)
EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.", "exp_month")
INCORRECT_CVC = Decline(
    "incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.", "cvc"
)
PROCESSING_ERROR = Decline(
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
)

CARDS = (
    TestCard("4242424242424242"),
    TestCard("4000056655665556", funding="debit"),
    TestCard("5555555555554444", "mastercard"),
    TestCard("2223003122003222", "mastercard"),
    TestCard("5200828282828210", "mastercard", "debit"),
    TestCard("5105105105105100", "mastercard", "prepaid"),
    TestCard("378282246310005", "amex"),
    TestCard("371449635398431", "amex"),
    TestCard("6011111111111117", "discover"),
    TestCard("3056930009020004", "diners"),
    TestCard("3566002020360505", "jcb"),
    TestCard("6200000000000005", "unionpay"),
    TestCard("4000000000000077"),
    # Declined when they are saved, and when they are charged.
    TestCard("4000000000000002", decline=GENERIC, attaches=False),
    TestCard("4000000000009995", decline=INSUFFICIENT, attaches=False),
    TestCard("4000000000009987", decline=LOST, attaches=False),
    TestCard("4000000000009979", decline=STOLEN, attaches=False),
    TestCard("4000000000000069", decline=EXPIRED, attaches=False),
    TestCard("4000000000000127", decline=INCORRECT_CVC, attaches=False),
    TestCard("4000000000000119", decline=PROCESSING_ERROR, attaches=False),
    TestCard("4000000000006975", decline=VELOCITY, attaches=False),
    # Can be saved; declined when it is charged.
    TestCard("4000000000000341", decline=GENERIC),
    # 3-D Secure.
    TestCard("4000002500003155", authentication=Authentication.UNLESS_SET_UP),
    TestCard("4000002760003184", authentication=Authentication.ALWAYS),
    TestCard("4000003800000446", authentication=Authentication.ON_SESSION),
    TestCard("4000000000003220", authentication=Authentication.ALWAYS),
    TestCard("4000000000003063", authentication=Authentication.ALWAYS),
    TestCard("4000000000003055"),
    TestCard("4000008260003178", decline=INSUFFICIENT, authentication=Authentication.ALWAYS),
    TestCard("4000008400001629", decline=GENERIC, authentication=Authentication.ALWAYS),
    # Refunds that start as pending or fail later.
    TestCard("4000000000007726", refund=RefundOutcome.PENDING),
    TestCard("4000000000005126"),
    # Not one of Stripe's: its payments stay in processing.
    TestCard("4000000000008831", delayed=True),
)

NUMBERS = {card.number: card for card in CARDS}

NAMES = {
    "visa": "4242424242424242",
    "visa_debit": "4000056655665556",
    "mastercard": "5555555555554444",
    "mastercard_debit": "5200828282828210",
    "mastercard_prepaid": "5105105105105100",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "diners": "3056930009020004",
    "jcb": "3566002020360505",
    "unionpay": "6200000000000005",
    "bypassPending": "4000000000000077",
    "chargeDeclined": "4000000000000002",
    "chargeDeclinedInsufficientFunds": "4000000000009995",
    "chargeDeclinedLostCard": "4000000000009987",
    "chargeDeclinedStolenCard": "4000000000009979",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedIncorrectCvc": "4000000000000127",
    "chargeDeclinedProcessingError": "4000000000000119",
    "chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "chargeCustomerFail": "4000000000000341",
    "authenticationRequiredOnSetup": "4000002500003155",
    "authenticationRequired": "4000002760003184",
    "authenticationRequiredSetupForOffSession": "4000003800000446",
    "authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
    "threeDSecure2Required": "4000000000003220",
    "threeDSecureRequired": "4000000000003063",
    "threeDSecureOptional": "4000000000003055",
    "threeDSecureRequiredChargeDeclined": "4000008400001629",
    "pendingRefund": "4000000000007726",
    "refundFail": "4000000000005126",
    "fakeProcessing": "4000000000008831",
}

NAMES.update(
    {f"visa_{name}": number for name, number in NAMES.items() if name.startswith("chargeDecl")}
)

TOKENS = {f"tok_{name}": NUMBERS[number] for name, number in NAMES.items()}
"""Predefined tokens; each can be used any number of times."""

PAYMENT_METHODS = {f"pm_card_{name}": NUMBERS[number] for name, number in NAMES.items()}
"""Predefined payment methods; each use creates a new payment method."""


def by_number(number: str) -> TestCard:
    """Return the test card with that number; raise Stripe's ``Refusal`` if there is none."""
    digits = number.replace(" ", "")
    if digits in NUMBERS:
        return NUMBERS[digits]
    if not _is_well_formed(digits):
        raise card_error("Your card number is incorrect.", code="incorrect_number", param="number")
    raise card_error(
        "Your card was declined. Your request was in test mode, but used a non test card. For a "
        "list of valid test cards, visit: https://stripe.com/docs/testing.",
        code="card_declined",
        decline_code="test_mode_live_card",
    )


def _is_well_formed(digits: str) -> bool:
    """Return whether the number has a valid Luhn checksum."""
    if not digits.isdecimal():
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
