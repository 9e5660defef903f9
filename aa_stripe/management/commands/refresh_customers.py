"""The command ``manage.py refresh_customers``."""

from __future__ import annotations

from typing import Any

from aa_stripe.jobs import Report, Watcher, refresh_customers
from aa_stripe.management.job_command import JobCommand


class Command(JobCommand):
    help = "Update the customers' payment methods from Stripe. Meant for cron."
    limit_help = "Refresh at most N customers, the newest first."

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        return refresh_customers(
            limit=options["limit"],
            rate=options["rate"],
            dry_run=options["dry_run"],
            watcher=watcher,
        )
