"""The command ``manage.py refresh_subscriptions``."""

from __future__ import annotations

from aa_stripe.jobs import refresh_subscriptions
from aa_stripe.management.refresh_command import RefreshCommand


class Command(RefreshCommand):
    help = "Update the subscriptions that changed at Stripe. Meant for cron."
    limit_help = "Refresh at most N subscriptions; the next run begins with the same ones again."
    work = "subscriptions"
    refresh = staticmethod(refresh_subscriptions)
