"""3-D Secure: the cardholder's actions in the browser."""

from __future__ import annotations

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import Refusal, invalid
from aa_stripe.testing.payments import payment_methods, setup_attempt
from aa_stripe.testing.payments.payment_attempt import fail as fail_payment
from aa_stripe.testing.payments.payment_attempt import pay


def complete(account: Account, id: str) -> JSON:
    """Authenticate the intent, and continue its payment or setup (which may be declined)."""
    intent, method = _waiting(account, id)
    if intent["object"] == "setup_intent":
        return setup_attempt.save(account, intent, method)
    if intent["setup_future_usage"] is not None:
        account.authenticated.add(method["id"])
    pay(account, intent, method)
    return intent


def fail(account: Account, id: str) -> JSON:
    """Fail the authentication: the intent returns to ``requires_payment_method``."""
    intent, method = _waiting(account, id)
    kind = intent["object"]
    refusal = _not_authenticated(kind)
    if kind == "setup_intent":
        setup_attempt.fail(account, intent, method, refusal)
    else:
        fail_payment(account, intent, method, refusal)
    return intent


def _waiting(account: Account, id: str) -> tuple[JSON, JSON]:
    intent = account.find("payment_intent", id) or account.find("setup_intent", id)
    if intent is None:
        raise ValueError(f"There is no intent {id!r}.")
    if intent["status"] != "requires_action":
        raise ValueError(f"{id} does not require an action; its status is {intent['status']}.")
    return intent, payment_methods.resolve(account, intent["payment_method"])


def _not_authenticated(kind: str) -> Refusal:
    return invalid(
        "We are unable to authenticate your payment method. Please choose a different payment "
        "method and try again.",
        code=f"{kind}_authentication_failure",
    )
