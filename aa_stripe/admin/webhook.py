"""Webhooks."""

from __future__ import annotations

from django.contrib import admin

from aa_stripe.admin.base import ReadOnlyAdmin
from aa_stripe.models import StripeWebhook


@admin.register(StripeWebhook)
class StripeWebhookAdmin(ReadOnlyAdmin):
    list_display = ("id", "event_type", "is_parsed", "attempts", "parse_error", "created")
    list_filter = ("is_parsed", "is_wrong_mode")
    search_fields = ("id",)
    ordering = ("-created",)

    @admin.display(description="type")
    def event_type(self, webhook: StripeWebhook) -> str:
        return str(webhook.raw_data.get("type", "-")) if isinstance(webhook.raw_data, dict) else "-"
