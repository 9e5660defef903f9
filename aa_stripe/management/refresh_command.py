"""The base of the commands that refresh what changed at Stripe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser

from aa_stripe.jobs import Report, Watcher
from aa_stripe.management.job_command import JobCommand


class RefreshCommand(JobCommand):
    """A command that refreshes changed objects, or all of them. A subclass defines ``refresh``."""

    #: The function in ``aa_stripe.jobs``, as a ``staticmethod``.
    refresh: Callable[..., Report]

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--all",
            action="store_true",
            dest="everything",
            help=f"Compare all {self.work}, not only those that Stripe's events name.",
        )

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        return self.refresh(
            everything=options["everything"],
            limit=options["limit"],
            rate=options["rate"],
            workers=options["workers"],
            dry_run=options["dry_run"],
            watcher=watcher,
        )
