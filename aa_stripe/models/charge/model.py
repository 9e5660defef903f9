"""The charge: an amount to collect from a user, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from aa_stripe import gateway
from aa_stripe.deletion import keep_user_key
from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.fields import ExactCharField
from aa_stripe.models.amount import SmallestUnitField
from aa_stripe.models.base import USER_MODEL, StripeObject
from aa_stripe.models.changes import SavesOnlyChanges
from aa_stripe.models.charge.changes import FINAL, terms_in
from aa_stripe.models.charge.collect import collect
from aa_stripe.models.charge.later import charge_later
from aa_stripe.models.charge.metadata import metadata_for
from aa_stripe.models.charge.queryset import StripeChargeQuerySet
from aa_stripe.models.charge.record import announce_failure
from aa_stripe.models.charge.refunding import refund, settle_refunds
from aa_stripe.models.charge.refunds import take_over_refunds
from aa_stripe.models.charge.search import UUID_KEY
from aa_stripe.models.charge.settle import settle
from aa_stripe.models.charge.source import HasSource
from aa_stripe.models.claims import Claim, Claimable
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.erasable import Erasable
from aa_stripe.models.protected import Protected
from aa_stripe.models.rows import database_of, own_row, reread, write_if
from aa_stripe.models.statements import read_all
from aa_stripe.settings import default_currency
from aa_stripe.signals import stripe_charge_refunded, stripe_charge_succeeded
from aa_stripe.utils import uuid_in

#: The signals that ``signal_due`` may name, in the order in which they are sent.
DUE_SIGNALS = {"succeeded": stripe_charge_succeeded, "refunded": stripe_charge_refunded}


class StripeCharge(SavesOnlyChanges, Claimable, Protected, Erasable, HasSource, StripeObject):
    """An amount to collect.

    ``StripeCharge(token=...)`` and ``charge.token`` are ``customer``, as in 0.14's README.
    """

    STRIPE_IDS = ("stripe_charge_id", "stripe_payment_intent_id")
    PERSONAL = ("description", "comment", "statement_descriptor", "receipt_email")

    #: ``None`` once the user is deleted; then ``user_key`` is its primary key as text.
    user = models.ForeignKey(
        USER_MODEL, on_delete=keep_user_key, null=True, related_name="stripe_charges"
    )
    user_key = ExactCharField(max_length=255, blank=True, default="", editable=False)
    customer = models.ForeignKey(StripeCustomer, on_delete=models.SET_NULL, blank=True, null=True)
    amount = SmallestUnitField(
        blank=True, null=True, help_text=_("In the currency's smallest unit (cents).")
    )
    currency = models.CharField(max_length=3, default=default_currency)
    amount_refunded = SmallestUnitField(
        blank=True, null=True, default=0, help_text=_("In the currency's smallest unit (cents).")
    )
    is_charged = models.BooleanField(default=False)
    is_refunded = models.BooleanField(default=False)
    #: Collected by an explicit ``charge()`` only, never by the command.
    is_manual_charge = models.BooleanField(default=False)
    charge_attempt_failed = models.BooleanField(default=False)
    #: Stripe's code of the last failure; "canceled" if the payment was canceled at Stripe.
    failure_code = models.CharField(max_length=255, blank=True)
    stripe_payment_intent_id = ExactCharField(max_length=255, blank=True, db_index=True)
    stripe_charge_id = ExactCharField(max_length=255, blank=True, db_index=True)
    stripe_refund_id = ExactCharField(max_length=255, blank=True, db_index=True)
    description = models.CharField(
        max_length=255, blank=True, help_text=_("Description sent to Stripe.")
    )
    comment = models.CharField(
        max_length=255, blank=True, help_text=_("Comment for internal information.")
    )
    statement_descriptor = models.CharField(max_length=22, blank=True)
    #: Where Stripe sends the receipt; if empty, the settings of the account decide.
    receipt_email = models.EmailField(blank=True, default="")
    #: The signals of the row's last change that are not sent yet, separated by spaces.
    signal_due = models.CharField(max_length=32, blank=True, editable=False)

    #: What the last call has recorded: "collected", "declined", "waits", "unpaid" or "" (nothing).
    outcome = ""

    objects = StripeChargeQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=[
                    "is_charged",
                    "is_unsettled",
                    "charge_attempt_failed",
                    "is_manual_charge",
                    "attempts",
                    "id",
                ],
                name="aa_stripe_charge_open",
            ),
            models.Index(fields=["signal_due"], name="aa_stripe_charge_signal_due"),
            models.Index(fields=["source_key"], name="aa_stripe_charge_source_key"),
        ]
        verbose_name = _("charge")
        verbose_name_plural = _("charges")

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "token" in kwargs:
            kwargs["customer"] = kwargs.pop("token")
        super().__init__(*args, **kwargs)

    def _do_update(  # type: ignore[override]  # the signature depends on Django's version
        self,
        base_qs: models.QuerySet[Any],
        using: str,
        pk_val: Any,
        values: Any,
        *options: Any,
    ) -> Any:
        """Update the row as ``save()`` does, unless that changes the terms of a collected charge.

        Overrides Django's method that has the statement of ``save()``: a check before it would need
        a transaction, or the row might be charged between the two. Raises
        ``StripeMethodNotAllowed``, and writes nothing, if the row is charged on other terms.
        """
        terms = terms_in(values, using) if base_qs.model is StripeCharge else {}
        if terms:
            base_qs = base_qs.filter(models.Q(is_charged=False) | models.Q(**terms))
        updated = super()._do_update(base_qs, using, pk_val, values, *options)
        if terms and not updated and own_row(self, using).exists():
            names = ", ".join(sorted(FINAL))
            raise StripeMethodNotAllowed(f"The charge is collected: its {names} cannot change.")
        return updated

    def is_open(self) -> bool:
        return not self.is_charged and bool(self.is_unsettled or self.claim)

    def is_history(self) -> bool:
        return self.is_charged

    @property
    def token(self) -> StripeCustomer | None:
        return self.customer

    @token.setter
    def token(self, customer: StripeCustomer | None) -> None:
        self.customer = customer

    @staticmethod
    def uuid_of_intent(intent: Mapping[str, Any]) -> UUID | None:
        """Return the ``uuid`` of the row in the payment intent's metadata, else ``None``."""
        return uuid_in(intent.get("metadata"), UUID_KEY)

    @classmethod
    def of_intent(cls, intent: Mapping[str, Any]) -> list[StripeCharge]:
        """Return the payment intent's rows: by its id, else by the ``uuid`` in its metadata."""
        using = database_of(cls)
        found = read_all(cls, using, {"stripe_payment_intent_id": intent["id"]})
        if not found and (uuid := cls.uuid_of_intent(intent)):
            found = read_all(cls, using, {"uuid": uuid})
        return found

    def charge(
        self, idempotency_key: str | None = None, payment_uuid: object = None
    ) -> gateway.Charge | None:
        """Collect ``amount`` from the user's latest active customer, off session.

        Returns Stripe's charge, or ``None`` if Stripe refused the payment (see ``failure_code``)
        or is still processing it. If Stripe refuses it, and its customer has another default
        payment method than the row, that one is tried, once. A row that failed before is retried.
        Unsaved changes of the row are saved first. Waits up to ten seconds for another process that
        is collecting the row; if that one was declined on the same card and terms, returns
        ``None``. ``idempotency_key`` and ``payment_uuid`` are the caller's own names for the
        payment and go into Stripe's metadata; the row itself prevents a second payment.

        Raises ``StripeMethodNotAllowed`` if the row is charged already or has no amount, its
        subclass ``StripeNoActiveCustomer`` if the user has no active customer,
        ``StripeInTransaction`` inside a transaction (see ``STRIPE_TRANSACTIONS``),
        ``StripeUnknownCustomer`` if Stripe does not know the customer, ``StripeInternalError`` if
        Stripe sent no usable response (the row stays pending; calling again is safe), its subclass
        ``StripeInProgress`` if the other process is not done, and the SDK's
        ``AuthenticationError`` or ``PermissionError`` if Stripe rejects the API key. An exception
        of a signal's receiver is raised too; the money is collected by then.
        """
        return collect(self, metadata_for(self, idempotency_key, payment_uuid))

    def charge_if_pending(self, claim: Claim | None = None) -> gateway.Charge | None:
        """Collect as ``charge()`` does, but pay no row that has failed or is manual by now.

        The payment that such a row may already have is recorded. Does not wait for another process.
        ``claim`` is that of the row, if this process has taken it already.
        """
        return collect(self, metadata_for(self), only_pending=True, claim=claim)

    def charge_later(self) -> None:
        """Make the row due, and pass its primary key to ``STRIPE_CHARGE_PROCESSOR``.

        A queue gets the key after the commit, and its worker collects the row with
        ``jobs.charge_one``. If the key is lost, or there is no queue, ``charge_stripe`` collects
        the row. Nothing is sent to Stripe here, so the call is allowed inside a transaction.
        Unsaved changes of the row are saved with it. A row that failed before is pending again, and
        a manual one is not manual any more. If another process is collecting the row now, its
        result counts, also a decline.

        Raises ``StripeMethodNotAllowed`` if the row is charged already.
        """
        charge_later(self)

    def refund(
        self, amount_to_refund: int | None = None, retry_on_error: bool = True
    ) -> gateway.Refund:
        """Give back ``amount_to_refund`` (smallest unit), or all that is left when ``None``.

        Returns Stripe's refund, which may still be pending. ``amount_refunded`` becomes the sum
        of all refunds at Stripe, those made in the Dashboard included. A refund whose response
        was lost is finished first; a call for the same amount then returns that refund.
        If the amount does not fit any more because of a refund in the Dashboard, what is left is
        refunded. If that one has refunded all, and the row did not know of it, it is returned. With
        ``retry_on_error=False`` both are errors.

        Raises ``StripeMethodNotAllowed`` if the row is not charged, everything is refunded, or
        the amount is not positive or more than is left; ``StripeMoneyError`` if the amount is not
        a whole number; ``StripeInTransaction`` inside a transaction; ``StripeInternalError`` if
        Stripe sent no usable response (check ``refunds`` before a retry); the SDK's error if Stripe
        refuses it.
        """
        return refund(self, amount_to_refund, or_less=retry_on_error)

    def refresh_from_stripe(self) -> None:
        """Update the refunds from Stripe; finish those whose outcome is unknown.

        Raises ``StripeInternalError`` if Stripe sent no usable response, the SDK's error if it
        refused the request.
        """
        settle_refunds(self)
        self.send_due_signals()

    def is_paid_by(self, intent_id: str) -> bool:
        """Return whether the row says that the payment intent with that id has paid it."""
        return self.is_charged and self.stripe_payment_intent_id == intent_id

    def settle(self, intent: gateway.PaymentIntent | str) -> gateway.StripeError | None:
        """Update the row from its payment intent, without requesting a payment.

        ``intent`` is that intent as Stripe has just returned it, or its id, which the row may have
        lost. Returns the error if the payment has failed and the row was not marked yet. The caller
        sends the signals: ``announce_failure()`` for a returned error, ``send_due_signals()`` after
        a success.

        Raises the SDK's errors, and ``StripeWebhookParseError`` if the charge was paid twice.
        """
        if isinstance(intent, str):
            intent = gateway.retrieve_payment_intent(intent)
        return settle(self, intent)

    def announce_failure(self, error: gateway.StripeError) -> None:
        """Send the signals of a payment that failed with ``error``."""
        announce_failure(self, error)

    def take_over_refunds(self) -> None:
        """Update the refunds from Stripe, without requesting any.

        The caller sends the signals that become due. Raises ``StripeInternalError`` if Stripe
        sent no usable response, the SDK's error if it refused the request.
        """
        take_over_refunds(self)

    def send_due_signals(self) -> None:
        """Send the signals that are due, unless another process is sending them.

        Clearing ``signal_due`` and sending is one transaction: if the process dies or a receiver
        raises, the signals stay due, and what the receivers wrote is rolled back.
        """
        due = self.signal_due
        if not due:
            return
        try:
            with transaction.atomic(using=database_of(self)):
                for name in self._take_due_signals():
                    DUE_SIGNALS[name].send(sender=StripeCharge, instance=self)
        except BaseException:
            self.signal_due = due  # the rollback has restored it in the row
            self.keep_as_stored(["signal_due"])
            raise

    def _take_due_signals(self) -> list[str]:
        due = self.signal_due.split()
        is_ours = write_if(self, {"signal_due": self.signal_due}, {"signal_due": ""})
        reread(self)
        return [name for name in DUE_SIGNALS if is_ours and name in due]
