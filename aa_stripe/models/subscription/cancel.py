"""Ending a subscription, now or with its period."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aa_stripe import gateway
from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models.latest import save_newer, version_of
from aa_stripe.models.subscription.subscribe import values_of

if TYPE_CHECKING:
    from aa_stripe.models.subscription.model import StripeSubscription

#: Final states at Stripe.
ENDED = frozenset({"canceled", "incomplete_expired"})


def cancel(row: StripeSubscription, at_period_end: bool) -> gateway.Subscription:
    """See ``StripeSubscription.cancel``."""
    if not row.is_created_at_stripe:
        raise StripeMethodNotAllowed("The subscription is not created at Stripe.")
    version = version_of(row)
    subscription = gateway.retrieve_subscription(row.stripe_subscription_id)
    if not _is_done(subscription, at_period_end):
        subscription = cancel_at_stripe(row.stripe_subscription_id, at_period_end)
    if save_newer(row, version, values_of(row, subscription)):
        return subscription
    return row.refresh_from_stripe()


def cancel_at_stripe(stripe_id: str, at_period_end: bool) -> gateway.Subscription:
    """Cancel it, unless another party has done so; return Stripe's subscription."""
    try:
        if at_period_end:
            return gateway.update_subscription(stripe_id, {"cancel_at_period_end": True})
        return gateway.cancel_subscription(stripe_id)
    except gateway.InvalidRequestError:
        # It may have been canceled since it was read: Stripe does not change it any more then, but
        # still returns it.
        subscription = gateway.retrieve_subscription(stripe_id)
        if not _is_done(subscription, at_period_end):
            raise
        return subscription


def _is_done(subscription: gateway.Subscription, at_period_end: bool) -> bool:
    """Return whether the subscription has ended, or will end by itself as requested."""
    if subscription.status in ENDED:
        return True
    return at_period_end and _ends_with_period(gateway.to_json(subscription))


def _ends_with_period(described: gateway.JSON) -> bool:
    """Return whether the subscription ends with its period or earlier.

    The customer portal, and subscriptions with flexible billing, have ``cancel_at`` instead of
    ``cancel_at_period_end``. https://docs.stripe.com/billing/subscriptions/cancel
    """
    if described.get("cancel_at_period_end"):
        return True
    cancel_at, items = described.get("cancel_at"), described["items"]["data"]
    return bool(cancel_at) and cancel_at <= max(it["current_period_end"] for it in items)
