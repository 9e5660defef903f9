"""A person's customer at Stripe, and the cards it can pay with."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from aa_stripe.models.base import USER_MODEL, StripeBasicModel


class StripeCustomer(StripeBasicModel):
    user = models.ForeignKey(USER_MODEL, on_delete=models.CASCADE, related_name="stripe_customers")
    stripe_js_response = models.JSONField(default=dict, blank=True)
    stripe_customer_id = models.CharField(max_length=255, db_index=True)
    is_active = models.BooleanField(default=True)
    is_created_at_stripe = models.BooleanField(default=False)
    sources = models.JSONField(default=list, blank=True)
    default_source = models.CharField(max_length=255, blank=True)
    #: The token this customer was asked for with over HTTP, ``None`` for any other; unique for
    #: a user, so that posting one token twice ends in one row.
    submitted_token = models.CharField(max_length=255, null=True, editable=False)  # noqa: DJ001

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "submitted_token"], name="aa_stripe_customer_token"
            )
        ]
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
