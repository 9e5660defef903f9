"""Our handlers of Stripe's events, one module for each noun.

An event is a hint that something has changed: events come late, twice, and out of order. So each
handler locks the row, retrieves the object from Stripe, then writes.
https://docs.stripe.com/webhooks#event-ordering
"""

# Handlers run in the order of their registration, so this is not sorted.
# isort: off
from aa_stripe.stripe_webhooks import (
    charges,
    refunds,
    disputes,
    customers,
    subscriptions,
    coupons,
)

__all__ = ["charges", "coupons", "customers", "disputes", "refunds", "subscriptions"]
