"""The command ``manage.py refresh_customers``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from aa_stripe.jobs import Report, Watcher, refresh_customers
from aa_stripe.management.job_command import JobCommand


class Command(JobCommand):
    help = "Update the customers that changed at Stripe. Meant for cron."
    limit_help = "Refresh at most N customers; the next run begins with the same ones again."
    work = "customers"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--all",
            action="store_true",
            dest="everything",
            help="Compare all customers, not only those that Stripe's events name.",
        )

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        return refresh_customers(
            everything=options["everything"],
            limit=options["limit"],
            rate=options["rate"],
            workers=options["workers"],
            dry_run=options["dry_run"],
            watcher=watcher,
        )
