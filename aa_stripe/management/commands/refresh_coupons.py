"""``manage.py refresh_coupons``"""

from __future__ import annotations

from typing import Any

from aa_stripe.jobs import Report, Watcher, refresh_coupons
from aa_stripe.management.job_command import JobCommand


class Command(JobCommand):
    help = "Take over from Stripe the coupons that are there, and mark those that are gone."
    limit_help = "Read at most N coupons, the newest first; none is marked as gone then."

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        return refresh_coupons(
            limit=options["limit"],
            rate=options["rate"],
            dry_run=options["dry_run"],
            watcher=watcher,
        )
