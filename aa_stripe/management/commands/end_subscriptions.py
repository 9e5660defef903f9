"""The command ``manage.py end_subscriptions``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from aa_stripe.jobs import Report, Watcher, end_due_subscriptions, preview_due_subscriptions
from aa_stripe.management.job_command import JobCommand


class Command(JobCommand):
    help = "Cancel every active subscription whose end date is reached. Meant for cron."
    limit_help = "Try at most N subscriptions."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--now",
            action="store_true",
            help="End the subscriptions at once (default: at the end of the paid period).",
        )

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        if options["dry_run"]:
            return preview_due_subscriptions(limit=options["limit"], watcher=watcher)
        return end_due_subscriptions(
            at_period_end=not options["now"],
            limit=options["limit"],
            rate=options["rate"],
            watcher=watcher,
        )
