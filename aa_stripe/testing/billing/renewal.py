"""Changes of subscriptions over time: renewal, retries, and the end of trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.billing import (
    discounts,
    invoice_lines,
    invoice_payments,
    invoices,
    subscription_status,
)
from aa_stripe.testing.billing.periods import DAY, next_after

FIRST_PAYMENT_WINDOW = 23 * 60 * 60
"""Seconds in which the first invoice must be paid."""

WARNING = 3 * DAY
"""Seconds between the announcement of a trial's end and the end."""


@dataclass(frozen=True)
class Due:
    """A change that is due ``at`` a time, in seconds since 1970."""

    at: int
    run: Callable[[], None]


def pass_time(account: Account, seconds: float) -> None:
    """Advance the clock by ``seconds``, and make each change that falls due at its own time.

    Raise ``ValueError`` if ``seconds`` is negative.
    """
    if seconds < 0:
        raise ValueError("seconds must not be negative.")
    end = account.now + seconds
    while True:
        due = min(_all_due(account), key=lambda item: item.at, default=None)
        if due is None or due.at > end:
            break
        step = max(0.0, min(seconds, due.at - account.now))
        account.advance(step)
        seconds -= step
        due.run()
    account.advance(seconds)


def end_trial(account: Account, subscription: JSON, *, at: int) -> None:
    """Begin the paid periods. Without a payment method, follow ``trial_settings`` instead."""
    customer = account.get("customer", subscription["customer"])
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    method = invoice_payments.paying_method(account, customer, subscription)
    if method is None and behavior == "cancel":
        subscription_status.cancel(account, subscription, at=at, reason="payment_failed")
    elif method is None and behavior == "pause":
        subscription_status.change(account, subscription, status="paused")
        account.emit("customer.subscription.paused", subscription)
    else:
        begin(account, subscription, at=at, status="active")


def begin(account: Account, subscription: JSON, *, at: int, status: str) -> None:
    """Begin a new series of periods, and bill the first one."""
    subscription["billing_cycle_anchor"] = at
    _bill_period(account, subscription, at=at, status=status)


def _all_due(account: Account) -> Iterator[Due]:
    for subscription in account.all("subscription"):
        yield from _due(account, subscription)
    for invoice in account.all("invoice"):
        if invoice["next_payment_attempt"] is not None:
            yield Due(invoice["next_payment_attempt"], partial(_retry, account, invoice))


def _due(account: Account, subscription: JSON) -> Iterator[Due]:
    """Yield the changes due for a subscription. If two are due at the same time, the first wins."""
    status = subscription["status"]
    if status in subscription_status.ENDED:
        return
    if status == "incomplete":
        at = subscription["created"] + FIRST_PAYMENT_WINDOW
        yield Due(at, partial(subscription_status.expire, account, subscription, at=at))
        return
    if subscription["cancel_at"] is not None:
        yield Due(subscription["cancel_at"], partial(_cancel, account, subscription))
    if status == "trialing":
        yield from _due_in_trial(account, subscription)
    elif status != "paused":
        end = subscription["items"]["data"][0]["current_period_end"]
        yield Due(end, partial(_renew, account, subscription, at=end))


def _due_in_trial(account: Account, subscription: JSON) -> Iterator[Due]:
    end = subscription["trial_end"]
    if subscription["id"] not in account.warned:
        yield Due(end - WARNING, partial(warn, account, subscription))
    yield Due(end, partial(end_trial, account, subscription, at=end))


def warn(account: Account, subscription: JSON) -> None:
    """Emit the event that a trial will end."""
    account.warned.add(subscription["id"])
    account.emit("customer.subscription.trial_will_end", subscription)


def _cancel(account: Account, subscription: JSON) -> None:
    at = subscription["cancel_at"]
    subscription_status.cancel(account, subscription, at=at, reason="cancellation_requested")


def _renew(account: Account, subscription: JSON, *, at: int) -> None:
    _bill_period(account, subscription, at=at, status=subscription["status"])


def _bill_period(account: Account, subscription: JSON, *, at: int, status: str) -> None:
    """Begin the period that starts ``at`` that time, create its invoice, and try to collect it."""
    lasting = discounts.lasting(account, subscription, at)
    items = subscription["items"]
    anchor = subscription["billing_cycle_anchor"]
    moved = [
        {
            **item,
            "current_period_start": at,
            "current_period_end": next_after(at, anchor, item["price"]["recurring"]),
        }
        for item in items["data"]
    ]
    subscription_status.change(
        account, subscription, status=status, discounts=lasting, items={**items, "data": moved}
    )
    lines = invoice_lines.of(account, subscription)
    invoice = invoices.draft(account, subscription, lines, reason="subscription_cycle")
    subscription["latest_invoice"] = invoice["id"]
    if status == "unpaid":
        invoice["auto_advance"] = False
        return
    if subscription["pause_collection"] is not None:
        invoices.set_aside(account, invoice, subscription["pause_collection"]["behavior"])
        return
    invoices.finalize(account, invoice)
    if invoice["status"] == "open":
        _collect(account, subscription, invoice)
    else:
        subscription_status.settle(account, invoice)


def _retry(account: Account, invoice: JSON) -> None:
    invoice["next_payment_attempt"] = None
    subscription = account.get("subscription", invoices.subscription_id(invoice))
    _collect(account, subscription, invoice)


def _collect(account: Account, subscription: JSON, invoice: JSON) -> None:
    customer = account.get("customer", subscription["customer"])
    method = invoice_payments.paying_method(account, customer, subscription)
    if method is not None:
        invoice_payments.collect(account, invoice, method, off_session=True)
        return
    invoices.mark_failed(account, invoice)
    subscription_status.fail(account, invoice)
