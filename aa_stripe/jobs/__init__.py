"""The unattended jobs. Each is a function that returns a ``Report``.

``check_pending_webhooks`` returns a ``Pending``, which contains one. The management commands are
thin wrappers around the jobs. A project's task queue may call them too, as well as the functions
that receive and apply events.
"""

from aa_stripe.inbox import Received, apply_webhook, read_event, receive
from aa_stripe.jobs.charges import charge_one, charge_pending, preview_pending
from aa_stripe.jobs.coupons import refresh_coupons
from aa_stripe.jobs.customers import refresh_customers
from aa_stripe.jobs.events import Pending, check_pending_webhooks
from aa_stripe.jobs.report import Failure, Outcome, Report
from aa_stripe.jobs.run import Watcher
from aa_stripe.jobs.subscriptions import (
    end_due_subscriptions,
    preview_due_subscriptions,
    refresh_subscriptions,
)
from aa_stripe.jobs.webhooks import preview_webhooks, process_webhooks, prune_webhooks

__all__ = [
    "Failure",
    "Outcome",
    "Pending",
    "Received",
    "Report",
    "Watcher",
    "apply_webhook",
    "charge_one",
    "charge_pending",
    "check_pending_webhooks",
    "end_due_subscriptions",
    "preview_due_subscriptions",
    "preview_pending",
    "preview_webhooks",
    "process_webhooks",
    "prune_webhooks",
    "read_event",
    "receive",
    "refresh_coupons",
    "refresh_customers",
    "refresh_subscriptions",
]
