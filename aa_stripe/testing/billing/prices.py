"""Prices, and the plans that share their ids."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base import currencies
from aa_stripe.testing.base.decimals import plain
from aa_stripe.testing.base.ids import new_id
from aa_stripe.testing.base.refusals import (
    at_least,
    bad_parameter,
    exclusive,
    missing_parameter,
    reject_unsupported,
)

LONGEST = {"day": 3 * 365, "week": 156, "month": 36, "year": 3}
"""The longest period of a price: three years, in each interval."""

MAX_PLACES = 12

UNSUPPORTED = {
    "currency_options",
    "custom_unit_amount",
    "meter",
    "tiers",
    "tiers_mode",
    "transform_quantity",
    "transform_usage",
}


def check_supported(params: dict[str, Any], path: str = "") -> None:
    """Reject prices that are billed by usage, in tiers, or in several currencies."""
    reject_unsupported(params, UNSUPPORTED, path)
    for name, value in (("billing_scheme", "tiered"), ("usage_type", "metered")):
        if params.get(name) == value:
            raise bad_parameter(f"FakeStripe does not support {name}={value}.", param=name)


def read_amount(params: dict[str, Any], name: str, currency: str) -> Decimal:
    """Return the amount of a request in the smallest unit, which may have decimal places.

    The request has an integer as ``name``, or a decimal with up to twelve places as
    ``<name>_decimal``.
    """
    as_fraction = f"{name}_decimal"
    if name in params and as_fraction in params:
        raise exclusive(name, as_fraction)
    if name not in params and as_fraction not in params:
        raise missing_parameter(name)
    sent = name if name in params else as_fraction
    amount = Decimal(params[sent])
    if not amount.is_finite() or amount.as_tuple().exponent < -MAX_PLACES:  # type: ignore[operator]
        raise bad_parameter(
            f"Invalid decimal: {amount}; must contain at maximum {MAX_PLACES} decimal places.",
            param=sent,
        )
    if amount < 0:
        raise at_least(0, param=sent)
    if sent == name:
        currencies.check_size(int(amount), currency, param=name)
    return amount


def read_recurrence(params: dict[str, Any], path: str = "") -> JSON:
    """Return the ``recurring`` field of a price."""
    count = params.get("interval_count", 1)
    param = f"{path}[interval_count]" if path else "interval_count"
    if count < 1:
        raise at_least(1, param=param)
    if count > LONGEST[params["interval"]]:
        # Unverified: Stripe's error text.
        raise bad_parameter("The maximum billing interval is three years.", param=param)
    return {
        "interval": params["interval"],
        "interval_count": count,
        "meter": None,
        "trial_period_days": params.get("trial_period_days"),
        "usage_type": "licensed",
    }


def make(
    account: Account,
    amount: Decimal,
    *,
    recurring: JSON | None,
    id: str | None = None,
    **fields: Any,
) -> JSON:
    """Create and return a price. A recurring price also gets a plan with the same id."""
    price = account.add(
        "price",
        id=id or new_id("price"),
        unit_amount=int(amount) if amount == int(amount) else None,
        unit_amount_decimal=plain(amount),
        recurring=recurring,
        type="recurring" if recurring else "one_time",
        **fields,
    )
    if recurring:
        plan = account.add("plan", id=price["id"], created=price["created"])
        plan.update(_as_plan(price))
        account.emit("plan.created", plan)
    account.emit("price.created", price)
    return price


def change(account: Account, id: str, **changes: Any) -> JSON:
    """Change a price and its plan; return the price."""
    price, plan = account.get("price", id), account.find("plan", id)
    before = dict(price)
    price.update(changes)
    if plan is not None:
        plan_before = dict(plan)
        plan.update(_as_plan(price))
        account.emit("plan.updated", plan, before=plan_before)
    account.emit("price.updated", price, before=before)
    return price


def remove(account: Account, id: str) -> None:
    """Delete a plan and its price. Existing subscriptions keep them."""
    plan, price = account.get("plan", id), account.get("price", id)
    account.remove("plan", id)
    account.remove("price", id)
    account.emit("plan.deleted", plan)
    account.emit("price.deleted", price)


def _as_plan(price: JSON) -> JSON:
    recurring = price["recurring"]
    return {
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "metadata": price["metadata"],
        "nickname": price["nickname"],
        "product": price["product"],
        "trial_period_days": recurring["trial_period_days"],
    }
