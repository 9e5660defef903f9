"""The last runs of the jobs."""

from __future__ import annotations

from django.contrib import admin

from aa_stripe.admin.base import ReadOnlyAdmin
from aa_stripe.models import StripeJobRun


@admin.register(StripeJobRun)
class StripeJobRunAdmin(ReadOnlyAdmin):
    list_display = ("job", "ended_well", "refreshed_until")
    ordering = ("job",)
