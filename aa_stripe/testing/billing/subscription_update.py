"""The update of a subscription: items, terms, trial and end."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.refusals import bad_parameter, invalid, no_such
from aa_stripe.testing.billing import (
    cancellation,
    discounts,
    renewal,
    subscription_items,
    subscription_status,
    subscription_terms,
    trials,
)

EDITABLE_WHEN_ENDED = {"cancellation_details", "expand", "metadata"}

EDITABLE_WHEN_INCOMPLETE = {*EDITABLE_WHEN_ENDED, "default_payment_method", "default_source"}
"""Unverified: ``default_payment_method``; the SDK names only metadata and ``default_source``."""


def update(account: Account, subscription: JSON, params: dict[str, Any]) -> None:
    """Check all changes of a request, then apply them."""
    check_editable(subscription, params)
    subscription_terms.check_supported(params)
    checked = discounts.check(
        account,
        params.get("discounts") or [],
        subscription["currency"],
        held=subscription["discounts"],
    )
    changes = {
        "metadata": merge(subscription["metadata"], params.get("metadata")),
        **subscription_terms.read(account, subscription["customer"], params),
        **_pause(params),
        **_trial(account, subscription, params),
        **_items(account, subscription, params),
    }
    changes.update(cancellation.read(account, {**subscription, **changes}, params))

    if checked or params.get("discounts") == "":
        redeemed = discounts.redeem(account, checked, subscription["customer"], subscription["id"])
        changes["discounts"] = redeemed
        discounts.end_others(account, subscription["discounts"], redeemed)
    subscription_status.change(account, subscription, **changes)
    if params.get("trial_end") == "now" and subscription["status"] == "trialing":
        renewal.end_trial(account, subscription, at=account.now)


def check_editable(subscription: JSON, params: dict[str, Any]) -> None:
    """Raise an error if the status of the subscription does not allow the changes."""
    status = subscription["status"]
    if status in subscription_status.ENDED and set(params) - EDITABLE_WHEN_ENDED:
        raise invalid(
            "A canceled subscription can only update its cancellation_details and metadata."
        )
    if status == "incomplete" and set(params) - EDITABLE_WHEN_INCOMPLETE:
        # Unverified: Stripe's error text.
        raise invalid(
            "A subscription whose status is incomplete can only update its metadata and "
            "default_source."
        )


def _pause(params: dict[str, Any]) -> JSON:
    if "pause_collection" not in params:
        return {}
    sent = params["pause_collection"]
    if sent and sent.get("resumes_at"):
        raise bad_parameter(
            "FakeStripe does not support pause_collection[resumes_at].",
            param="pause_collection[resumes_at]",
        )
    pause = {"behavior": sent["behavior"], "resumes_at": None} if sent else None
    return {"pause_collection": pause}


def _trial(account: Account, subscription: JSON, params: dict[str, Any]) -> JSON:
    """Return the fields that a new end of the trial changes; none if it ends now."""
    sent = params.get("trial_end")
    end = trials.read_moment(account, sent) if sent is not None else None
    if end is None:
        return {}
    if subscription["status"] != "trialing":
        raise bad_parameter(
            "FakeStripe begins trials only with the subscription.", param="trial_end"
        )
    account.warned.discard(subscription["id"])
    items = subscription["items"]
    moved = [{**item, "current_period_end": end} for item in items["data"]]
    return {
        "billing_cycle_anchor": end,
        "items": {**items, "data": moved},
        "trial_end": end,
    }


def _items(account: Account, subscription: JSON, params: dict[str, Any]) -> JSON:
    if "items" not in params:
        return {}
    if params.get("proration_behavior") != "none":
        raise bad_parameter(
            "FakeStripe does not support prorations; change items with proration_behavior=none.",
            param="proration_behavior",
        )
    held = subscription["items"]
    updated = {item["id"]: dict(item) for item in held["data"]}
    added = []
    for place, sent in enumerate(params["items"]):
        path = f"items[{place}]"
        if "id" not in sent:
            added += _added(account, held["data"][0], sent, path)
        elif sent["id"] not in updated:
            raise no_such("subscription_item", sent["id"], param=f"{path}[id]")
        elif sent.get("deleted"):
            del updated[sent["id"]]
        else:
            updated[sent["id"]].update(_updated(account, updated[sent["id"]], sent, path))
    items = [*updated.values(), *added]
    if not items:
        raise invalid("A subscription must have at least one active plan.", param="items")
    subscription_items.check_together(items)
    if subscription_items.interval_of(items[0]) != subscription_items.interval_of(held["data"][0]):
        raise bad_parameter(
            "FakeStripe does not support changing how often a subscription is billed.",
            param="items",
        )
    return {"items": {**held, "data": items}}


def _added(account: Account, beside: JSON, sent: dict[str, Any], path: str) -> list[JSON]:
    (item,) = subscription_items.read(account, [sent])
    listed = subscription_items.place(
        account,
        [item],
        beside["subscription"],
        beside["current_period_start"],
        beside["current_period_end"],
    )
    placed: list[JSON] = listed["data"]
    return placed


def _updated(account: Account, item: JSON, sent: dict[str, Any], path: str) -> JSON:
    changes: JSON = {"metadata": merge(item["metadata"], sent.get("metadata"))}
    if "plan" in sent or "price" in sent:
        price = subscription_items.read_price(account, sent, path)
        changes.update(price=price, plan=account.get("plan", price["id"]), quantity=1)
    if "quantity" in sent:
        changes["quantity"] = subscription_items.read_quantity(sent, path)
    return changes
