"""Our handlers of Stripe's events, one module for each kind of object.

Events may be delivered late, twice, and out of order. So an event only shows that an object has
changed: a handler retrieves the object from Stripe, and writes unless the row was written since.
https://docs.stripe.com/webhooks#event-ordering
"""

# Handlers run in the order of their registration, so this is not sorted.
# isort: off
from aa_stripe.stripe_webhooks.charges import settle_charge
from aa_stripe.stripe_webhooks.refunds import count_refunds
from aa_stripe.stripe_webhooks.disputes import log_dispute
from aa_stripe.stripe_webhooks.customers import refresh_customer
from aa_stripe.stripe_webhooks.subscriptions import (
    refresh_subscription,
    refresh_invoiced_subscription,
)
from aa_stripe.stripe_webhooks.coupons import (
    store_coupon,
    refresh_coupon,
    mark_coupon_as_deleted,
)

__all__ = [
    "count_refunds",
    "log_dispute",
    "mark_coupon_as_deleted",
    "refresh_coupon",
    "refresh_customer",
    "refresh_invoiced_subscription",
    "refresh_subscription",
    "settle_charge",
    "store_coupon",
]
