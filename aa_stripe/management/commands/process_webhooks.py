"""The command ``manage.py process_webhooks``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser

from aa_stripe.jobs import (
    Report,
    Watcher,
    preview_webhooks,
    process_webhooks,
    prune_webhooks,
)
from aa_stripe.jobs.webhooks import KEPT_FOR
from aa_stripe.management.job_command import JobCommand, length_of_time
from aa_stripe.models import StripeWebhook


class Command(JobCommand):
    help = "Apply the stored events that are due. Meant for cron."
    limit_help = "Try at most N events; skipped ones do not count."
    fewest_workers = 0

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--id",
            action="append",
            default=[],
            dest="ids",
            metavar="EVENT",
            help="Apply only this event, even if it failed or is not due; may be repeated.",
        )
        parser.add_argument(
            "--failed",
            action="store_true",
            help="Retry events that failed or that a handler rejected, due or not; all their "
            "handlers run again.",
        )
        parser.add_argument(
            "--older-than",
            type=float,
            metavar="SECONDS",
            help="Apply only events that were stored more than SECONDS ago.",
        )
        parser.add_argument(
            "--workers",
            type=int,
            metavar="N",
            help="Work on N events at once (default: 1). With 0 the main thread applies them, "
            "without a time limit.",
        )
        parser.add_argument(
            "--prune",
            type=float,
            metavar="DAYS",
            help="Afterwards delete events that were applied without an error and stored more "
            f"than DAYS ago (DAYS must be at least {KEPT_FOR.days}).",
        )

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        keep_for = length_of_time("--prune", options["prune"], timedelta(days=1))
        if keep_for is not None and keep_for < KEPT_FOR:
            raise CommandError(f"--prune must be at least {KEPT_FOR.days} days.")
        try:
            report = self._apply(options, watcher)
        except StripeWebhook.DoesNotExist as error:
            raise CommandError(f"--id: {error}") from error
        if keep_for is not None and not report.stopped:
            pruned = prune_webhooks(
                older_than=keep_for, dry_run=options["dry_run"], watcher=watcher
            )
            report.done += pruned.done
            report.failed += pruned.failed
            report.stopped = pruned.stopped
        return report

    def _apply(self, options: dict[str, Any], watcher: Watcher) -> Report:
        chosen: dict[str, Any] = {
            "ids": options["ids"],
            "failed": options["failed"],
            "older_than": length_of_time(
                "--older-than", options["older_than"], timedelta(seconds=1)
            ),
        }
        if options["dry_run"]:
            return preview_webhooks(**chosen, limit=options["limit"], watcher=watcher)
        return process_webhooks(
            **chosen,
            limit=options["limit"],
            rate=options["rate"],
            workers=options["workers"],
            watcher=watcher,
        )
