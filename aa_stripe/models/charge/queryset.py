"""The queries for charges that the jobs and a site's monitoring share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge  # noqa: F401 (named as a string)


class StripeChargeQuerySet(models.QuerySet["StripeCharge"]):
    def pending(self) -> StripeChargeQuerySet:
        """Return the rows that ``charge_stripe`` collects.

        They are not charged, not failed and not manual, and their user is not deleted.
        """
        return self.filter(
            is_charged=False,
            charge_attempt_failed=False,
            is_manual_charge=False,
            user__isnull=False,
        )

    def unsettled(self) -> StripeChargeQuerySet:
        """Return the unpaid rows about which Stripe may know more than they say."""
        return self.filter(is_charged=False, is_unsettled=True)

    def with_signal_due(self) -> StripeChargeQuerySet:
        """Return the rows with a signal that was not sent, after a crash or a receiver's error."""
        return self.filter(signal_due__gt="")

    def with_unknown_refund(self) -> StripeChargeQuerySet:
        """Return the rows with a refund that Stripe has not responded to."""
        return self.filter(refunds__status="unknown").distinct()
