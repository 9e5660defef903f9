"""What a subscription costs, and how often."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from model_utils import Choices

from aa_stripe.models.base import StripeBasicModel


class StripeSubscriptionPlan(StripeBasicModel):
    INTERVAL_DAY = "day"
    INTERVAL_WEEK = "week"
    INTERVAL_MONTH = "month"
    INTERVAL_YEAR = "year"
    INTERVAL_CHOICES = Choices(
        (INTERVAL_DAY, _("day")),
        (INTERVAL_WEEK, _("week")),
        (INTERVAL_MONTH, _("month")),
        (INTERVAL_YEAR, _("year")),
    )

    is_created_at_stripe = models.BooleanField(default=False)
    #: The plan's id at Stripe. 0.14 gave Stripe the row's primary key.
    stripe_plan_id = models.CharField(max_length=255, blank=True, db_index=True)
    source = models.JSONField(default=dict, blank=True)
    amount = models.BigIntegerField(help_text=_("In the currency's smallest unit (cents)."))
    currency = models.CharField(max_length=3, default="USD")
    name = models.CharField(max_length=255)
    interval = models.CharField(max_length=10, choices=INTERVAL_CHOICES)
    interval_count = models.IntegerField(default=1)
    metadata = models.JSONField(default=dict, blank=True)
    statement_descriptor = models.CharField(max_length=22, blank=True)
    trial_period_days = models.IntegerField(default=0)

    class Meta:
        verbose_name = _("subscription plan")
        verbose_name_plural = _("subscription plans")

    def __str__(self) -> str:
        return self.name
