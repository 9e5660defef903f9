"""``/v1/products``."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.descriptors import check_product_descriptor
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import invalid
from aa_stripe.testing.billing import products


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Create a product."""
    return products.make(account, params)


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one product."""
    return account.get("product", id)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change a product."""
    product = account.get("product", id)
    before = dict(product)
    check_product_descriptor(params.get("statement_descriptor", ""), param="statement_descriptor")
    if "default_price" in params:
        account.get("price", params["default_price"], param="default_price")
    metadata = merge(product["metadata"], params.get("metadata"))
    products.copy(product, params)
    product.update(metadata=metadata, updated=account.now)
    account.emit("product.updated", product, before=before)
    return product


def delete(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Delete a product that has no prices."""
    product = account.get("product", id)
    if any(price["product"] == id for price in account.all("price")):
        raise invalid(
            "This product cannot be deleted because it has one or more user-created prices."
        )
    account.remove("product", id)
    account.emit("product.deleted", product)
    return {"id": id, "object": "product", "deleted": True}


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List products, by ``ids`` or by their fields."""
    wanted = {
        name: params[name] for name in ("active", "shippable", "type", "url") if name in params
    }
    ids = params.get("ids")
    found = [
        product
        for product in account.all("product")
        if all(product[name] == value for name, value in wanted.items())
        and (ids is None or product["id"] in ids)
    ]
    return page("/v1/products", found, params)
