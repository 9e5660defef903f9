"""The command ``manage.py charge_stripe``."""

from __future__ import annotations

from typing import Any

from aa_stripe.jobs import Report, Watcher, charge_pending, preview_pending
from aa_stripe.management.job_command import JobCommand


class Command(JobCommand):
    help = "Collect every pending charge. Meant for cron."
    limit_help = "Try at most N charges; skipped ones do not count."
    work = "charges"

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        if options["dry_run"]:
            return preview_pending(limit=options["limit"], watcher=watcher)
        return charge_pending(
            limit=options["limit"],
            rate=options["rate"],
            workers=options["workers"],
            watcher=watcher,
        )
