"""The claim of a charge: held by another process, or left by one that died."""

from __future__ import annotations

from datetime import timedelta

from aa_stripe.models import StripeCharge
from aa_stripe.models.claims import DatabaseNow


def hold(charge):
    """Claim the charge as another process does that works on it now."""
    _claim(charge, timedelta(minutes=4))


def let_holder_die(charge):
    """Leave the claim of a process that died: its lease is over."""
    _claim(charge, timedelta(minutes=-1))


def end_lease(charge):
    """End the lease of the charge's holder, which still works."""
    _update(charge, claimed_until=DatabaseNow() - timedelta(minutes=1))


def _claim(charge, remaining):
    _update(charge, claim="of-another-process", claimed_until=DatabaseNow() + remaining)


def _update(charge, **values):
    assert StripeCharge.objects.filter(pk=charge.pk).update(**values) == 1
