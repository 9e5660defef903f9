"""Writing a subscription of a listing, whose page may be older than the row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aa_stripe.models.erasable import kept
from aa_stripe.models.latest import Write, has_values
from aa_stripe.models.subscription.price import plan_of

if TYPE_CHECKING:
    from aa_stripe.models.subscription.model import StripeSubscription


def write_listed(row: StripeSubscription, values: dict[str, Any], write: Write) -> bool:
    """Write the values if the row has the same response of Stripe's; return whether it was done.

    The other values may differ: those of columns that were added since. Only then the plan is read.
    """
    values = kept(row, values)
    if row.stripe_response != values["stripe_response"]:
        return False
    if not has_values(row, values):
        values = {**values, **plan_of(row, values["stripe_price_id"])}
    return write(row, row.updated, values)
