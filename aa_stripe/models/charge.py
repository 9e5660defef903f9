"""An order to collect an amount from a user, once."""

from __future__ import annotations

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils.translation import gettext_lazy as _
from model_utils import FieldTracker

from aa_stripe.models.base import USER_MODEL, SavesOnlyChanges, StripeBasicModel
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.settings import stripe_settings


def default_currency() -> str:
    """``STRIPE_DEFAULT_CURRENCY`` of this moment."""
    currency: str = stripe_settings.DEFAULT_CURRENCY
    return currency


class StripeCharge(SavesOnlyChanges, StripeBasicModel):
    user = models.ForeignKey(USER_MODEL, on_delete=models.CASCADE, related_name="stripe_charges")
    customer = models.ForeignKey(StripeCustomer, on_delete=models.SET_NULL, blank=True, null=True)
    amount = models.BigIntegerField(
        blank=True, null=True, help_text=_("In the currency's smallest unit (cents).")
    )
    currency = models.CharField(max_length=3, default=default_currency)
    amount_refunded = models.BigIntegerField(
        blank=True, null=True, default=0, help_text=_("In the currency's smallest unit (cents).")
    )
    is_charged = models.BooleanField(default=False)
    is_refunded = models.BooleanField(default=False)
    #: True: collected by nobody but who calls ``charge()``, never by the command.
    is_manual_charge = models.BooleanField(default=False)
    charge_attempt_failed = models.BooleanField(default=False)
    #: Stripe's code of the last failure, "canceled" when the payment was canceled there.
    failure_code = models.CharField(max_length=255, blank=True)
    stripe_payment_intent_id = models.CharField(max_length=255, blank=True, db_index=True)
    stripe_charge_id = models.CharField(max_length=255, blank=True, db_index=True)
    stripe_refund_id = models.CharField(max_length=255, blank=True, db_index=True)
    description = models.CharField(
        max_length=255, blank=True, help_text=_("Description sent to Stripe.")
    )
    comment = models.CharField(
        max_length=255, blank=True, help_text=_("Comment for internal information.")
    )
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE, blank=True, null=True)
    object_id = models.PositiveBigIntegerField(blank=True, null=True, db_index=True)
    source = GenericForeignKey("content_type", "object_id")
    statement_descriptor = models.CharField(max_length=22, blank=True)
    #: The signals that the row's last change still owes, blank separated; empty when all are sent.
    signal_due = models.CharField(max_length=32, blank=True, editable=False)

    tracker = FieldTracker()

    class Meta:
        indexes = [
            models.Index(
                fields=["is_charged", "charge_attempt_failed", "is_manual_charge", "id"],
                name="aa_stripe_charge_pending",
            ),
            models.Index(fields=["signal_due"], name="aa_stripe_charge_signal_due"),
        ]
        verbose_name = _("charge")
        verbose_name_plural = _("charges")

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"
