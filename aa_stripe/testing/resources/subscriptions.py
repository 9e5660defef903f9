"""``/v1/subscriptions``: from the first invoice to the last."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.paging import is_within, page
from aa_stripe.testing.base.refusals import bad_parameter, invalid, no_such, refuse_unsupported
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
    """Subscribe a customer; the first invoice is collected at once, unless there is a trial."""
    return subscription_creation.create(account, subscription_creation.read(account, params))


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one subscription, ended ones too."""
    return account.get("subscription", id)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change a subscription; of an ended one only what is for people."""
    subscription = account.get("subscription", id)
    subscription_update.update(account, subscription, params)
    return subscription


def cancel(account: Account, params: dict[str, Any], id: str) -> JSON:
    """End a subscription at once; one that has ended is not known here any more."""
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
    """Let a paused subscription go on, in a period that begins now, once that is paid."""
    subscription = account.get("subscription", id)
    if subscription["status"] != "paused":
        # Unverified: Stripe's words for this.
        raise invalid(
            f"Only paused subscriptions can be resumed; {id} is {subscription['status']}."
        )
    if params.get("billing_cycle_anchor", "now") not in ("now", {"type": "now"}):
        raise bad_parameter(
            "FakeStripe resumes only with billing_cycle_anchor=now.", param="billing_cycle_anchor"
        )
    renewal.begin(account, subscription, at=account.now, status="paused")
    return subscription


def delete_discount(account: Account, params: dict[str, Any], id: str) -> JSON:
    """End the discounts of a subscription, and return the last of them."""
    subscription = account.get("subscription", id)
    if not subscription["discounts"]:
        # Unverified: Stripe's words for this.
        raise invalid(f"No active discount for subscription: {id}", status=404)
    ended = account.get("discount", subscription["discounts"][-1])
    discounts.end_others(account, subscription["discounts"], [])
    subscription_status.change(account, subscription, discounts=[])
    return {**ended, "deleted": True}


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List subscriptions; without a ``status``, those that were not canceled."""
    refuse_unsupported(params, UNSUPPORTED_FILTERS)
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
    # Unverified: whether those that never began are listed where no status is asked for.
    if wanted is None:
        return status != "canceled"
    if wanted == "ended":
        return status in subscription_status.ENDED
    return wanted in ("all", status)
