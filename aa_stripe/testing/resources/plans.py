"""``/v1/plans``: the older form of prices, with custom ids."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.currencies import check_currency
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import already_exists, at_least, missing_parameter
from aa_stripe.testing.billing import prices, products


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Create a plan, for an existing product or one described in ``product``."""
    prices.check_supported(params)
    currency = check_currency(params["currency"])
    amount = prices.read_amount(params, "amount", currency)
    _check_trial(params)
    recurring = prices.read_recurrence(params)
    metadata = merge({}, params.get("metadata"))
    if account.find("price", params.get("id", "")) is not None:
        raise already_exists("Plan")
    price = prices.make(
        account,
        amount,
        recurring=recurring,
        id=params.get("id"),
        active=params.get("active", True),
        currency=currency,
        metadata=metadata,
        nickname=params.get("nickname"),
        product=_product(account, params),
    )
    return account.get("plan", price["id"])


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one plan, which may have been created as a price."""
    return account.get("plan", id)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change the fields that do not affect the amount."""
    plan = account.get("plan", id)
    _check_trial(params)
    if "product" in params:
        account.get("product", params["product"], param="product")
    recurring = account.get("price", id)["recurring"]
    days = params.get("trial_period_days", recurring["trial_period_days"])
    changes: JSON = {
        name: params[name] for name in ("active", "nickname", "product") if name in params
    }
    changes["metadata"] = merge(plan["metadata"], params.get("metadata"))
    prices.change(account, id, recurring={**recurring, "trial_period_days": days}, **changes)
    return plan


def delete(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Delete a plan; existing subscriptions keep it."""
    prices.remove(account, id)
    return {"id": id, "object": "plan", "deleted": True}


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List plans, including recurring prices."""
    wanted = {name: params[name] for name in ("active", "product") if name in params}
    found = [
        plan
        for plan in account.all("plan")
        if all(plan[name] == value for name, value in wanted.items())
    ]
    return page("/v1/plans", found, params)


def _check_trial(params: dict[str, Any]) -> None:
    # Unverified: Stripe accepts 0 for "no trial", as it is accepted here.
    if params.get("trial_period_days", 0) < 0:
        raise at_least(0, param="trial_period_days")


def _product(account: Account, params: dict[str, Any]) -> str:
    product = params.get("product")
    if product is None:
        raise missing_parameter("product")
    if isinstance(product, dict):
        return str(products.make(account, product, "product")["id"])
    return str(account.get("product", product, param="product")["id"])
