"""3-D Secure: when a card requires it, and the state of an intent that waits for it."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.cards.card import Authentication, TestCard


def requires_authentication(
    account: Account, card: TestCard, method: JSON, *, off_session: bool
) -> bool:
    """Return whether the cardholder has to authenticate before the payment."""
    if card.authentication is Authentication.UNLESS_SET_UP:
        return method["id"] not in account.authenticated
    if card.authentication is Authentication.ON_SESSION:
        return not off_session
    return card.authentication is Authentication.ALWAYS


def request_authentication(intent: JSON, method: JSON) -> None:
    """Set an intent (of either kind) to wait for the cardholder."""
    intent.update(
        status="requires_action",
        payment_method=method["id"],
        next_action={
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect"},
        },
    )
