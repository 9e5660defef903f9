"""The lines of an invoice: the price of each subscription item for a period."""

from __future__ import annotations

import copy
from decimal import Decimal

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.currencies import rounded
from aa_stripe.testing.base.ids import new_id
from aa_stripe.testing.base.samples import sample


def of(account: Account, subscription: JSON, *, free: bool = False) -> list[JSON]:
    """Return a line for each item of a subscription, for the current period.

    ``free`` means that the period is a trial.
    """
    return [
        _line(account, subscription, item, 0 if free else price_of(item), free=free)
        for item in subscription["items"]["data"]
    ]


def price_of(item: JSON) -> int:
    """Return the price of a period (smallest unit), before discounts and taxes."""
    amount = Decimal(item["price"]["unit_amount_decimal"]) * item["quantity"]
    return rounded(amount, item["price"]["currency"])


def unused(account: Account, subscription: JSON, moment: int) -> list[JSON]:
    """Return a credit line for each item, for the rest of the period after ``moment``."""
    lines = []
    for item in subscription["items"]["data"]:
        start, end = item["current_period_start"], item["current_period_end"]
        share = Decimal(max(0, end - moment)) / (end - start)
        credit = -rounded(price_of(item) * share, subscription["currency"])
        line = _line(account, subscription, item, credit)
        line["parent"]["subscription_item_details"]["proration"] = True
        lines.append(line)
    return lines


def _line(
    account: Account, subscription: JSON, item: JSON, amount: int, *, free: bool = False
) -> JSON:
    price = item["price"]
    product = account.find("product", price["product"]) or {"name": price["product"]}
    what = "Trial period for" if free else f"{item['quantity']} x"
    line = {
        **sample("line_item"),
        "id": new_id("line_item"),
        "amount": amount,
        "currency": subscription["currency"],
        "description": f"{what} {product['name']}",
        "period": {"start": item["current_period_start"], "end": item["current_period_end"]},
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": "0" if free else price["unit_amount_decimal"],
        },
        "quantity": item["quantity"],
        "subscription": subscription["id"],
        "subtotal": amount,
    }
    line["parent"] = {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": subscription["id"],
            "subscription_item": item["id"],
        },
        "type": "subscription_item_details",
    }
    return copy.deepcopy(line)
