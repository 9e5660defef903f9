"""The command ``manage.py check_pending_webhooks``."""

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

#: Maximum number of ids in the mail.
IDS_IN_MAIL = 1000

#: The domain named in the mail if the project has no sites.
NO_SITE = "this site"


class Command(JobCommand):
    help = "Find Stripe events that were never delivered; mail the admins if there are too many."
    limit_help = "With --recover, recover at most N events."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--site", type=int, metavar="ID", help="Site to name in the mail (default: the first)."
        )
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
            help=f"How long a delivery may take (default: {GRACE.total_seconds():.0f}).",
        )
        parser.add_argument(
            "--recover", action="store_true", help="Store and apply the missing events."
        )

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        since = length_of_time("--since", options["since"], timedelta(days=1))
        grace = length_of_time("--grace", options["grace"], timedelta(seconds=1))
        if since is None or grace is None or not grace < since <= LONGEST_WINDOW:
            raise CommandError(
                f"--since must be at most {LONGEST_WINDOW.days} days and longer than --grace."
            )
        self._domain = _domain_of(options["site"])
        pending = check_pending_webhooks(
            since=since,
            grace=grace,
            recover=options["recover"],
            dry_run=options["dry_run"],
            limit=options["limit"],
            rate=options["rate"],
            watcher=watcher,
        )
        self._missing = pending.missing
        return pending.report

    def has_something_to_act_on(self, report: Report) -> bool:
        is_too_many = len(self._missing) > stripe_settings.PENDING_WEBHOOKS_THRESHOLD
        return is_too_many or super().has_something_to_act_on(report)

    def conclude(self, report: Report, options: dict[str, Any]) -> None:
        """List the missing events; mail the admins if there are too many.

        Raises ``StripePendingWebhooksLimitExceeded`` in that case.
        """
        if not self.is_quiet:
            for event_id in self._missing:
                self.stdout.write(f"Still missing: {event_id}")
        threshold = stripe_settings.PENDING_WEBHOOKS_THRESHOLD
        if len(self._missing) <= threshold or options["dry_run"]:
            return
        try:
            mail_admins(SUBJECT, _message(self._missing, self._domain))
        except Exception:
            logger.exception("The mail to the admins could not be sent.")
        raise StripePendingWebhooksLimitExceeded(
            f"Pending webhooks threshold limit exceeded, current threshold is {threshold}: "
            f"{len(self._missing)} events have not arrived at {self._domain}"
        )


def _domain_of(site_id: int | None) -> str:
    """Return the site's domain. Raises ``CommandError`` if the site does not exist."""
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
    lines += ["", "The ids of the events, oldest first:", *missing[:IDS_IN_MAIL]]
    if len(missing) > IDS_IN_MAIL:
        lines.append(f"... and {len(missing) - IDS_IN_MAIL} more")
    lines += ["", "manage.py check_pending_webhooks --recover stores and applies them."]
    return "\n".join(lines)
