"""``/v1/charges``: charges of PaymentIntents, and legacy charges without one."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.currencies import check_amount, check_currency
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import Refusal, bad_parameter, card_error, missing_parameter
from aa_stripe.testing.payments import charges, legacy_cards, payment_methods


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Charge a legacy card: a token, or the default source of a customer."""
    for name in ("amount", "currency"):
        if name not in params:
            raise missing_parameter(name)
    if not params.get("capture", True):
        raise bad_parameter("FakeStripe does not support capture=false here.", param="capture")
    currency = check_currency(params["currency"])
    check_amount(params["amount"], currency)
    metadata = merge({}, params.get("metadata"))
    card = _legacy_card(account, params)
    order = {**params, "currency": currency, "metadata": metadata, "id": None}
    decline = account.cards[card["id"]].decline
    method = payment_methods.from_legacy(account, card)
    charge = charges.record(account, order, method, decline=decline)
    if decline is not None:
        raise decline.refusal(charge=charge["id"])
    return charge


def _legacy_card(account: Account, params: dict[str, Any]) -> JSON:
    if "customer" not in params:
        if "source" not in params:
            raise bad_parameter("Must provide source or customer.", code="parameter_missing")
        return legacy_cards.create(account, params["source"])
    customer = account.get("customer", params["customer"], param="customer")
    if "source" in params and params["source"].startswith("tok_"):
        raise legacy_cards.end_of_life()
    wanted = params.get("source", customer["default_source"])
    if wanted is None:
        raise _nothing_to_charge(account, customer)
    return legacy_cards.get(account, customer["id"], wanted)


def _nothing_to_charge(account: Account, customer: JSON) -> Refusal:
    saved = [item for item in account.all("payment_method") if item["customer"] == customer["id"]]
    message = (
        "This Customer doesn't have any legacy saved payment details, but does have a Payment "
        "Method attached. Use a Payment Intent instead of creating a Charge: "
        "https://stripe.com/docs/payments/payment-intents/migration"
        if saved
        else "This Customer doesn't have any saved payment details. Attach a legacy Token, Card, "
        "Bank Account, or Source to this Customer and then try this request again, or use "
        "Payment Intents and Payment Methods instead."
    )
    return card_error(message, code="missing", param="card")


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one charge, which may have failed."""
    return account.get("charge", id)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change the informational fields: description, metadata, receipt, shipping."""
    charge = account.get("charge", id)
    before = dict(charge)
    charge["metadata"] = merge(charge["metadata"], params.get("metadata"))
    for name in ("description", "receipt_email", "shipping", "transfer_group"):
        charge[name] = params.get(name, charge[name])
    account.emit("charge.updated", charge, before=before)
    return charge


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List charges, including failed ones, by customer or PaymentIntent."""
    found = account.matching("charge", params, by=("customer", "payment_intent"))
    return page("/v1/charges", found, params)
