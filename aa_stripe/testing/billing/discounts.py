"""Discounts: redeemed coupons, from the check of the request to their end."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import Refusal, invalid, reject_unsupported
from aa_stripe.testing.billing import coupons
from aa_stripe.testing.billing.periods import months_after

UNSUPPORTED = {"promotion_code"}


def check(
    account: Account, sent: list[dict[str, Any]], currency: str, *, held: list[str]
) -> list[JSON]:
    """Check the ``discounts`` of a request; return the coupons to redeem and discounts to keep.

    ``amount_off`` of a returned coupon is in ``currency``. ``held`` are the ids of the
    subscription's existing discounts.
    """
    return [
        _check(account, each, currency, held, f"discounts[{place}]")
        for place, each in enumerate(sent)
    ]


def redeem(account: Account, checked: list[JSON], customer: str, subscription: str) -> list[str]:
    """Redeem the coupons that ``check()`` returned; return the ids of all the discounts."""
    return [
        each["id"]
        if each["object"] == "discount"
        else _redeem(account, each, customer, subscription)
        for each in checked
    ]


def of(account: Account, ids: list[str]) -> list[tuple[str, JSON]]:
    """Return the id and the coupon of each discount, as ``invoice_totals.compute()`` needs them."""
    return [(id, account.redeemed[id]) for id in ids]


def end(account: Account, discount: str) -> None:
    """End a discount. Existing invoices keep it."""
    ended = account.get("discount", discount)
    account.remove("discount", discount)
    account.emit("customer.discount.deleted", ended)


def end_others(account: Account, discounts: list[str], kept: list[str]) -> None:
    """End the ``discounts`` that are not in ``kept``."""
    for id in discounts:
        if id not in kept:
            end(account, id)


def lasting(account: Account, subscription: JSON, moment: int) -> list[str]:
    """Return the discounts that still apply at ``moment``, and end the others."""
    kept = []
    for id in subscription["discounts"]:
        if _applies(account, id, subscription["id"], moment):
            kept.append(id)
        else:
            end(account, id)
    return kept


def _check(
    account: Account, sent: dict[str, Any], currency: str, held: list[str], path: str
) -> JSON:
    reject_unsupported(sent, UNSUPPORTED, path)
    if "discount" in sent:
        if sent["discount"] not in held:
            raise invalid(
                f"No such discount: '{sent['discount']}'",
                code="resource_missing",
                param=f"{path}[discount]",
            )
        return account.get("discount", sent["discount"])
    param = f"{path}[coupon]"
    coupon = account.get("coupon", sent.get("coupon", ""), param=param)
    _check_redeemable(account, coupon, param)
    if coupon["percent_off"] is not None:
        return coupon
    options = account.currency_options[coupon["id"]]
    amounts = {coupon["currency"]: coupon["amount_off"]}
    amounts.update({name: option["amount_off"] for name, option in options.items()})
    if currency not in amounts:
        raise _wrong_currency(coupon, currency, param)
    return {**coupon, "amount_off": amounts[currency]}


def _check_redeemable(account: Account, coupon: JSON, param: str) -> None:
    # Unverified: that a coupon that is used up gets the same error as one after its time.
    if coupons.is_expired(account, coupon) or coupons.is_used_up(coupon):
        raise invalid(f"Coupon expired: {coupon['id']}", code="coupon_expired", param=param)


def _wrong_currency(coupon: JSON, currency: str, param: str) -> Refusal:
    # Unverified: Stripe's error text.
    return invalid(
        f"The coupon {coupon['id']} takes off an amount in {coupon['currency']}; it cannot be "
        f"applied to a subscription in {currency}.",
        param=param,
    )


def _redeem(account: Account, coupon: JSON, customer: str, subscription: str) -> str:
    account.get("coupon", coupon["id"])["times_redeemed"] += 1
    months = coupon["duration_in_months"]
    discount = account.add(
        "discount",
        customer=customer,
        end=None if months is None else months_after(account.now, months),
        source={"coupon": coupon["id"], "type": "coupon"},
        start=account.now,
        subscription=subscription,
    )
    del discount["created"]
    account.redeemed[discount["id"]] = coupon
    account.emit("customer.discount.created", discount)
    return str(discount["id"])


def _applies(account: Account, id: str, subscription: str, moment: int) -> bool:
    """Return whether a discount still applies at ``moment``.

    A discount with the duration ``once`` ends with the first invoice that it reduces.
    Unverified: that Stripe lists such a discount until the next invoice.
    """
    if account.redeemed[id]["duration"] == "once":
        return not any(
            id == taken["discount"]
            for invoice in account.all("invoice")
            for taken in invoice["total_discount_amounts"]
        )
    ends = account.get("discount", id)["end"]
    return ends is None or moment < ends
