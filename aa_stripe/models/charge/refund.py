"""A requested refund, committed before the request is sent to Stripe."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _
from model_utils import Choices

from aa_stripe.deletion import keep_ended
from aa_stripe.fields import ExactCharField
from aa_stripe.models.amount import SmallestUnitField
from aa_stripe.models.base import StripeObject
from aa_stripe.models.claims import Claimable
from aa_stripe.models.protected import Protected
from aa_stripe.models.rows import related


class StripeRefund(Claimable, Protected, StripeObject):
    """One row per requested refund; its ``uuid`` is the idempotency key at Stripe.

    ``status`` is Stripe's, with two more values: ``unknown`` until Stripe has responded, and
    ``refused`` if Stripe rejected the request. ``stripe_response`` of an ``unknown`` one is
    an error that leaves the outcome open.
    """

    STATUS_UNKNOWN = "unknown"
    STATUS_REFUSED = "refused"
    STATUS_PENDING = "pending"
    STATUS_REQUIRES_ACTION = "requires_action"
    STATUS_SUCCEEDED = "succeeded"
    STATUS_FAILED = "failed"
    STATUS_CANCELED = "canceled"
    STATUS_CHOICES = Choices(
        (STATUS_UNKNOWN, _("unknown")),
        (STATUS_REFUSED, _("refused")),
        (STATUS_PENDING, _("pending")),
        (STATUS_REQUIRES_ACTION, _("requires action")),
        (STATUS_SUCCEEDED, _("succeeded")),
        (STATUS_FAILED, _("failed")),
        (STATUS_CANCELED, _("canceled")),
    )

    STRIPE_IDS = ("stripe_refund_id",)
    PERSONAL = ()

    #: ``None`` once the charge is deleted; Stripe's id of it is in ``stripe_response``.
    charge: models.ForeignKey[Any, Any] = models.ForeignKey(
        "aa_stripe.StripeCharge", on_delete=keep_ended, null=True, related_name="refunds"
    )
    amount = SmallestUnitField(help_text=_("In the currency's smallest unit (cents)."))
    stripe_refund_id = ExactCharField(max_length=255, blank=True, db_index=True)
    status = models.CharField(
        max_length=32, choices=STATUS_CHOICES, default=STATUS_UNKNOWN, db_index=True
    )

    class Meta:
        ordering = ["id"]
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")

    def __str__(self) -> str:
        return self.stripe_refund_id or str(self.uuid)

    @property
    def erased(self) -> datetime | None:
        """When the charge was erased, and the refund with it; ``None`` if it was not."""
        charge = related(self, "charge")
        return None if charge is None else charge.erased

    def is_open(self) -> bool:
        """Return whether Stripe may still carry out the refund."""
        return self.status == self.STATUS_UNKNOWN
