"""``/v1/prices``: one-time and recurring prices of products."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.currencies import check_currency
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import exclusive, invalid, missing_parameter
from aa_stripe.testing.billing import prices, products

EDITABLE = ("active", "lookup_key", "nickname", "tax_behavior")


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Create a price, for an existing product or one described in ``product_data``."""
    recurring = params.get("recurring")
    prices.check_supported(params)
    prices.check_supported(recurring or {}, "recurring")
    currency = check_currency(params["currency"])
    amount = prices.read_amount(params, "unit_amount", currency)
    recurrence = prices.read_recurrence(recurring, "recurring") if recurring else None
    metadata = merge({}, params.get("metadata"))
    holder = _holder_of_key(account, params)
    product = _product(account, params)
    _release_key(account, holder)
    return prices.make(
        account,
        amount,
        recurring=recurrence,
        currency=currency,
        metadata=metadata,
        product=product,
        **{name: params[name] for name in EDITABLE if name in params},
    )


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one price, which may have been created as a plan."""
    return account.get("price", id)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change the fields that do not affect the amount."""
    price = account.get("price", id)
    prices.check_supported(params)
    holder = _holder_of_key(account, params)
    metadata = merge(price["metadata"], params.get("metadata"))
    _release_key(account, holder)
    edited = {name: params[name] for name in EDITABLE if name in params}
    return prices.change(account, id, metadata=metadata, **edited)


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List prices, including plans."""
    names = ("active", "currency", "product", "type")
    wanted = {name: params[name] for name in names if name in params}
    keys = params.get("lookup_keys")
    found = [
        price
        for price in account.all("price")
        if all(price[name] == value for name, value in wanted.items())
        and (keys is None or price["lookup_key"] in keys)
        and _recurs(price, params.get("recurring", {}))
    ]
    return page("/v1/prices", found, params)


def _recurs(price: JSON, wanted: dict[str, Any]) -> bool:
    recurring = price["recurring"] or {}
    return all(recurring.get(name) == value for name, value in wanted.items())


def _product(account: Account, params: dict[str, Any]) -> str:
    if "product" in params and "product_data" in params:
        raise exclusive("product", "product_data")
    if "product_data" in params:
        return str(products.make(account, params["product_data"], "product_data")["id"])
    if "product" not in params:
        raise missing_parameter("product")
    return str(account.get("product", params["product"], param="product")["id"])


def _holder_of_key(account: Account, params: dict[str, Any]) -> JSON | None:
    """Return the price that has the ``lookup_key``, if any.

    Raises a refusal without ``transfer_lookup_key``.
    """
    key = params.get("lookup_key")
    for holder in account.all("price"):
        if key and holder["lookup_key"] == key:
            if params.get("transfer_lookup_key"):
                return holder
            # Unverified: Stripe's wording.
            raise invalid(
                f"A price ({holder['id']}) already uses that lookup key.", param="lookup_key"
            )
    return None


def _release_key(account: Account, holder: JSON | None) -> None:
    if holder is not None:
        prices.change(account, holder["id"], lookup_key=None)
