"""Trials: the free first period of a subscription."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import at_least, bad_parameter, exclusive
from aa_stripe.testing.billing.periods import DAY

MAX_DAYS = 730


def read_end(account: Account, params: dict[str, Any], items: list[JSON]) -> int | None:
    """Return when the trial ends (seconds since 1970), or ``None`` without a trial."""
    if "trial_end" in params:
        for name in ("trial_from_plan", "trial_period_days"):
            if params.get(name):
                raise exclusive("trial_end", name)
        return read_moment(account, params["trial_end"])
    days = _days(params, items)
    if days > MAX_DAYS:
        raise _too_long("trial_period_days")
    return account.now + days * DAY if days else None


def read_moment(account: Account, sent: int | str) -> int | None:
    """Return ``trial_end`` of a request as a time, or ``None`` for ``"now"``."""
    if isinstance(sent, str):
        return None
    if sent <= account.now:
        raise bad_parameter(
            "Invalid timestamp: must be an integer Unix timestamp in the future.",
            param="trial_end",
        )
    if sent > account.now + MAX_DAYS * DAY:
        raise _too_long("trial_end")
    return sent


def read_settings(params: dict[str, Any]) -> JSON:
    """Return the ``trial_settings`` of a subscription."""
    behavior = params.get("trial_settings", {}).get("end_behavior", {})
    missing = behavior.get("missing_payment_method", "create_invoice")
    return {"end_behavior": {"missing_payment_method": missing}}


def _days(params: dict[str, Any], items: list[JSON]) -> int:
    if "trial_period_days" in params:
        days: int = params["trial_period_days"]
        if days < 0:
            raise at_least(0, param="trial_period_days")
        return days
    if not params.get("trial_from_plan"):
        return 0
    return max(item["price"]["recurring"]["trial_period_days"] or 0 for item in items)


def _too_long(param: str) -> Exception:
    # Unverified: Stripe's error text.
    return bad_parameter(f"A trial may be at most {MAX_DAYS} days long.", param=param)
