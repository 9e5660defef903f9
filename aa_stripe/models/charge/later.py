"""Leaving the collection of a charge to a worker or to cron."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone

from aa_stripe.models.charge.attempt import reject_charged
from aa_stripe.models.charge.changes import save_changes
from aa_stripe.models.rows import database_of
from aa_stripe.processors import CHARGES

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge


def charge_later(charge: StripeCharge) -> None:
    """See ``StripeCharge.charge_later``.

    The row itself says that it is to be collected, so nothing depends on the queue.
    """
    reject_charged(charge)
    save_changes(
        charge,
        charge_attempt_failed=False,
        is_manual_charge=False,
        retry_at=None,
        updated=timezone.now(),
    )
    processor = CHARGES.value()
    if processor not in CHARGES.words:
        # A subclass with a table of its own may have another primary key.
        CHARGES.pass_on(processor, charge.id, using=database_of(charge))
