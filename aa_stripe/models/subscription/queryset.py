"""The queries for subscriptions that the jobs and a site's own code share."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from time import time as now
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

from aa_stripe.utils import local_date

if TYPE_CHECKING:
    from aa_stripe.models.subscription.model import StripeSubscription  # noqa: F401 (a string)

DAY = timedelta(days=1)

#: In seconds.
AN_HOUR = 3600


class StripeSubscriptionQuerySet(models.QuerySet["StripeSubscription"]):
    def due_for_cancel(self) -> StripeSubscriptionQuerySet:
        """Return the active subscriptions whose ``end_date`` is reached within the hour.

        The date is local. Subscriptions that Stripe ends by itself are excluded: with their period,
        or at a ``cancel_at`` that is not later than the ``end_date``.
        """
        within_the_hour = local_date(now() + AN_HOUR)
        return self.filter(
            models.Q(cancel_at=None) | _ends_later(within_the_hour),
            status=self.model.STATUS_ACTIVE,
            at_period_end=False,
            end_date__lte=within_the_hour,
        )

    def with_signal_due(self) -> StripeSubscriptionQuerySet:
        """Return the rows with a signal that was not sent, after a crash or a receiver's error."""
        is_announced = models.Q(announced_invoice_id=models.F("latest_invoice_id"))
        return self.filter(~is_announced, requires_action=True)


def _ends_later(last: date) -> models.Q:
    """Return the condition that ``cancel_at`` is after the ``end_date``, which is at most ``last``.

    Each ``cancel_at`` ahead is on the day before ``last``, on that day, or later. The database does
    not convert it to a local date, because MySQL needs tables of time zones for that.
    """
    later = models.Q()
    for day in (last - DAY, last, last + DAY):
        later |= models.Q(end_date__lt=day, cancel_at__gte=_beginning_of(day))
    return later


def _beginning_of(day: date) -> datetime:
    midnight = datetime.combine(day, time.min)
    return timezone.make_aware(midnight) if settings.USE_TZ else midnight
