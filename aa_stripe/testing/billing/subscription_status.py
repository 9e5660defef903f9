"""How a subscription stands, and what makes it stand otherwise."""

from __future__ import annotations

import copy
from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.billing import invoices

ENDED = ("canceled", "incomplete_expired")
"""Nothing comes after these."""

CANCEL, UNPAID, PAST_DUE = "canceled", "unpaid", "past_due"
OWING = ("incomplete", PAST_DUE, UNPAID, "paused")
"""A payment puts these in order."""

AFTER_LAST_RETRY = (CANCEL, UNPAID, PAST_DUE)
"""What a subscription may become when its renewal could not be collected at last."""


def change(account: Account, subscription: JSON, **changes: Any) -> None:
    """Change a subscription, and say so if it is different then."""
    before = copy.deepcopy(subscription)
    subscription.update(changes)
    if subscription != before:
        account.emit("customer.subscription.updated", subscription, before=before)


def settle(account: Account, invoice: JSON) -> None:
    """An invoice was paid: the subscription is in order again, if it was the latest one."""
    subscription = account.find("subscription", invoices.subscription_id(invoice))
    if subscription is None or subscription["status"] not in OWING:
        return
    if subscription["latest_invoice"] != invoice["id"]:
        return
    was_paused = subscription["status"] == "paused"
    change(account, subscription, status="active")
    if was_paused:
        account.emit("customer.subscription.resumed", subscription)


def fail(account: Account, invoice: JSON) -> None:
    """An attempt to collect an invoice failed: the subscription may be in arrears, or over."""
    subscription = account.find("subscription", invoices.subscription_id(invoice))
    if subscription is None or subscription["status"] not in ("active", PAST_DUE):
        return
    if subscription["latest_invoice"] == invoice["id"]:
        change(account, subscription, status=PAST_DUE)
    if invoice["next_payment_attempt"] is None:
        _give_up(account, subscription)


def forgive(account: Account, invoice: JSON) -> None:
    """Void an invoice: as good as a payment, but a subscription does not begin without one.

    Unverified: both.
    """
    subscription = account.get("subscription", invoices.subscription_id(invoice))
    if subscription["status"] == "incomplete":
        expire(account, subscription, at=account.now)
    else:
        invoices.void(account, invoice)
        settle(account, invoice)


def cancel(account: Account, subscription: JSON, *, at: int, reason: str) -> None:
    """End a subscription at that time (seconds since 1970), because of Stripe's ``reason``."""
    invoices.stop(account, subscription["id"])
    subscription.update(
        status="canceled",
        canceled_at=subscription["canceled_at"] or at,
        ended_at=at,
        cancellation_details={**subscription["cancellation_details"], "reason": reason},
    )
    account.emit("customer.subscription.deleted", subscription)


def expire(account: Account, subscription: JSON, *, at: int, requested: bool = False) -> None:
    """End a subscription that never began: nobody owes anything for it.

    ``requested``: it was canceled. It does not become ``canceled``, as an event shows that is
    quoted in https://github.com/pay-rails/pay/issues/91.
    """
    invoice = account.get("invoice", subscription["latest_invoice"])
    invoices.void(account, invoice)
    canceled_at = at if requested else None
    # Unverified: ended_at.
    change(
        account,
        subscription,
        status="incomplete_expired",
        canceled_at=canceled_at,
        ended_at=at,
    )


def cancel_all(account: Account, customer: str) -> None:
    """End every subscription of a customer, who is being deleted."""
    for subscription in of_customer(account, customer):
        if subscription["status"] not in ENDED:
            cancel(account, subscription, at=account.now, reason="cancellation_requested")


def running(account: Account, customer: str) -> list[JSON]:
    """Return the subscriptions of a customer that have not been canceled, oldest first."""
    return [item for item in of_customer(account, customer) if item["status"] != "canceled"]


def of_customer(account: Account, customer: str) -> list[JSON]:
    """Return the subscriptions of a customer, oldest first, ended ones too."""
    return [item for item in account.all("subscription") if item["customer"] == customer]


def _give_up(account: Account, subscription: JSON) -> None:
    if account.after_last_retry == CANCEL:
        cancel(account, subscription, at=account.now, reason="payment_failed")
    else:
        change(account, subscription, status=account.after_last_retry)
