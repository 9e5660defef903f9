"""``/v1/coupons``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.currencies import check_currency, check_size
from aa_stripe.testing.base.decimals import check_places
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import (
    already_exists,
    at_least,
    bad_parameter,
    exclusive,
    missing_parameter,
    reject_unsupported,
)
from aa_stripe.testing.base.text import check_length
from aa_stripe.testing.billing import coupons

UNSUPPORTED = {"applies_to"}

MAX_NAME = 40
MAX_PLACES = 2
REDEEMABLE = 5 * 366 * 24 * 60 * 60
"""Seconds for which a coupon may be redeemed. Unverified: the exact length of five years."""


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Create a coupon; without an ``id`` one is generated."""
    reject_unsupported(params, UNSUPPORTED)
    fields = {**_value(params), **_duration(params), "metadata": merge({}, params.get("metadata"))}
    check_length(params, "name", MAX_NAME)
    _check_redemption(account, params)
    if params.get("id"):
        fields["id"] = params["id"]
        # The id of a deleted coupon can be reused. Unverified, but many integrations rely on it.
        if account.find("coupon", params["id"]) is not None:
            raise already_exists("Coupon")
    options = _currency_options(params, fields["amount_off"])

    for name in ("max_redemptions", "name", "redeem_by"):
        fields[name] = params.get(name) or None
    coupon = account.add("coupon", **fields)
    account.currency_options[coupon["id"]] = options
    account.emit("coupon.created", coupon)
    return coupon


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one coupon."""
    return coupons.current(account, account.get("coupon", id))


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change the name, the metadata, or the amounts in further currencies."""
    coupon = account.get("coupon", id)
    before = dict(coupon)
    check_length(params, "name", MAX_NAME)
    metadata = merge(coupon["metadata"], params.get("metadata"))
    account.currency_options[id].update(_currency_options(params, coupon["amount_off"]))
    coupon["metadata"] = metadata
    if "name" in params:
        coupon["name"] = params["name"] or None
    account.emit("coupon.updated", coupons.current(account, coupon), before=before)
    return coupon


def delete(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Delete a coupon; its existing discounts remain."""
    coupon = account.get("coupon", id)
    account.remove("coupon", id)
    # Unverified: the event may show a deleted coupon as invalid.
    account.emit("coupon.deleted", coupon)
    return {"id": id, "object": "coupon", "deleted": True}


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List coupons, without deleted ones."""
    found = [coupons.current(account, coupon) for coupon in account.all("coupon")]
    return page("/v1/coupons", found, params)


def _value(params: dict[str, Any]) -> JSON:
    if "amount_off" in params and "percent_off" in params:
        raise exclusive("amount_off", "percent_off")
    if "percent_off" in params:
        # Unverified: a currency has no effect here and is not stored.
        return {"amount_off": None, "percent_off": _percent(params["percent_off"])}
    if "amount_off" not in params:
        # Unverified: Stripe's wording.
        raise bad_parameter(
            "Must provide percent_off or amount_off.", param="percent_off", code="parameter_missing"
        )
    if "currency" not in params:
        raise missing_parameter("currency")
    currency = check_currency(params["currency"])
    return {"amount_off": _amount(params["amount_off"], currency), "currency": currency}


def _percent(percent: Decimal) -> float:
    # Unverified: Stripe's wording for a percentage out of range.
    check_places(percent, MAX_PLACES, param="percent_off")
    if not 0 < percent <= 100:
        raise bad_parameter(
            f"Invalid percent_off: {percent}; must be larger than 0 and at most 100.",
            param="percent_off",
        )
    return float(percent)


def _amount(amount: int, currency: str, param: str = "amount_off") -> int:
    if amount < 1:
        raise at_least(1, param=param)
    check_size(amount, currency, param=param)
    return amount


def _duration(params: dict[str, Any]) -> JSON:
    duration = params.get("duration", "once")
    months = params.get("duration_in_months")
    if duration == "repeating" and months is None:
        raise missing_parameter("duration_in_months")
    if duration != "repeating" and months is not None:
        # Unverified: Stripe's wording.
        raise bad_parameter(
            "You can only pass duration_in_months when duration is repeating.",
            param="duration_in_months",
        )
    if months is not None and months < 1:
        raise at_least(1, param="duration_in_months")
    return {"duration": duration, "duration_in_months": months}


def _check_redemption(account: Account, params: dict[str, Any]) -> None:
    if params.get("max_redemptions", 1) < 1:
        raise at_least(1, param="max_redemptions")
    redeem_by = params.get("redeem_by")
    if redeem_by is None:
        return
    # Unverified: Stripe's wording of both errors.
    if redeem_by <= account.now:
        raise bad_parameter("redeem_by must be in the future.", param="redeem_by")
    if redeem_by > account.now + REDEEMABLE:
        raise bad_parameter("redeem_by must be within five years from now.", param="redeem_by")


def _currency_options(params: dict[str, Any], amount_off: int | None) -> dict[str, JSON]:
    """Return the amounts in further currencies; they require ``amount_off``."""
    sent = params.get("currency_options", {})
    if sent and amount_off is None:
        # Unverified: Stripe's wording.
        raise bad_parameter(
            "currency_options can only be set for a coupon with amount_off.",
            param="currency_options",
        )
    return {
        check_currency(currency): {
            "amount_off": _amount(
                option["amount_off"], currency, f"currency_options[{currency}][amount_off]"
            )
        }
        for currency, option in sent.items()
    }
