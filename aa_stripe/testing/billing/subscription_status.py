"""The status of a subscription, and its transitions."""

from __future__ import annotations

import copy
from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.billing import invoices

ENDED = ("canceled", "incomplete_expired")
"""The final statuses."""

CANCEL, UNPAID, PAST_DUE = "canceled", "unpaid", "past_due"
OWING = ("incomplete", PAST_DUE, UNPAID, "paused")
"""The statuses that become ``active`` with a payment."""

AFTER_LAST_RETRY = (CANCEL, UNPAID, PAST_DUE)
"""The possible statuses after the last failed attempt to collect a renewal."""


def change(account: Account, subscription: JSON, **changes: Any) -> None:
    """Change a subscription, and emit an event if a field changed."""
    before = copy.deepcopy(subscription)
    subscription.update(changes)
    if subscription != before:
        account.emit("customer.subscription.updated", subscription, before=before)


def settle(account: Account, invoice: JSON) -> None:
    """Activate the subscription of a paid invoice, if that is its latest invoice."""
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
    """Update a subscription after a failed payment: past due, or ended after the last attempt."""
    subscription = account.find("subscription", invoices.subscription_id(invoice))
    if subscription is None or subscription["status"] not in ("active", PAST_DUE):
        return
    if subscription["latest_invoice"] == invoice["id"]:
        change(account, subscription, status=PAST_DUE)
    if invoice["next_payment_attempt"] is None:
        _end_retries(account, subscription)


def void_invoice(account: Account, invoice: JSON) -> None:
    """Void an invoice, and update its subscription.

    The subscription becomes active as after a payment, but an incomplete one expires.
    Unverified: both.
    """
    subscription = account.get("subscription", invoices.subscription_id(invoice))
    if subscription["status"] == "incomplete":
        expire(account, subscription, at=account.now)
    else:
        invoices.void(account, invoice)
        settle(account, invoice)


def cancel(account: Account, subscription: JSON, *, at: int, reason: str) -> None:
    """Cancel a subscription ``at`` a time (seconds since 1970), with Stripe's ``reason``."""
    invoices.stop(account, subscription["id"])
    subscription.update(
        status="canceled",
        canceled_at=subscription["canceled_at"] or at,
        ended_at=at,
        cancellation_details={**subscription["cancellation_details"], "reason": reason},
    )
    account.emit("customer.subscription.deleted", subscription)


def expire(account: Account, subscription: JSON, *, at: int, requested: bool = False) -> None:
    """End an incomplete subscription, and void its invoice.

    ``requested`` means that it was canceled. The status is ``incomplete_expired`` even then: see
    the event in https://github.com/pay-rails/pay/issues/91.
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
    """Cancel the subscriptions of a customer that is deleted."""
    for subscription in of_customer(account, customer):
        if subscription["status"] not in ENDED:
            cancel(account, subscription, at=account.now, reason="cancellation_requested")


def running(account: Account, customer: str) -> list[JSON]:
    """Return the subscriptions of a customer that have not been canceled, oldest first."""
    return [item for item in of_customer(account, customer) if item["status"] != "canceled"]


def of_customer(account: Account, customer: str) -> list[JSON]:
    """Return all subscriptions of a customer, oldest first."""
    return [item for item in account.all("subscription") if item["customer"] == customer]


def _end_retries(account: Account, subscription: JSON) -> None:
    if account.after_last_retry == CANCEL:
        cancel(account, subscription, at=account.now, reason="payment_failed")
    else:
        change(account, subscription, status=account.after_last_retry)
