"""The subscription of a user to a plan."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from model_utils import Choices

from aa_stripe import gateway
from aa_stripe.deletion import keep_ended, keep_ended_with_user_key
from aa_stripe.fields import ExactCharField, PlainJSONField, TrimmedDecimalField
from aa_stripe.models.base import USER_MODEL, StripeObject
from aa_stripe.models.changes import SavesOnlyChanges
from aa_stripe.models.claims import Claimable
from aa_stripe.models.coupon import StripeCoupon
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.erasable import Erasable
from aa_stripe.models.latest import Write, save_newer, write_latest
from aa_stripe.models.plan import StripeSubscriptionPlan
from aa_stripe.models.protected import Protected
from aa_stripe.models.subscription.access import has_access
from aa_stripe.models.subscription.action import announce_action, learn_action, needs_action
from aa_stripe.models.subscription.cancel import ENDED, cancel
from aa_stripe.models.subscription.listed import write_listed
from aa_stripe.models.subscription.lookups import Lookups
from aa_stripe.models.subscription.queryset import StripeSubscriptionQuerySet
from aa_stripe.models.subscription.subscribe import fields_of, subscribe, values_of


class StripeSubscription(Lookups, SavesOnlyChanges, Claimable, Protected, Erasable, StripeObject):
    """A subscription; ``status`` is the last status from Stripe."""

    #: The events after which a row may no longer be as Stripe has its subscription.
    #: https://docs.stripe.com/api/events/types
    EVENT_TYPES = (
        "customer.subscription.created",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.pending_update_applied",
        "customer.subscription.pending_update_expired",
        "customer.subscription.resumed",
        "customer.subscription.trial_will_end",
        "customer.subscription.updated",
    )

    STATUS_TRIAL = "trialing"
    STATUS_ACTIVE = "active"
    STATUS_PAST_DUE = "past_due"
    STATUS_CANCELED = "canceled"
    STATUS_UNPAID = "unpaid"
    STATUS_INCOMPLETE = "incomplete"
    STATUS_INCOMPLETE_EXPIRED = "incomplete_expired"
    STATUS_PAUSED = "paused"
    STATUS_CHOICES = Choices(
        (STATUS_TRIAL, _("trialing")),
        (STATUS_ACTIVE, _("active")),
        (STATUS_PAST_DUE, _("past due")),
        (STATUS_CANCELED, _("canceled")),
        (STATUS_UNPAID, _("unpaid")),
        (STATUS_INCOMPLETE, _("incomplete")),
        (STATUS_INCOMPLETE_EXPIRED, _("incomplete, expired")),
        (STATUS_PAUSED, _("paused")),
    )

    STRIPE_IDS = ("stripe_subscription_id",)
    PERSONAL = ("metadata",)

    stripe_subscription_id = ExactCharField(max_length=255, blank=True, db_index=True)
    is_created_at_stripe = models.BooleanField(default=False)
    #: ``None`` once the plan is deleted, as ``user`` and ``customer`` are.
    plan = models.ForeignKey(StripeSubscriptionPlan, on_delete=keep_ended, null=True)
    user = models.ForeignKey(
        USER_MODEL,
        on_delete=keep_ended_with_user_key,
        null=True,
        related_name="stripe_subscriptions",
    )
    #: The primary key, as text, of a user who is deleted.
    user_key = ExactCharField(max_length=255, blank=True, default="", editable=False)
    customer = models.ForeignKey(StripeCustomer, on_delete=keep_ended, blank=True, null=True)
    status = models.CharField(max_length=255, choices=STATUS_CHOICES, blank=True)
    metadata = PlainJSONField(default=dict, blank=True)
    tax_percent = TrimmedDecimalField(
        max_digits=7,
        decimal_places=4,
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
    )
    coupon = models.ForeignKey(StripeCoupon, on_delete=models.SET_NULL, blank=True, null=True)
    end_date = models.DateField(blank=True, null=True, db_index=True)
    canceled_at = models.DateTimeField(blank=True, null=True, db_index=True)
    at_period_end = models.BooleanField(default=False)
    #: When Stripe ends the subscription; also set if it ends with its period.
    cancel_at = models.DateTimeField(blank=True, null=True)
    #: What happens to the invoices while the collection is paused, as "void"; "" if it is not.
    pause_collection = models.CharField(max_length=32, blank=True)
    #: The price of the first item at Stripe, also if no plan stands for it.
    stripe_price_id = ExactCharField(max_length=255, blank=True)
    #: Whether the customer has to authenticate (3-D Secure) the payment of the latest invoice.
    requires_action = models.BooleanField(default=False)
    latest_invoice_id = ExactCharField(max_length=255, blank=True)
    #: The invoice for which the signal of ``requires_action`` was sent.
    announced_invoice_id = ExactCharField(max_length=255, blank=True, editable=False)
    #: The number in the idempotency key; in the column of the number of refusals, which it was.
    key_number = models.PositiveIntegerField(default=0, editable=False, db_column="refusals")

    objects = StripeSubscriptionQuerySet.as_manager()

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")

    def __str__(self) -> str:
        return self.stripe_subscription_id or str(self.uuid)

    def is_open(self) -> bool:
        """Return whether the subscription bills at Stripe, or may do so."""
        is_live = self.is_created_at_stripe and self.status not in ENDED
        return bool(is_live or self.is_unsettled or self.claim)

    @property
    def has_access(self) -> bool:
        """Return whether the user has access: what ``STRIPE_SUBSCRIPTION_HAS_ACCESS`` decides.

        Without that setting: ``is_current``.
        """
        return has_access(self)

    @property
    def is_current(self) -> bool:
        """Return whether the subscription is paid or on trial, and its collection is not paused."""
        is_paid = self.status in {self.STATUS_ACTIVE, self.STATUS_TRIAL}
        return is_paid and not self.pause_collection

    @property
    def is_ending(self) -> bool:
        """Return whether the subscription gives access now, and Stripe will end it.

        With its period (``at_period_end``) or at ``cancel_at``.
        """
        return self.has_access and (self.at_period_end or self.cancel_at is not None)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the row; a ``tax_percent`` of ``None`` is 0."""
        if self.__dict__.get("tax_percent", 0) is None:
            self.tax_percent = Decimal(0)
        super().save(*args, **kwargs)

    def create_at_stripe(self) -> gateway.Subscription:
        """Subscribe the user's latest active customer to the plan; return Stripe's subscription.

        The trial is that of the plan's row, ``coupon`` becomes a discount and ``tax_percent`` a
        tax rate.
        ``STRIPE_SUBSCRIPTION_PAYMENT_BEHAVIOR`` decides what happens if the first payment is
        declined; by default the subscription is created with the status ``incomplete``.
        A customer that was deleted at Stripe becomes inactive, and the next one is subscribed. If
        Stripe refuses a customer without a default payment method, its row is refreshed.

        Raises ``StripeMethodNotAllowed`` if the subscription already exists at Stripe or the plan
        does not, its subclass ``StripeNoActiveCustomer`` if the user has no active customer,
        ``StripeInTransaction`` inside a transaction (see ``STRIPE_TRANSACTIONS``), and the SDK's
        errors. If the outcome is unknown, calling again creates no second subscription.

        Raises ``StripeInternalError`` if an earlier request, to which Stripe responded with a 500,
        may still be carried out, for up to an hour; its subclass ``StripeInProgress`` if another
        process is still creating the subscription after ten seconds.

        Sends ``stripe_subscription_requires_action`` if the first payment has to be authenticated.
        An exception of a receiver is raised, too; the subscription is recorded by then.
        """
        subscription = subscribe(self)
        learn_action(self)
        return subscription

    def set_stripe_data(self, subscription: gateway.Subscription) -> None:
        """Copy the fields of Stripe's ``subscription`` and save."""
        for name, value in values_of(self, subscription).items():
            setattr(self, name, value)
        self.save()

    def refresh_from_stripe(self) -> gateway.Subscription:
        """Update the row from Stripe, send its signal if due; return Stripe's subscription.

        Other unsaved changes of the object are saved, too. Raises the SDK's errors:
        ``InvalidRequestError`` with the status 404 if Stripe does not know the subscription (the
        row is not changed then); and ``StripeInProgress`` if other processes keep changing the row.
        """
        if not self._state.adding:
            subscription = self.refresh_rows([self], self.stripe_subscription_id)
            self.send_due_signals()
            return subscription
        subscription = gateway.retrieve_subscription(self.stripe_subscription_id)
        self.set_stripe_data(subscription)
        return subscription

    @staticmethod
    def refresh_rows(
        rows: Sequence[StripeSubscription],
        subscription_id: str,
        write: Write = save_newer,
        *,
        are_fresh: bool = False,
    ) -> gateway.Subscription:
        """Update all rows of one subscription, which is read once; return that subscription.

        A row that has no customer gets the subscription's. ``plan`` becomes the plan of the
        subscription's price, if there is one. ``are_fresh``: the rows were just read. The caller
        sends the signals: ``send_due_signals()``.
        """

        def ask() -> tuple[gateway.Subscription, bool]:
            subscription = gateway.retrieve_subscription(subscription_id)
            return subscription, needs_action(subscription)

        def values(row: Any, response: tuple[gateway.Subscription, bool]) -> dict[str, Any]:
            subscription, is_needed = response
            return {**values_of(row, subscription), "requires_action": is_needed}

        subscription, _ = write_latest(rows, ask, values, write, are_fresh=are_fresh)
        return subscription

    def send_due_signals(self) -> None:
        """Send ``stripe_subscription_requires_action`` if it is due: once for each invoice.

        The mark that it was sent and what the receivers write are one transaction: if the process
        dies or a receiver raises, the signal stays due.
        """
        announce_action(self)

    @staticmethod
    def refresh_listed(
        rows: Sequence[StripeSubscription], listed: gateway.JSON, write: Write
    ) -> None:
        """Update all rows of the subscription of a listing.

        The page of the listing may be older than the rows, so a subscription that differs from the
        ``stripe_response`` of one of them is read again.
        """
        values = fields_of(gateway.storable(listed))
        left = [row for row in rows if not write_listed(row, values, write)]
        if left:
            StripeSubscription.refresh_rows(left, listed["id"], write)

    def cancel(self, at_period_end: bool = False) -> gateway.Subscription:
        """End the subscription now, or at the end of the paid period.

        Returns Stripe's subscription. A subscription that has ended, or ends with its period or
        earlier as requested, is not canceled again, also if it was canceled meanwhile. With
        ``at_period_end`` the ``status`` does not change until the period is over.

        Raises ``StripeMethodNotAllowed`` if it was never created at Stripe, and the SDK's errors.
        """
        return cancel(self, at_period_end)

    @classmethod
    def get_subscriptions_for_cancel(cls) -> models.QuerySet[StripeSubscription]:
        """Return the active subscriptions whose ``end_date`` (local) is reached within the hour."""
        return cls.objects.due_for_cancel()

    #: 0.14's spelling.
    get_subcriptions_for_cancel = get_subscriptions_for_cancel

    @classmethod
    def end_subscriptions(cls, at_period_end: bool = False) -> None:
        """Cancel the due subscriptions one after the other; stop at the first error.

        For cron use the command ``end_subscriptions``, which continues after an error and reports
        it.
        """
        for subscription in cls.get_subscriptions_for_cancel():
            subscription.cancel(at_period_end=at_period_end)
