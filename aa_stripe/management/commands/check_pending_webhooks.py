"""``manage.py check_pending_webhooks``"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.mail import mail_admins
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from aa_stripe.exceptions import StripePendingWebhooksLimitExceeded
from aa_stripe.jobs import Report, Watcher, check_pending_webhooks
from aa_stripe.jobs.events import GRACE, LONGEST_WINDOW, WINDOW
from aa_stripe.management.job_command import JobCommand, length_of_time
from aa_stripe.settings import stripe_settings

logger = logging.getLogger("aa-stripe")

#: 0.14's spelling.
StripePendingWebooksLimitExceeded = StripePendingWebhooksLimitExceeded

SUBJECT = "Stripe webhooks pending threshold exceeded"

#: So many ids are listed in the mail.
IDS_IN_MAIL = 1000

#: Says where the events are missing when the project has no sites.
NO_SITE = "this site"


class Command(JobCommand):
    help = "Look for events of Stripe's that never arrived; tell the admins of too many."
    limit_help = "With --recover, fetch at most N events."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--site", type=int, metavar="ID", help="Default: the first site.")
        parser.add_argument(
            "--since",
            type=float,
            default=WINDOW.days,
            metavar="DAYS",
            help=f"How far to look back (default: {WINDOW.days}, at most {LONGEST_WINDOW.days}).",
        )
        parser.add_argument(
            "--grace",
            type=float,
            default=GRACE.total_seconds(),
            metavar="SECONDS",
            help=f"How long an event may take to arrive (default: {GRACE.total_seconds():.0f}).",
        )
        parser.add_argument(
            "--recover", action="store_true", help="Fetch what is missing, and apply it."
        )

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        since = length_of_time("--since", options["since"], timedelta(days=1))
        grace = length_of_time("--grace", options["grace"], timedelta(seconds=1))
        if since is None or grace is None or not grace < since <= LONGEST_WINDOW:
            raise CommandError(
                f"--since is at most {LONGEST_WINDOW.days} days, and longer than --grace."
            )
        self._domain = _domain_of(options["site"])
        pending = check_pending_webhooks(
            since=since,
            grace=grace,
            recover=options["recover"] and not options["dry_run"],
            limit=options["limit"],
            rate=options["rate"],
            watcher=watcher,
        )
        self._missing = pending.missing
        return pending.report

    def conclude(self, report: Report, options: dict[str, Any]) -> None:
        """List what is missing; if it is too much, tell the admins and fail.

        Raises ``StripePendingWebhooksLimitExceeded``.
        """
        if options["verbosity"] > 0:
            for event_id in self._missing:
                self.stdout.write(f"Still missing: {event_id}")
        if len(self._missing) <= stripe_settings.PENDING_WEBHOOKS_THRESHOLD or options["dry_run"]:
            return
        try:
            mail_admins(SUBJECT, _message(self._missing, self._domain))
        except Exception:
            logger.exception("The admins could not be told of the missing events.")
        raise StripePendingWebhooksLimitExceeded(
            f"{len(self._missing)} events of Stripe's have not arrived at {self._domain}."
        )


def _domain_of(site_id: int | None) -> str:
    """Raises ``CommandError`` for a site that is not there."""
    if not apps.is_installed("django.contrib.sites"):
        if site_id is not None:
            raise CommandError("--site needs django.contrib.sites in INSTALLED_APPS.")
        return NO_SITE
    from django.contrib.sites.models import Site

    if site_id is None:
        first = Site.objects.order_by("pk").first()
        return first.domain if first is not None else NO_SITE
    site = Site.objects.filter(pk=site_id).first()
    if site is None:
        raise CommandError(f"There is no site with the id {site_id}.")
    return site.domain


def _message(missing: list[str], domain: str) -> str:
    allowed = stripe_settings.PENDING_WEBHOOKS_THRESHOLD
    lines = [
        f"{len(missing)} Stripe webhooks have not arrived at {domain}.",
        f"STRIPE_PENDING_WEBHOOKS_THRESHOLD allows {allowed}.",
        f"Time: {timezone.now().isoformat(timespec='seconds')}",
    ]
    if stripe_settings.ENV_PREFIX:
        lines.append(f"Server environment: {stripe_settings.ENV_PREFIX}")
    lines += ["", "The ids of the events, the oldest first:", *missing[:IDS_IN_MAIL]]
    if len(missing) > IDS_IN_MAIL:
        lines.append(f"... and {len(missing) - IDS_IN_MAIL} more")
    lines += ["", "manage.py check_pending_webhooks --recover fetches and applies them."]
    return "\n".join(lines)
