"""The scheduled end of a subscription."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import bad_parameter, exclusive

NAMES = ("cancel_at", "cancel_at_period_end", "cancellation_details")

AT_PERIOD_END = ("max_period_end", "min_period_end")
"""Values of ``cancel_at``. They mean the same here, where all items have the same period."""


def read(account: Account, subscription: JSON, params: dict[str, Any]) -> JSON:
    """Return the fields of a subscription that hold when, and why, it will end."""
    if params.get("cancel_at") and params.get("cancel_at_period_end"):
        raise exclusive("cancel_at", "cancel_at_period_end")
    details = {**subscription["cancellation_details"], **params.get("cancellation_details", {})}
    if not {"cancel_at", "cancel_at_period_end"} & set(params):
        return {"cancellation_details": details}
    at_period_end = params.get("cancel_at_period_end", False)
    at = _moment(account, subscription, params)
    if at is None:
        details["reason"] = None
        return {
            "cancel_at": None,
            "cancel_at_period_end": False,
            "canceled_at": None,
            "cancellation_details": details,
        }
    details["reason"] = "cancellation_requested"
    return {
        "cancel_at": at,
        "cancel_at_period_end": at_period_end,
        "canceled_at": account.now,
        "cancellation_details": details,
    }


def _moment(account: Account, subscription: JSON, params: dict[str, Any]) -> int | None:
    """Return when the subscription ends (seconds since 1970), or ``None`` if no end is set."""
    sent: int | str | None = params.get("cancel_at") or None
    if params.get("cancel_at_period_end") or sent in AT_PERIOD_END:
        return int(subscription["items"]["data"][0]["current_period_end"])
    if sent is None:
        return None
    if isinstance(sent, str):
        raise bad_parameter(f"FakeStripe does not support cancel_at={sent}.", param="cancel_at")
    if sent <= account.now:
        raise bad_parameter(
            "Invalid timestamp: must be an integer Unix timestamp in the future.",
            param="cancel_at",
        )
    return sent
