"""``/v1/customers``."""

from __future__ import annotations

import copy
from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base import searching
from aa_stripe.testing.base.emails import check_email
from aa_stripe.testing.base.ids import random_text
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import Refusal, invalid, no_such
from aa_stripe.testing.billing import subscription_status
from aa_stripe.testing.payments import legacy_cards, payment_methods

COPIED = (
    "address",
    "balance",
    "description",
    "email",
    "name",
    "next_invoice_sequence",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
)


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Create a customer, with a payment method or (where allowed) a card token."""
    check_email(params, "email")
    metadata = merge({}, params.get("metadata"))
    chosen = params.get("payment_method")
    method = payment_methods.attachable(account, chosen) if chosen else None
    default = params.get("invoice_settings", {}).get("default_payment_method")
    if default and default not in (chosen, method and method["id"]):
        raise _not_attached(default)
    card = legacy_cards.create(account, params["source"]) if "source" in params else None

    customer = account.add("customer", metadata=metadata, invoice_prefix=random_text(8).upper())
    _copy(customer, params)
    customer["invoice_settings"].update(params.get("invoice_settings", {}))
    if method is not None:
        method["customer"] = customer["id"]
        if default:
            customer["invoice_settings"]["default_payment_method"] = method["id"]
    if card is not None:
        legacy_cards.attach(account, card, customer)
    account.emit("customer.created", customer)
    if method is not None:
        account.emit("payment_method.attached", method)
    return customer


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one customer; a deleted one has only ``id``, ``object`` and ``deleted``."""
    customer = account.find("customer", id)
    if customer is None:
        raise no_such("customer", id)
    return customer


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change a customer. A ``source`` replaces the default source."""
    customer = account.get("customer", id)
    check_email(params, "email")
    before = copy.deepcopy(customer)
    metadata = merge(customer["metadata"], params.get("metadata"))
    _check_default_source(account, customer, params)
    _check_default_method(account, customer, params)
    card = legacy_cards.create(account, params["source"]) if "source" in params else None

    _copy(customer, params)
    customer["metadata"] = metadata
    settings = {**customer["invoice_settings"], **params.get("invoice_settings", {})}
    settings["default_payment_method"] = settings["default_payment_method"] or None
    customer["invoice_settings"] = settings
    customer["default_source"] = params.get("default_source", customer["default_source"])
    if card is not None:
        _replace_default(account, customer, card)
    account.emit("customer.updated", customer, before=before)
    return customer


def delete(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Delete a customer, cancel its subscriptions and detach its payment methods."""
    account.get("customer", id)
    subscription_status.cancel_all(account, id)
    account.emit("customer.deleted", account.get("customer", id))
    for card in legacy_cards.of(account, id):
        account.remove("card", card["id"])
    for method in account.all("payment_method"):
        if method["customer"] == id:
            payment_methods.detach(account, method)
    return account.replace("customer", {"id": id, "object": "customer", "deleted": True})


def search(account: Account, params: dict[str, Any]) -> JSON:
    """Find customers by one value of their metadata; deleted ones have none."""
    return searching.search("/v1/customers", account.all("customer"), params, now=account.now)


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List customers, without deleted ones."""
    email = params.get("email")
    found = [
        customer
        for customer in account.all("customer")
        if not customer.get("deleted") and (email is None or customer["email"] == email)
    ]
    return page("/v1/customers", found, params)


def _copy(customer: JSON, params: dict[str, Any]) -> None:
    for name in COPIED:
        if name in params:
            customer[name] = None if params[name] == "" else params[name]


def _replace_default(account: Account, customer: JSON, card: JSON) -> None:
    replaced = account.find("card", customer["default_source"] or "")
    if replaced is not None:
        legacy_cards.remove(account, replaced, customer)
    legacy_cards.attach(account, card, customer)
    customer["default_source"] = card["id"]


def _check_default_source(account: Account, customer: JSON, params: dict[str, Any]) -> None:
    wanted = params.get("default_source")
    if wanted is None:
        return
    card = account.find("card", wanted)
    if card is None or card["customer"] != customer["id"]:
        raise no_such("source", wanted, param="default_source")


def _check_default_method(account: Account, customer: JSON, params: dict[str, Any]) -> None:
    wanted = params.get("invoice_settings", {}).get("default_payment_method")
    if not wanted:
        return
    method = account.find("payment_method", wanted) or account.find("card", wanted)
    if method is None:
        raise no_such("payment_method", wanted, param="invoice_settings[default_payment_method]")
    if method["customer"] != customer["id"]:
        raise _not_attached(wanted)


def _not_attached(id: str) -> Refusal:
    return invalid(
        f"The customer does not have a payment method with the ID {id}. The payment method must be "
        "attached to the customer.",
        code="resource_missing",
        param="invoice_settings[default_payment_method]",
    )
