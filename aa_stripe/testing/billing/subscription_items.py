"""The items of a subscription: prices and quantities."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.ids import new_id
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.refusals import (
    Refusal,
    at_least,
    bad_parameter,
    exclusive,
    invalid,
    missing_parameter,
    reject_unsupported,
)
from aa_stripe.testing.base.samples import sample

MAX_ITEMS = 20

UNSUPPORTED = {"billing_thresholds", "current_trial", "discounts", "price_data", "tax_rates"}


def read(account: Account, sent: list[dict[str, Any]]) -> list[JSON]:
    """Return a new item, without a period, for each of the ``items`` of a request."""
    if len(sent) > MAX_ITEMS:
        raise bad_parameter(f"You may pass at most {MAX_ITEMS} items.", param="items")
    items = [_read(account, each, f"items[{place}]") for place, each in enumerate(sent)]
    check_together(items)
    return items


def check_together(items: list[JSON]) -> None:
    """Raise an error if one subscription cannot have the prices of all ``items``."""
    # Unverified: Stripe's texts of these errors. Stripe accepts several intervals with flexible
    # billing; the fake does not.
    prices = [item["price"] for item in items]
    if len({price["id"] for price in prices}) < len(prices):
        raise invalid("A subscription cannot have two items with the same price.", param="items")
    if len({price["currency"] for price in prices}) > 1:
        raise invalid("The prices of a subscription must be in one currency.", param="items")
    if len({interval_of(item) for item in items}) > 1:
        raise invalid("FakeStripe does not support items of several intervals.", param="items")


def interval_of(item: JSON) -> tuple[str, int]:
    """Return the interval of an item, and the number of intervals in a period."""
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def read_price(account: Account, sent: dict[str, Any], path: str) -> JSON:
    """Return the price of an item, which may be sent as ``plan``; raise if it cannot be used."""
    reject_unsupported(sent, UNSUPPORTED, path)
    if "plan" in sent and "price" in sent:
        raise exclusive(f"{path}[plan]", f"{path}[price]")
    name = "plan" if "plan" in sent else "price"
    if name not in sent:
        raise missing_parameter(f"{path}[price]")
    param = f"{path}[{name}]"
    if name == "plan":
        account.get("plan", sent[name], param=param)
    price = account.get("price", sent[name], param=param)
    if not price["active"]:
        raise invalid(
            "The price specified is inactive. This field only accepts active prices.", param=param
        )
    if price["type"] == "one_time":
        raise _one_time(param)
    return price


def read_quantity(sent: dict[str, Any], path: str) -> int:
    """Return the quantity of an item, 1 by default."""
    quantity: int = sent.get("quantity", 1)
    if quantity < 0:
        raise at_least(0, param=f"{path}[quantity]")
    return quantity


def place(account: Account, items: list[JSON], subscription: str, start: int, end: int) -> JSON:
    """Set the period of the items, and return them as the list of a subscription."""
    for item in items:
        item.update(
            current_period_end=end,
            current_period_start=start,
            plan=account.get("plan", item["price"]["id"]),
            subscription=subscription,
        )
    return {
        "object": "list",
        "data": items,
        "has_more": False,
        "url": f"/v1/subscription_items?subscription={subscription}",
    }


def _read(account: Account, sent: dict[str, Any], path: str) -> JSON:
    return {
        **sample("subscription_item"),
        "id": new_id("subscription_item"),
        "created": account.now,
        "metadata": merge({}, sent.get("metadata")),
        "price": read_price(account, sent, path),
        "quantity": read_quantity(sent, path),
    }


def _one_time(param: str) -> Refusal:
    return invalid(
        "The price specified is set to `type=one_time` but this field only accepts prices with "
        "`type=recurring`.",
        param=param,
    )
