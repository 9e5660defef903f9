"""The command ``manage.py refresh_coupons``."""

from __future__ import annotations

from typing import Any

from aa_stripe.jobs import Report, Watcher, refresh_coupons
from aa_stripe.management.job_command import JobCommand


class Command(JobCommand):
    help = "Update the coupons from Stripe, and mark those that are deleted there. Meant for cron."
    limit_help = (
        "Read at most N coupons, the newest first; a run that reaches N marks none as deleted."
    )

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        return refresh_coupons(
            limit=options["limit"],
            rate=options["rate"],
            dry_run=options["dry_run"],
            watcher=watcher,
        )
