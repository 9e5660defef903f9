"""Customers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from aa_stripe.admin.base import ReadOnlyAdmin, user_search_fields
from aa_stripe.models import StripeCustomer


@admin.register(StripeCustomer)
class StripeCustomerAdmin(ReadOnlyAdmin):
    list_display = ("id", "user", "stripe_customer_id", "card", "is_active", "created")
    list_display_links = ("id", "stripe_customer_id")
    list_filter = ("is_active", "is_created_at_stripe")
    list_select_related = ("user",)
    search_fields = ("stripe_customer_id", "default_source", *user_search_fields())
    ordering = ("-id",)

    @admin.display(description="card")
    def card(self, customer: StripeCustomer) -> str:
        """Return the brand and the last digits of the default card."""
        source: dict[str, Any] = customer.default_source_data or {}
        card = source.get("card") or source
        last4 = card.get("last4")
        return f"{card.get('brand', '')} {last4}".strip() if last4 else "-"
