"""``/v1/subscriptions``."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base import searching
from aa_stripe.testing.base.paging import is_within, page
from aa_stripe.testing.base.refusals import bad_parameter, invalid, no_such, reject_unsupported
from aa_stripe.testing.billing import (
    discounts,
    proration,
    renewal,
    subscription_creation,
    subscription_status,
    subscription_update,
)

UNSUPPORTED_FILTERS = {"automatic_tax", "customer_account", "test_clock"}


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Create a subscription; without a trial its first invoice is collected immediately."""
    return subscription_creation.create(account, subscription_creation.read(account, params))


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one subscription, which may have ended."""
    return account.get("subscription", id)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change a subscription; an ended one only in its informational fields."""
    subscription = account.get("subscription", id)
    subscription_update.update(account, subscription, params)
    return subscription


def cancel(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Cancel a subscription immediately; raise a refusal if it has ended."""
    subscription = account.get("subscription", id)
    if subscription["status"] in subscription_status.ENDED:
        raise no_such("subscription", id)
    details = {**subscription["cancellation_details"], **params.get("cancellation_details", {})}
    subscription["cancellation_details"] = details
    if subscription["status"] == "incomplete":
        subscription_status.expire(account, subscription, at=account.now, requested=True)
        return subscription
    if subscription["status"] == "active" and params.get("prorate") and params.get("invoice_now"):
        proration.credit_unused(account, subscription)
    subscription.update(cancel_at=None, cancel_at_period_end=False, canceled_at=account.now)
    subscription_status.cancel(
        account, subscription, at=account.now, reason="cancellation_requested"
    )
    return subscription


def resume(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Resume a paused subscription once the period that begins now is paid."""
    subscription = account.get("subscription", id)
    if subscription["status"] != "paused":
        # Unverified: Stripe's wording.
        raise invalid(
            f"Only paused subscriptions can be resumed; {id} is {subscription['status']}."
        )
    if params.get("billing_cycle_anchor", "now") not in ("now", {"type": "now"}):
        raise bad_parameter(
            "FakeStripe supports only billing_cycle_anchor=now for resuming.",
            param="billing_cycle_anchor",
        )
    renewal.begin(account, subscription, at=account.now, status="paused")
    return subscription


def delete_discount(account: Account, params: dict[str, Any], id: str) -> JSON:
    """End the discounts of a subscription, and return the last one."""
    subscription = account.get("subscription", id)
    if not subscription["discounts"]:
        # Unverified: Stripe's wording.
        raise invalid(f"No active discount for subscription: {id}", status=404)
    ended = account.get("discount", subscription["discounts"][-1])
    discounts.end_others(account, subscription["discounts"], [])
    subscription_status.change(account, subscription, discounts=[])
    return {**ended, "deleted": True}


def search(account: Account, params: dict[str, Any]) -> JSON:
    """Find subscriptions by one value of their metadata, ended ones included."""
    return searching.search(
        "/v1/subscriptions", account.all("subscription"), params, now=account.now
    )


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List subscriptions; without a ``status``, those not canceled."""
    reject_unsupported(params, UNSUPPORTED_FILTERS)
    found = [
        item
        for item in account.matching("subscription", params, by=("customer",))
        if _is_wanted(item, params)
    ]
    return page("/v1/subscriptions", found, params)


def _is_wanted(subscription: JSON, params: dict[str, Any]) -> bool:
    items = subscription["items"]["data"]
    prices = {item["price"]["id"] for item in items}
    method = params.get("collection_method", subscription["collection_method"])
    return (
        _has_status(subscription["status"], params.get("status"))
        and {params[name] for name in ("plan", "price") if name in params} <= prices
        and method == subscription["collection_method"]
        and all(
            is_within(items[0][name], params[name])
            for name in ("current_period_start", "current_period_end")
            if name in params
        )
    )


def _has_status(status: str, wanted: str | None) -> bool:
    # Unverified: Stripe may leave out incomplete_expired ones if no status is given.
    if wanted is None:
        return status != "canceled"
    if wanted == "ended":
        return status in subscription_status.ENDED
    return wanted in ("all", status)
