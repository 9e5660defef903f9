"""What PaymentIntents and SetupIntents ask of a confirmation alike."""

from __future__ import annotations

import copy
from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base import refusals
from aa_stripe.testing.base.refusals import Refusal, bad_parameter, invalid
from aa_stripe.testing.payments import payment_methods

UNSUPPORTED = {
    "amount_to_confirm",
    "application_fee_amount",
    "confirmation_token",
    "customer_account",
    "flow_directions",
    "on_behalf_of",
    "payment_method_data",
    "transfer_data",
}
"""Parameters that would change what happens, and that the fake does not know."""

ONLY_WITH_CONFIRM = ("error_on_requires_action", "off_session", "return_url")

NOUNS = {"payment_intent": "PaymentIntent", "setup_intent": "SetupIntent"}


def refuse_unsupported(params: dict[str, Any]) -> None:
    """Say so, rather than pretend."""
    refusals.refuse_unsupported(params, UNSUPPORTED)


def refuse_without_confirm(params: dict[str, Any]) -> None:
    """Refuse what makes sense for a confirmation only."""
    if params.get("confirm"):
        return
    for name in ONLY_WITH_CONFIRM:
        if name in params:
            raise bad_parameter(
                f"The parameter `{name}` cannot be passed when creating an intent unless "
                "`confirm` is set to true.",
                param=name,
            )


def ways_to_pay(params: dict[str, Any]) -> JSON:
    """Return the fields that say which payment methods an intent takes.

    Stripe's default since 2023-08-16 is whatever the Dashboard has enabled. Naming the types was
    ``payment_method_types`` and is ``allowed_payment_method_types`` for newer SDKs.
    """
    automatic = params.get("automatic_payment_methods")
    types = named_types(params)
    if types and automatic and automatic["enabled"]:
        raise bad_parameter(
            "You may only specify one of these parameters: automatic_payment_methods, "
            "payment_method_types."
        )
    if types:
        return {"payment_method_types": types}
    if automatic and not automatic["enabled"]:
        return {}
    redirects = (automatic or {}).get("allow_redirects", "always")
    return {"automatic_payment_methods": {"enabled": True, "allow_redirects": redirects}}


def named_types(params: dict[str, Any]) -> list[str]:
    """Return the types of payment methods that are named, none if it is left to Stripe."""
    named: list[str] = params.get(
        "allowed_payment_method_types", params.get("payment_method_types", [])
    )
    return named


def refuse_without_return_url(intent: JSON, params: dict[str, Any]) -> None:
    """Refuse a confirmation that might redirect and does not say where to."""
    automatic = intent["automatic_payment_methods"]
    if automatic is None or automatic["allow_redirects"] == "never" or "return_url" in params:
        return
    raise invalid(
        f"This {NOUNS[intent['object']]} is configured to accept payment methods enabled in your "
        "Dashboard. Because some of these payment methods might redirect your customer off of "
        "your page, you must provide a `return_url`. If you don't want to accept redirect-based "
        "payment methods, set `automatic_payment_methods[enabled]` to `true` and "
        "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
        "Payment Intents.",
        **_holding(intent["object"], intent),
    )


def usable(account: Account, intent: JSON, id: str) -> JSON:
    """Return the payment method, or refuse what this intent's customer may not use."""
    method = payment_methods.resolve(account, id)
    refuse_stranger(method, intent["customer"], intent["object"], intent)
    payment_methods.refuse_if_spent(account, method)
    return method


def chosen(account: Account, kind: str, intent: JSON | None, params: dict[str, Any]) -> JSON:
    """Return the customer and the payment method after ``params``; refuse a misfit."""
    customer = params.get("customer", intent and intent["customer"])
    method = params.get("payment_method", intent and intent["payment_method"])
    if customer is not None:
        account.get("customer", customer, param="customer")
    if method is None:
        return {"customer": customer, "payment_method": None}
    planned = {"object": kind, **(intent or {}), "customer": customer}
    found = usable(account, planned, method)
    return {"customer": customer, "payment_method": found["id"]}


def refuse_stranger(
    method: JSON, customer: str | None, kind: str, intent: JSON | None = None
) -> None:
    """Refuse a payment method that belongs to somebody else than ``customer``."""
    owner = method["customer"]
    if owner is None or owner == customer:
        return
    holding = _holding(kind, intent)
    if customer is not None:
        raise payment_methods.does_not_belong(method["id"], customer, **holding)
    raise _customer_missing(method, kind, holding)


def _customer_missing(method: JSON, kind: str, holding: dict[str, Any]) -> Refusal:
    return invalid(
        f"The `payment_method` parameter supplied {method['id']} belongs to the Customer "
        f"{method['customer']}. Please include the Customer in the `customer` parameter on the "
        f"{NOUNS[kind]}.",
        code="parameter_missing",
        param="source" if kind == "payment_intent" else "payment_method",
        **holding,
    )


def _holding(kind: str, intent: JSON | None) -> dict[str, Any]:
    """The part of an error that shows the intent it is about."""
    return {kind: copy.deepcopy(intent)}
