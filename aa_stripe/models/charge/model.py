"""An order to collect an amount from a user, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _
from model_utils import FieldTracker

from aa_stripe import gateway
from aa_stripe.models.base import USER_MODEL, SavesOnlyChanges, StripeBasicModel
from aa_stripe.models.charge.collect import UUID_KEY, announce_failure, collect
from aa_stripe.models.charge.refunds import refund, settle_refunds, take_over_refunds
from aa_stripe.models.charge.settle import settle
from aa_stripe.models.customer.model import StripeCustomer
from aa_stripe.models.rows import database_of, reread, stored, write_if
from aa_stripe.settings import default_currency, stripe_settings
from aa_stripe.signals import stripe_charge_refunded, stripe_charge_succeeded
from aa_stripe.utils import uuid_in

#: What ``signal_due`` may name, in the order of sending.
DUE_SIGNALS = {"succeeded": stripe_charge_succeeded, "refunded": stripe_charge_refunded}


class StripeChargeQuerySet(models.QuerySet["StripeCharge"]):
    def pending(self) -> StripeChargeQuerySet:
        """What ``charge_stripe`` collects: not charged, not failed, not kept for a person."""
        return self.filter(is_charged=False, charge_attempt_failed=False, is_manual_charge=False)

    def with_signal_due(self) -> StripeChargeQuerySet:
        """Rows whose process died between the commit and the signal."""
        return self.filter(signal_due__gt="")

    def with_unknown_refund(self) -> StripeChargeQuerySet:
        """Rows with a refund that Stripe has not answered for."""
        return self.filter(refunds__status="unknown").distinct()


class StripeCharge(SavesOnlyChanges, StripeBasicModel):
    """``StripeCharge(token=...)`` and ``charge.token`` are ``customer``, as in 0.14's README."""

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

    objects = StripeChargeQuerySet.as_manager()

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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "token" in kwargs:
            kwargs["customer"] = kwargs.pop("token")
        super().__init__(*args, **kwargs)

    @property
    def token(self) -> StripeCustomer | None:
        return self.customer

    @token.setter
    def token(self, customer: StripeCustomer | None) -> None:
        self.customer = customer

    @staticmethod
    def uuid_of_intent(intent: Mapping[str, Any]) -> UUID | None:
        """Return the ``uuid`` of the row that the payment intent names, else ``None``."""
        return uuid_in(intent.get("metadata"), UUID_KEY)

    @classmethod
    def of_intent(cls, intent: Mapping[str, Any]) -> list[StripeCharge]:
        """Return the rows of the payment intent: by its id, else by the ``uuid`` it names."""
        is_of_intent = models.Q(stripe_payment_intent_id=intent["id"])
        if uuid := cls.uuid_of_intent(intent):
            is_of_intent |= models.Q(uuid=uuid)
        found = list(stored(cls).filter(is_of_intent).order_by("pk"))
        return [row for row in found if row.stripe_payment_intent_id == intent["id"]] or found

    def charge(
        self, idempotency_key: str | None = None, payment_uuid: object = None
    ) -> gateway.Charge | None:
        """Collect ``amount`` from the user's latest active customer, off session.

        Returns Stripe's charge, or ``None`` when the payment was refused (see ``failure_code``)
        or is still processing. A row that failed before is tried again. Unsaved changes of the
        row are saved first. ``idempotency_key`` and ``payment_uuid`` are the caller's own names
        for the payment and go into Stripe's metadata; what keeps the payment from being made
        twice is the row itself.

        Raises ``StripeMethodNotAllowed`` when the row is charged already or has no amount, its
        subclass ``StripeNoActiveCustomer`` when there is nobody to collect from,
        ``StripeInternalError`` when Stripe gave no usable answer (the row stays pending; calling
        again is safe), and the SDK's ``AuthenticationError`` or ``PermissionError`` when the API
        key is refused. What a signal's receiver raises comes out as well, the money being
        collected by then.
        """
        return collect(self, self._metadata(idempotency_key, payment_uuid))

    def charge_if_pending(self) -> gateway.Charge | None:
        """``charge()`` for the command: a row that failed meanwhile is left alone."""
        return collect(self, self._metadata(), only_pending=True)

    def refund(
        self, amount_to_refund: int | None = None, retry_on_error: bool = True
    ) -> gateway.Refund:
        """Give back ``amount_to_refund`` (smallest unit), or all that is left when ``None``.

        Returns Stripe's refund, which may still be pending. ``amount_refunded`` afterwards is
        what Stripe says, so a refund made in the Dashboard counts too. A refund whose answer was
        lost is finished first; asking again for the same amount then returns that one.
        ``retry_on_error`` is accepted for 0.14's sake and changes nothing.

        Raises ``StripeMethodNotAllowed`` when the row is not charged, all is refunded, or the
        amount is not positive or more than is left; ``StripeInternalError`` when Stripe gave no
        usable answer (calling again is safe); the SDK's error when Stripe refuses the refund.
        """
        return refund(self, amount_to_refund)

    def refresh_from_stripe(self) -> None:
        """Take over what was refunded at Stripe; finish refunds whose outcome is unknown.

        Raises ``StripeInternalError`` when Stripe gave no usable answer, the SDK's error when
        it refused.
        """
        settle_refunds(self)
        self.send_due_signals()

    def settle(self, intent_id: str) -> gateway.StripeError | None:
        """Take over what became of a payment for this row, without asking for one.

        ``intent_id`` is that of the payment's intent, which the row may have lost. Returns the
        refusal if it is one that the row did not know of; ``announce_failure()`` is left to the
        caller then, and ``send_due_signals()`` after a success.

        Raises the SDK's errors, and ``StripeWebhookParseError`` for a second payment.
        """
        return settle(self, intent_id)

    def announce_failure(self, error: gateway.StripeError) -> None:
        """Send the signals of a payment that failed with ``error``."""
        announce_failure(self, error)

    def take_over_refunds(self) -> None:
        """Take over what was refunded at Stripe, without asking for any refund.

        The signals that become due are left to the caller. Raises ``StripeInternalError`` when
        Stripe gave no usable answer, the SDK's error when it refused.
        """
        take_over_refunds(self)

    def send_due_signals(self) -> None:
        """Send what the row's last changes owe; nothing if another process is doing it.

        Taking the signals off the row and sending them is one transaction: if the process dies,
        or a receiver raises, they stay due, together with what the receivers wrote.
        """
        due = self.signal_due
        try:
            with transaction.atomic(using=database_of(self)):
                for name in self._take_due_signals():
                    DUE_SIGNALS[name].send(sender=type(self), instance=self)
        except BaseException:
            self.signal_due = due  # as the row says again, the transaction being rolled back
            self.tracker.set_saved_fields(fields=["signal_due"])
            raise

    def _take_due_signals(self) -> list[str]:
        due = self.signal_due.split()
        if not due:
            return []
        is_ours = write_if(self, {"signal_due": self.signal_due}, {"signal_due": ""})
        reread(self)
        return [name for name in DUE_SIGNALS if is_ours and name in due]

    def _metadata(
        self, idempotency_key: str | None = None, payment_uuid: object = None
    ) -> dict[str, str]:
        named = {
            "object_id": self.object_id,
            "content_type_id": self.content_type_id,
            "origin": stripe_settings.PAYMENT_ORIGIN,
            "member_uuid": getattr(self.user, "uuid", None),
            "payment_uuid": payment_uuid,
            "idempotency_key": idempotency_key,
        }
        return {name: str(value) for name, value in named.items() if value is not None}
