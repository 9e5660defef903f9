"""The customer: a user's customer at Stripe and its payment methods."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from aa_stripe import gateway
from aa_stripe.deletion import keep_user_key
from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.fields import ExactCharField, PlainJSONField
from aa_stripe.gateway import Meaning
from aa_stripe.models.base import USER_MODEL, StripeObject
from aa_stripe.models.changes import SavesOnlyChanges
from aa_stripe.models.customer.description import described, values_of
from aa_stripe.models.customer.lookups import Lookups
from aa_stripe.models.customer.named import EVENT_TYPES, ids_in
from aa_stripe.models.customer.posted import payer_metadata
from aa_stripe.models.customer.refresh import (
    is_deleted_at_stripe,
    noticing_deletion,
    push_details,
    refresh_default,
    refresh_listed,
    refresh_rows,
)
from aa_stripe.models.customer.save_card import add_default_card, create_with_card
from aa_stripe.models.erasable import Erasable
from aa_stripe.models.legacy import with_card_keys
from aa_stripe.models.rows import locked

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger("aa-stripe")

#: After these errors, Stripe would refuse the same customer again.
FINAL = frozenset({Meaning.DECLINED, Meaning.REFUSED, Meaning.OUTDATED})


class StripeCustomer(Lookups, SavesOnlyChanges, Erasable, StripeObject):
    """A customer at Stripe.

    ``sources`` is the list of the customer's payment methods in Stripe's format: PaymentMethods,
    and legacy cards and sources if there are any. Each also has the keys of a Card object, as in
    0.14: ``last4``, ``brand`` and so on. ``default_source`` is the id of the default
    one, ``""`` if Stripe chooses.
    """

    #: The events after which a row may no longer be as Stripe has its customer.
    EVENT_TYPES = EVENT_TYPES

    PERSONAL = ("stripe_js_response", "sources", "default_source", "submitted_token")

    #: ``None`` once the user is deleted; then ``user_key`` is its primary key as text.
    user = models.ForeignKey(
        USER_MODEL, on_delete=keep_user_key, null=True, related_name="stripe_customers"
    )
    user_key = ExactCharField(max_length=255, blank=True, default="", editable=False)
    #: What the front-end sent; its ``id`` names a token, a PaymentMethod or a SetupIntent.
    stripe_js_response = PlainJSONField(default=dict, blank=True)
    stripe_customer_id = ExactCharField(max_length=255, blank=True, db_index=True)
    is_active = models.BooleanField(default=True)
    is_created_at_stripe = models.BooleanField(default=False)
    sources = PlainJSONField(default=list, blank=True)
    default_source = ExactCharField(max_length=255, blank=True)
    #: The token in the HTTP request that created this customer, else ``None``. Unique per user,
    #: so that posting a token twice results in one row.
    submitted_token = ExactCharField(max_length=255, null=True, editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "submitted_token"], name="aa_stripe_customer_token"
            )
        ]
        verbose_name = _("customer")
        verbose_name_plural = _("customers")

    def __str__(self) -> str:
        return self.stripe_customer_id or str(self.uuid)

    @classmethod
    def close(cls, user: models.Model, refund: bool = False, erase: bool = False) -> None:
        """End all that ``user`` has at Stripe; the rows stay.

        Cancels each subscription at once, also those without a row, detaches the cards, deletes the
        customers at Stripe and makes their rows inactive. Charges that are not paid yet become
        manual. ``refund``: also refund what is left of the payment of the latest invoice of each
        subscription that is canceled by the call. ``erase``: also erase here what may identify the
        user, in the rows and in the stored events; they stay erased. If the user is deleted
        already, ``user`` is an object that has its primary key.

        Can be repeated after any error. Raises ``StripeInTransaction`` inside a transaction,
        ``StripeMethodNotAllowed`` if ``user`` has no primary key, ``StripeUnknownCustomer`` if the
        API key's account does not have a customer (nothing is changed in these cases);
        ``StripeInProgress`` if another process is creating a subscription of the user, keeps
        changing the rows, or with ``erase`` is collecting or refunding a charge; and the SDK's
        errors. If Stripe refuses a refund, its error is raised when all has ended; another call
        does not request that refund again.
        """
        # Above this module: it ends subscriptions, too.
        module = "erasing" if erase else "closing"
        import_string(f"aa_stripe.models.{module}.close")(user, refund=refund)

    @classmethod
    def get_or_create_at_stripe(
        cls, user: models.Model, stripe_js_response: dict[str, Any], *, is_trusted: bool = True
    ) -> StripeCustomer:
        """Return the user's customer for ``stripe_js_response``; create it at Stripe if needed.

        A second call with the same ``stripe_js_response["id"]``, even at the same time in another
        process, returns the same row and the same customer. If Stripe creates the customer but
        its payment methods cannot be read, ``sources`` stays empty until the next refresh.
        ``is_trusted=False`` is for what a browser has sent: ``StripeMethodNotAllowed`` is raised
        for a card that is not the user's (see ``STRIPE_ACCEPT_UNBOUND_CARDS``).

        Raises what ``create_at_stripe`` raises. If Stripe refuses, the row is deleted. If the
        outcome is unknown, the row stays and calling again finishes it.
        """
        customer, _is_new = cls.objects.get_or_create(
            user=user,
            submitted_token=stripe_js_response["id"],
            defaults={"stripe_js_response": stripe_js_response},
        )
        try:
            customer._finish_creating(is_trusted=is_trusted)
        except cls.DoesNotExist:  # another process was refused and has deleted the row
            return cls.get_or_create_at_stripe(user, stripe_js_response, is_trusted=is_trusted)
        except (StripeMethodNotAllowed, gateway.StripeError) as error:
            if _is_final(error):
                cls.objects.filter(pk=customer.pk, is_created_at_stripe=False).delete()
            raise
        return customer

    def _finish_creating(self, *, is_trusted: bool) -> None:
        with locked(self):
            if not self.is_created_at_stripe:
                create_with_card(self, is_trusted=is_trusted)
        if self.sources:
            return
        try:
            self.refresh_from_stripe()
        except gateway.StripeError:
            logger.exception("Customer %s was created, but its payment methods are unknown.", self)

    @staticmethod
    def payer_metadata(user: models.Model) -> dict[str, str]:
        """Return the metadata of a SetupIntent whose card only ``user`` may save."""
        return payer_metadata(user.pk)

    @property
    def default_source_data(self) -> dict[str, Any] | None:
        """The entry of ``sources`` that is the default; ``None`` if it is not known.

        It has the keys of 0.14, also if the row was stored without them.
        """
        known = self._known_sources()
        default = next((it for it in known if it.get("id") == self.default_source), None)
        return default and with_card_keys(default)

    def _known_sources(self) -> list[dict[str, Any]]:
        # Rows of 0.14 may hold any JSON.
        sources = self.sources if isinstance(self.sources, list) else []
        return [it for it in sources if isinstance(it, dict)]

    def create_at_stripe(self, description: str | None = None) -> StripeCustomer:
        """Create the customer with the card of ``stripe_js_response["id"]``; return ``self``.

        A card token is converted to a PaymentMethod first. A PaymentMethod, or that of a
        SetupIntent, becomes the default. Any other id is sent to Stripe as ``source``, which
        only old accounts accept. The default of ``description`` is "<user> id: <user's id>".

        Raises ``StripeMethodNotAllowed`` if the customer exists already or the SetupIntent has
        not saved its card yet, and the SDK's errors. If the outcome is unknown, calling again
        creates no second customer.
        """
        if self.is_created_at_stripe:
            raise StripeMethodNotAllowed
        if self.pk is None:
            self.save()
        create_with_card(self, description)
        self.refresh_from_stripe()
        return self

    def add_new_source(
        self,
        source_token: str,
        stripe_js_response: dict[str, Any] | None = None,
        *,
        is_trusted: bool = True,
    ) -> None:
        """Save the card of ``source_token`` for the customer and make it the default.

        Takes the same ids as ``create_at_stripe``. ``stripe_js_response``, if given, is stored.
        ``is_trusted`` is that of ``get_or_create_at_stripe``.
        Raises what ``create_at_stripe`` raises; the row is not changed then, and calling again is
        safe. Raises ``StripeNoActiveCustomer`` if the customer was deleted at Stripe; the row is
        inactive then.
        """
        add_default_card(self, source_token, is_trusted=is_trusted)
        if stripe_js_response is not None:
            self.stripe_js_response = stripe_js_response
        self.refresh_from_stripe()

    def change_description(self, description: str) -> gateway.Customer:
        """Change the description in Stripe's Dashboard; return Stripe's customer.

        Raises ``StripeNoActiveCustomer`` if the customer was deleted at Stripe (the row is inactive
        then), and the SDK's errors.
        """
        with noticing_deletion(self):
            return gateway.update_customer(self.stripe_customer_id, {"description": description})

    def push_details(self) -> gateway.Customer:
        """Send the user's e-mail address and name, as they are now; return Stripe's customer.

        What is sent is ``STRIPE_CUSTOMER_DATA``. ``stripe_response`` and ``default_source`` of the
        row are updated; other unsaved changes of the object are saved, too.

        Raises ``StripeMethodNotAllowed`` if the customer does not exist at Stripe yet, its subclass
        ``StripeNoActiveCustomer`` if it was deleted there (the row is inactive then), the SDK's
        errors (``email_invalid`` if Stripe does not accept the address; nothing is changed then),
        and ``StripeInProgress`` if other processes keep changing the row.
        """
        if not self.stripe_customer_id:
            raise StripeMethodNotAllowed("The customer is not created at Stripe yet.")
        return push_details(self)

    def retrieve_from_stripe(self) -> gateway.Customer:
        """Return Stripe's customer as it is now; the row is not changed.

        A customer that was deleted there has only ``id``, ``object`` and ``deleted``.
        """
        return gateway.retrieve_customer(self.stripe_customer_id)

    def refresh_from_stripe(self) -> gateway.Customer:
        """Update the payment methods from Stripe; return Stripe's customer.

        The row becomes inactive if the customer was deleted there. Other unsaved changes of the
        object are saved, too. Raises the SDK's errors, and ``StripeInProgress`` if other processes
        keep changing the row.
        """
        if not self._state.adding:
            return self.refresh_rows([self])
        customer = self.retrieve_from_stripe()
        self.set_stripe_data(customer)
        self.save()
        return customer

    #: Updates of all rows of one customer.
    refresh_rows = staticmethod(refresh_rows)
    refresh_default = staticmethod(refresh_default)
    refresh_listed = staticmethod(refresh_listed)

    #: Whether an error is due to a deletion at Stripe; then the row becomes inactive.
    is_deleted_at_stripe = is_deleted_at_stripe

    #: Stripe's ids of the customers that an event is about.
    ids_in = staticmethod(ids_in)

    @property
    def source_ids(self) -> set[str]:
        """The ids of the entries of ``sources``."""
        return {it["id"] for it in self._known_sources() if isinstance(it.get("id"), str)}

    def set_stripe_data(
        self,
        customer: gateway.Customer,
        payment_methods: Iterable[gateway.PaymentMethod] | None = None,
    ) -> None:
        """Copy ``sources`` and ``default_source`` of ``customer``, without saving.

        ``payment_methods`` are all PaymentMethods of the customer; ``None`` lists them from
        Stripe. A customer deleted at Stripe becomes inactive.
        """
        for name, value in values_of(self, described(customer, payment_methods)).items():
            setattr(self, name, value)

    def payment_method_params(self) -> gateway.PaymentIntentConfirmParams:
        """Return the parameters that choose the payment method when a payment is confirmed.

        They name the default PaymentMethod; without one they are empty, and Stripe chooses.

        Unverified: that confirming without a PaymentMethod uses a legacy ``default_source``. The
        SDK documents that for creating with ``confirm``.
        """
        if self.default_source.startswith("pm_"):
            return {"payment_method": self.default_source}
        return {}


def _is_final(error: Exception) -> bool:
    """Return whether the same request would be refused again, so that its row is useless."""
    return not isinstance(error, gateway.StripeError) or gateway.meaning_of(error) in FINAL
