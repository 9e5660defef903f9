"""A user's subscription to a plan."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from model_utils import Choices

from aa_stripe.models.base import USER_MODEL, StripeBasicModel
from aa_stripe.models.coupon import StripeCoupon
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.plan import StripeSubscriptionPlan


class StripeSubscription(StripeBasicModel):
    STATUS_TRIAL = "trialing"
    STATUS_ACTIVE = "active"
    STATUS_PAST_DUE = "past_due"
    STATUS_CANCELED = "canceled"
    STATUS_UNPAID = "unpaid"
    STATUS_INCOMPLETE = "incomplete"
    STATUS_INCOMPLETE_EXPIRED = "incomplete_expired"
    STATUS_PAUSED = "paused"
    STATUS_CHOICES = Choices(
        (STATUS_TRIAL, _("trialing")),
        (STATUS_ACTIVE, _("active")),
        (STATUS_PAST_DUE, _("past due")),
        (STATUS_CANCELED, _("canceled")),
        (STATUS_UNPAID, _("unpaid")),
        (STATUS_INCOMPLETE, _("incomplete")),
        (STATUS_INCOMPLETE_EXPIRED, _("incomplete, expired")),
        (STATUS_PAUSED, _("paused")),
    )

    stripe_subscription_id = models.CharField(max_length=255, blank=True, db_index=True)
    is_created_at_stripe = models.BooleanField(default=False)
    plan = models.ForeignKey(StripeSubscriptionPlan, on_delete=models.CASCADE)
    user = models.ForeignKey(
        USER_MODEL, on_delete=models.CASCADE, related_name="stripe_subscriptions"
    )
    customer = models.ForeignKey(StripeCustomer, on_delete=models.SET_NULL, blank=True, null=True)
    status = models.CharField(max_length=255, choices=STATUS_CHOICES, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    tax_percent = models.DecimalField(max_digits=7, decimal_places=4, default=0)
    coupon = models.ForeignKey(StripeCoupon, on_delete=models.SET_NULL, blank=True, null=True)
    end_date = models.DateField(blank=True, null=True, db_index=True)
    canceled_at = models.DateTimeField(blank=True, null=True, db_index=True)
    at_period_end = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
