"""Rules for a confirmation that PaymentIntents and SetupIntents share."""

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
"""Parameters that affect the outcome at Stripe and that FakeStripe does not support."""

ONLY_WITH_CONFIRM = ("error_on_requires_action", "off_session", "return_url")

NOUNS = {"payment_intent": "PaymentIntent", "setup_intent": "SetupIntent"}


def reject_unsupported(params: dict[str, Any]) -> None:
    """Raise a refusal if a parameter is not supported."""
    refusals.reject_unsupported(params, UNSUPPORTED)


def reject_without_confirm(params: dict[str, Any]) -> None:
    """Raise a refusal if a parameter requires ``confirm``."""
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
    """Return the fields that define which payment methods an intent accepts.

    Since 2023-08-16 the default is the payment methods enabled in the Dashboard. Older SDKs send
    explicit types as ``payment_method_types``, newer ones as ``allowed_payment_method_types``.
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
    """Return the explicit payment method types; empty if Stripe chooses them."""
    named: list[str] = params.get(
        "allowed_payment_method_types", params.get("payment_method_types", [])
    )
    return named


def reject_without_return_url(intent: JSON, params: dict[str, Any]) -> None:
    """Raise a refusal if the confirmation might redirect and has no ``return_url``."""
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
    """Return the payment method; raise a refusal if the intent's customer may not use it."""
    method = payment_methods.resolve(account, id)
    check_owner(method, intent["customer"], intent["object"], intent)
    payment_methods.reject_if_spent(account, method)
    return method


def chosen(account: Account, kind: str, intent: JSON | None, params: dict[str, Any]) -> JSON:
    """Return the customer and the payment method that result from ``params``.

    Raises a refusal if the payment method belongs to another customer.
    """
    if intent is not None and not {"customer", "payment_method"} & set(params):
        return {name: intent[name] for name in ("customer", "payment_method")}
    customer = params.get("customer", intent and intent["customer"])
    method = params.get("payment_method", intent and intent["payment_method"])
    if customer is not None:
        account.get("customer", customer, param="customer")
    if method is None:
        return {"customer": customer, "payment_method": None}
    planned = {"object": kind, **(intent or {}), "customer": customer}
    found = usable(account, planned, method)
    return {"customer": customer, "payment_method": found["id"]}


def check_owner(method: JSON, customer: str | None, kind: str, intent: JSON | None = None) -> None:
    """Raise a refusal if the payment method belongs to another customer."""
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
    """Return the part of an error that contains its intent."""
    return {kind: copy.deepcopy(intent)}
