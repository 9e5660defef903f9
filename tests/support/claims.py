"""The claim of a row: held by another process, or left by one that died."""

from __future__ import annotations

from datetime import timedelta

from aa_stripe.models import StripeCharge, StripeRefund, StripeSubscription
from aa_stripe.models.claims import DatabaseNow


def hold(row):
    """Claim the row as another process does that works on it now."""
    _claim(row, timedelta(minutes=4))


def let_holder_die(row):
    """Leave the claim of a process that died: its lease is over."""
    _claim(row, timedelta(minutes=-1))


def end_lease(row):
    """End the lease of the row's holder, which still works."""
    _update(row, claimed_until=DatabaseNow() - timedelta(minutes=1))


def end_all_leases():
    """End the leases of processes that were killed."""
    for model in (StripeCharge, StripeRefund, StripeSubscription):
        claimed = model.objects.exclude(claimed_until=None)
        claimed.update(claimed_until=DatabaseNow() - timedelta(minutes=1))


def _claim(row, remaining):
    _update(row, claim="of-another-process", claimed_until=DatabaseNow() + remaining)


def _update(row, **values):
    assert type(row).objects.filter(pk=row.pk).update(**values) == 1
