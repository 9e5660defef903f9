"""What runs unattended: each job is a function that returns a ``Report``.

The management commands are thin over these; a project's task queue may call them as well.
"""

from aa_stripe.jobs.charges import charge_pending, preview_pending
from aa_stripe.jobs.coupons import refresh_coupons
from aa_stripe.jobs.customers import refresh_customers
from aa_stripe.jobs.report import Failure, Outcome, Report
from aa_stripe.jobs.run import Watcher
from aa_stripe.jobs.subscriptions import end_due_subscriptions, preview_due_subscriptions

__all__ = [
    "Failure",
    "Outcome",
    "Report",
    "Watcher",
    "charge_pending",
    "end_due_subscriptions",
    "preview_due_subscriptions",
    "preview_pending",
    "refresh_coupons",
    "refresh_customers",
]
