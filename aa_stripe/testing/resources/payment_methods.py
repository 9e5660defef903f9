"""``/v1/payment_methods``: saved cards."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import bad_parameter, invalid, missing_parameter
from aa_stripe.testing.base.samples import sample
from aa_stripe.testing.cards.details import CardDetails
from aa_stripe.testing.payments import payment_methods
from aa_stripe.testing.payments.tokens import spend


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Create a payment method from ``card[token]`` or ``card[number]``, without a customer."""
    if "type" not in params:
        raise missing_parameter("type")
    if params["type"] != "card":
        raise bad_parameter("FakeStripe supports only card payment methods.", param="type")
    metadata = merge({}, params.get("metadata"))
    card = params.get("card", {})
    if "token" in card:
        details = spend(account, card["token"], param="card[token]")
    elif "number" in card:
        details = CardDetails.from_params(card)
    else:
        raise missing_parameter("card")
    return payment_methods.make(
        account,
        details,
        billing_details=_billing_details(params),
        metadata=metadata,
    )


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one payment method, which may be a legacy card."""
    return payment_methods.resolve(account, id, param=None)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change metadata, billing details or the expiry date."""
    method = account.get("payment_method", id)
    before = dict(method)
    method["metadata"] = merge(method["metadata"], params.get("metadata"))
    method["billing_details"] = {**method["billing_details"], **params.get("billing_details", {})}
    method["card"] = {**method["card"], **params.get("card", {})}
    account.emit("payment_method.updated", method, before=before)
    return method


def attach(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Attach a payment method to a customer; raise a refusal if its card cannot be saved."""
    if "customer" not in params:
        raise missing_parameter("customer")
    customer = account.get("customer", params["customer"], param="customer")
    method = payment_methods.attachable(account, id, param=None)
    return payment_methods.attach(account, method, customer["id"])


def detach(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Detach a payment method from its customer permanently."""
    method = account.get("payment_method", id)
    if method["customer"] is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible."
        )
    before = dict(method)
    payment_methods.detach(account, method)
    account.emit("payment_method.detached", method, before=before)
    return method


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List a customer's payment methods; without a customer the list is empty."""
    if "customer" not in params:
        return page("/v1/payment_methods", [], params)
    customer = account.get("customer", params["customer"], param="customer")
    found = payment_methods.of(account, customer["id"], params.get("type"))
    return page("/v1/payment_methods", found, params)


def list_of_customer(account: Account, params: dict[str, Any], customer: str) -> JSON:
    """List the payment methods of the customer in the path."""
    account.get("customer", customer)
    url = f"/v1/customers/{customer}/payment_methods"
    return page(url, payment_methods.of(account, customer, params.get("type")), params)


def retrieve_of_customer(account: Account, params: dict[str, Any], customer: str, id: str) -> JSON:
    """Return a payment method; raise a refusal if it does not belong to the customer."""
    account.get("customer", customer)
    method = payment_methods.resolve(account, id, param=None)
    if method["customer"] != customer:
        raise payment_methods.does_not_belong(id, customer)
    return method


def _billing_details(params: dict[str, Any]) -> JSON:
    return {**sample("payment_method")["billing_details"], **params.get("billing_details", {})}
