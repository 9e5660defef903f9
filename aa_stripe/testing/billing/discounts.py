"""Coupons redeemed: discounts, from the promise to their end."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import Refusal, invalid, refuse_unsupported
from aa_stripe.testing.billing import coupons
from aa_stripe.testing.billing.periods import months_after

UNSUPPORTED = {"promotion_code"}


def check(
    account: Account, sent: list[dict[str, Any]], currency: str, *, held: list[str]
) -> list[JSON]:
    """Return what was ``sent`` as ``discounts``: coupons to redeem, and discounts to keep.

    A coupon says what it takes off in ``currency``.

    ``held`` are the ids of discounts that are there already.
    """
    return [
        _check(account, each, currency, held, f"discounts[{place}]")
        for place, each in enumerate(sent)
    ]


def redeem(account: Account, checked: list[JSON], customer: str, subscription: str) -> list[str]:
    """Return the ids of the discounts that come of what ``check()`` returned."""
    return [
        each["id"]
        if each["object"] == "discount"
        else _redeem(account, each, customer, subscription)
        for each in checked
    ]


def of(account: Account, ids: list[str]) -> list[tuple[str, JSON]]:
    """Return discounts as ``reckon()`` takes them: the id, and the coupon behind it."""
    return [(id, account.redeemed[id]) for id in ids]


def end(account: Account, discount: str) -> None:
    """Let a discount end; it stays on the invoices where it was."""
    ended = account.get("discount", discount)
    account.remove("discount", discount)
    account.emit("customer.discount.deleted", ended)


def end_others(account: Account, discounts: list[str], kept: list[str]) -> None:
    """Let those of the ``discounts`` end that are not ``kept``."""
    for id in discounts:
        if id not in kept:
            end(account, id)


def lasting(account: Account, subscription: JSON, moment: int) -> list[str]:
    """Return the discounts that still hold at ``moment``; the others end."""
    kept = []
    for id in subscription["discounts"]:
        if _holds(account, id, subscription["id"], moment):
            kept.append(id)
        else:
            end(account, id)
    return kept


def _check(
    account: Account, sent: dict[str, Any], currency: str, held: list[str], path: str
) -> JSON:
    refuse_unsupported(sent, UNSUPPORTED, path)
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
    _refuse_invalid(account, coupon, param)
    if coupon["percent_off"] is not None:
        return coupon
    options = account.currency_options[coupon["id"]]
    amounts = {coupon["currency"]: coupon["amount_off"]}
    amounts.update({name: option["amount_off"] for name, option in options.items()})
    if currency not in amounts:
        raise _wrong_currency(coupon, currency, param)
    return {**coupon, "amount_off": amounts[currency]}


def _refuse_invalid(account: Account, coupon: JSON, param: str) -> None:
    # Unverified: the codes, and the words of the second.
    if coupons.is_expired(account, coupon):
        raise invalid(f"Coupon expired: {coupon['id']}", code="coupon_expired", param=param)
    if coupons.is_used_up(coupon):
        raise invalid(f"Coupon {coupon['id']} is used up and cannot be applied.", param=param)


def _wrong_currency(coupon: JSON, currency: str, param: str) -> Refusal:
    # Unverified: Stripe's words for this.
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


def _holds(account: Account, id: str, subscription: str, moment: int) -> bool:
    """A coupon for once is spent with the first invoice on which it took something off.

    Unverified: that the discount is shown until the next invoice is made.
    """
    if account.redeemed[id]["duration"] == "once":
        return not any(
            id == taken["discount"]
            for invoice in account.all("invoice")
            for taken in invoice["total_discount_amounts"]
        )
    ends = account.get("discount", id)["end"]
    return ends is None or moment < ends
