"""``/v1/tax_rates``: inclusive and exclusive tax rates."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.decimals import check_places
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import bad_parameter

COPIED = (
    "active",
    "country",
    "description",
    "display_name",
    "jurisdiction",
    "state",
    "tax_type",
)
MAX_PLACES = 4
"""https://docs.stripe.com/billing/taxes/tax-rates"""


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Create a tax rate; ``percentage`` and ``inclusive`` cannot be changed later."""
    percentage = params["percentage"]
    check_places(percentage, MAX_PLACES, param="percentage")
    if not 0 <= percentage <= 100:
        # Unverified: Stripe's wording.
        raise bad_parameter("The percentage must be between 0 and 100.", param="percentage")
    rate = account.add(
        "tax_rate",
        inclusive=params["inclusive"],
        metadata=merge({}, params.get("metadata")),
        percentage=float(percentage),
        **_copied(params),
    )
    account.emit("tax_rate.created", rate)
    return rate


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one tax rate."""
    return account.get("tax_rate", id)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change the descriptive fields, or deactivate the rate."""
    rate = account.get("tax_rate", id)
    before = dict(rate)
    metadata = merge(rate["metadata"], params.get("metadata"))
    rate.update(_copied(params), metadata=metadata)
    account.emit("tax_rate.updated", rate, before=before)
    return rate


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List tax rates, by ``active`` or ``inclusive``."""
    wanted = {name: params[name] for name in ("active", "inclusive") if name in params}
    found = [
        rate
        for rate in account.all("tax_rate")
        if all(rate[name] == value for name, value in wanted.items())
    ]
    return page("/v1/tax_rates", found, params)


def _copied(params: dict[str, Any]) -> JSON:
    return {name: params[name] for name in COPIED if name in params}
