"""An event that Stripe delivered, as it was signed."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from model_utils import FieldTracker
from model_utils.fields import AutoCreatedField, AutoLastModifiedField

from aa_stripe.models.base import SavesOnlyChanges


class StripeWebhook(SavesOnlyChanges):
    #: Stripe's event id.
    id = models.CharField(primary_key=True, max_length=255)
    created = AutoCreatedField(_("created"))
    updated = AutoLastModifiedField(_("updated"))
    is_parsed = models.BooleanField(default=False)
    raw_data = models.JSONField(default=dict, blank=True)
    parse_error = models.TextField(blank=True)
    #: How often applying it was begun.
    attempts = models.PositiveIntegerField(default=0)
    #: Not before this time is it tried again; ``None``: as soon as somebody looks.
    retry_at = models.DateTimeField(blank=True, null=True)
    #: Sent from live mode to a site with a test key, or the other way round: kept, not applied.
    is_wrong_mode = models.BooleanField(default=False)

    tracker = FieldTracker()

    class Meta:
        ordering = ["-created"]
        indexes = [
            models.Index(fields=["is_parsed", "retry_at"], name="aa_stripe_webhook_unapplied")
        ]
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")

    def __str__(self) -> str:
        return self.id
