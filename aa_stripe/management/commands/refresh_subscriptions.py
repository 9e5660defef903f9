"""The command ``manage.py refresh_subscriptions``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from aa_stripe.jobs import Report, Watcher, refresh_subscriptions
from aa_stripe.management.job_command import JobCommand


class Command(JobCommand):
    help = "Update the subscriptions that changed at Stripe. Meant for cron."
    limit_help = "Refresh at most N subscriptions; the next run begins with the same ones again."
    work = "subscriptions"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--all",
            action="store_true",
            dest="everything",
            help="Compare all subscriptions, not only those that Stripe's events name.",
        )

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        return refresh_subscriptions(
            everything=options["everything"],
            limit=options["limit"],
            rate=options["rate"],
            workers=options["workers"],
            dry_run=options["dry_run"],
            watcher=watcher,
        )
