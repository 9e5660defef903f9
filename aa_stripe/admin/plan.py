"""Subscription plans."""

from __future__ import annotations

from django.contrib import admin

from aa_stripe.admin.base import ReadOnlyAdmin, money
from aa_stripe.models import StripeSubscriptionPlan


@admin.register(StripeSubscriptionPlan)
class StripeSubscriptionPlanAdmin(ReadOnlyAdmin):
    list_display = ("id", "name", "money", "every", "stripe_plan_id", "is_created_at_stripe")
    list_filter = ("is_created_at_stripe", "interval")
    search_fields = ("name", "stripe_plan_id")
    ordering = ("-id",)

    @admin.display(description="amount", ordering="amount")
    def money(self, plan: StripeSubscriptionPlan) -> str:
        return money(plan.amount, plan.currency)

    @admin.display(description="every")
    def every(self, plan: StripeSubscriptionPlan) -> str:
        return f"{plan.interval_count} {plan.interval}"
