"""The command ``manage.py refresh_customers``."""

from __future__ import annotations

from aa_stripe.jobs import refresh_customers
from aa_stripe.management.refresh_command import RefreshCommand


class Command(RefreshCommand):
    help = "Update the customers that changed at Stripe. Meant for cron."
    limit_help = "Refresh at most N customers; the next run begins with the same ones again."
    work = "customers"
    refresh = staticmethod(refresh_customers)
