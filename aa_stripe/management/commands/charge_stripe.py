"""The command ``manage.py charge_stripe``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from aa_stripe.jobs import Report, Watcher, charge_pending, preview_pending
from aa_stripe.management.job_command import JobCommand


class Command(JobCommand):
    help = "Collect every pending charge. Meant for cron."
    limit_help = "Try at most N charges; skipped ones do not count."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--workers",
            type=int,
            metavar="N",
            help="Work on N charges at once (default: 4, and 1 on SQLite).",
        )

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        workers = options["workers"]
        if workers is not None and workers < 1:
            raise CommandError(f"--workers must be at least 1 (got {workers}).")
        if options["dry_run"]:
            return preview_pending(limit=options["limit"], watcher=watcher)
        return charge_pending(
            limit=options["limit"], rate=options["rate"], workers=workers, watcher=watcher
        )
