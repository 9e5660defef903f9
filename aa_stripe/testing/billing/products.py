"""Products, which are created alone or together with a plan or price."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.descriptors import check_product_descriptor
from aa_stripe.testing.base.form import join
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.refusals import already_exists, reject_unsupported

UNSUPPORTED = {"default_price_data"}

COPIED = (
    "active",
    "default_price",
    "description",
    "images",
    "marketing_features",
    "name",
    "package_dimensions",
    "shippable",
    "statement_descriptor",
    "tax_code",
    "unit_label",
    "url",
)


def make(account: Account, params: dict[str, Any], path: str = "") -> JSON:
    """Create a product from ``params``; ``path`` is their place in the request."""
    check(account, params, path)
    metadata = merge({}, params.get("metadata"))
    own = {"id": params["id"]} if params.get("id") else {}
    product = account.add("product", metadata=metadata, updated=account.now, **own)
    copy(product, params)
    account.emit("product.created", product)
    return product


def check(account: Account, params: dict[str, Any], path: str = "") -> None:
    """Raise an error if a product cannot be created from ``params``."""
    reject_unsupported(params, UNSUPPORTED)
    merge({}, params.get("metadata"))
    if account.find("product", params.get("id", "")) is not None:
        raise already_exists("Product", param=join(path, "id"))
    check_product_descriptor(
        params.get("statement_descriptor", ""), param=join(path, "statement_descriptor")
    )


def copy(product: JSON, params: dict[str, Any]) -> None:
    """Copy the fields in ``params`` to a product; an empty string unsets a field."""
    for name in COPIED:
        if name in params:
            product[name] = None if params[name] == "" else params[name]
