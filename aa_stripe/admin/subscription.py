"""Subscriptions."""

from __future__ import annotations

from django.contrib import admin

from aa_stripe.admin.base import ReadOnlyAdmin, user_search_fields
from aa_stripe.models import StripeSubscription


@admin.register(StripeSubscription)
class StripeSubscriptionAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "user",
        "customer",
        "plan",
        "coupon",
        "status",
        "requires_action",
        "at_period_end",
        "cancel_at",
        "pause_collection",
        "end_date",
        "stripe_subscription_id",
    )
    list_filter = ("status", "requires_action", "at_period_end")
    list_select_related = ("user", "customer", "plan", "coupon")
    search_fields = (
        "stripe_subscription_id",
        "stripe_price_id",
        "customer__stripe_customer_id",
        "plan__stripe_plan_id",
        "coupon__coupon_id",
        *user_search_fields(),
    )
    ordering = ("-id",)
