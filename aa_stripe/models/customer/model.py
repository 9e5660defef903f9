"""A person's customer at Stripe, and what it can pay with."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.db import models, router
from django.utils.translation import gettext_lazy as _
from model_utils import FieldTracker

from aa_stripe import gateway
from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.gateway import Meaning
from aa_stripe.models.base import USER_MODEL, SavesOnlyChanges, StripeBasicModel
from aa_stripe.models.rows import locked

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger("aa-stripe")

#: In the metadata of every customer: the ``uuid`` of its row.
UUID_KEY = "aa_stripe_customer_uuid"

#: After these, asking Stripe for the same customer once more leads nowhere.
FINAL = frozenset({Meaning.DECLINED, Meaning.REFUSED, Meaning.OUTDATED})


class StripeCustomer(SavesOnlyChanges, StripeBasicModel):
    """``sources`` is the list of what the customer can pay with, as Stripe describes it:
    PaymentMethods, and legacy cards and sources where there are any. ``default_source`` is the
    id of the one that is charged, ``""`` when Stripe is to choose."""

    user = models.ForeignKey(USER_MODEL, on_delete=models.CASCADE, related_name="stripe_customers")
    #: What the front-end sent: a token, a PaymentMethod or a SetupIntent, by its ``id``.
    stripe_js_response = models.JSONField(default=dict, blank=True)
    stripe_customer_id = models.CharField(max_length=255, blank=True, db_index=True)
    is_active = models.BooleanField(default=True)
    is_created_at_stripe = models.BooleanField(default=False)
    sources = models.JSONField(default=list, blank=True)
    default_source = models.CharField(max_length=255, blank=True)
    #: The token this customer was asked for with over HTTP, ``None`` for any other; unique for
    #: a user, so that posting one token twice ends in one row.
    submitted_token = models.CharField(max_length=255, null=True, editable=False)  # noqa: DJ001

    tracker = FieldTracker()

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
    def get_latest_active_customer_for_user(cls, user: models.Model) -> StripeCustomer | None:
        """The user's newest active customer that exists at Stripe; ``None`` when there is none."""
        return cls.latest_active(user.pk)

    @classmethod
    def latest_active(cls, user_id: Any) -> StripeCustomer | None:
        """The same by the user's primary key."""
        known = cls._known().filter(user_id=user_id, is_active=True)
        return known.order_by("-id").first()

    @classmethod
    def stripe_ids_of(cls, user_id: Any) -> Iterable[str]:
        """Stripe's ids of every customer that the user ever had."""
        known = cls._known().filter(user_id=user_id)
        return known.order_by("id").values_list("stripe_customer_id", flat=True)

    @classmethod
    def _known(cls) -> models.QuerySet[StripeCustomer]:
        """Those that exist at Stripe; never read from a replica that may lag behind."""
        rows = cls.objects.using(router.db_for_write(cls))
        return rows.exclude(stripe_customer_id="")

    @classmethod
    def get_or_create_at_stripe(
        cls, user: models.Model, stripe_js_response: dict[str, Any]
    ) -> StripeCustomer:
        """The user's customer made of ``stripe_js_response``, created at Stripe if it is not yet.

        The same ``stripe_js_response["id"]`` again, even at the same time in another process,
        ends in the same row and the same customer. Should Stripe, having created it, not say
        what it can pay with, then ``sources`` stays empty until the next refresh.

        Raises what ``create_at_stripe`` raises. After a refusal there is no row; after an error
        that says nothing about the outcome the row stays, and calling again finishes it.
        """
        customer, _is_new = cls.objects.get_or_create(
            user=user,
            submitted_token=stripe_js_response["id"],
            defaults={"stripe_js_response": stripe_js_response},
        )
        try:
            customer._finish_creating()
        except cls.DoesNotExist:  # refused just now for another process, and so deleted
            return cls.get_or_create_at_stripe(user, stripe_js_response)
        except (StripeMethodNotAllowed, gateway.StripeError) as error:
            if _is_final(error):
                cls.objects.filter(pk=customer.pk, is_created_at_stripe=False).delete()
            raise
        return customer

    def _finish_creating(self) -> None:
        with locked(self):
            if not self.is_created_at_stripe:
                self._create()
        if self.sources:
            return
        try:
            self.refresh_from_stripe()
        except gateway.StripeError:
            logger.exception("Customer %s is created, what it can pay with is unknown", self)

    @property
    def default_source_data(self) -> dict[str, Any] | None:
        """The one of ``sources`` that is charged; ``None`` when it is not known."""
        sources = (
            self.sources if isinstance(self.sources, list) else []
        )  # rows of 0.14 hold anything
        known = (it for it in sources if isinstance(it, dict))
        return next((it for it in known if it.get("id") == self.default_source), None)

    def create_at_stripe(self, description: str | None = None) -> StripeCustomer:
        """Create the customer with what ``stripe_js_response["id"]`` names; returns ``self``.

        A card token is turned into a PaymentMethod first; a PaymentMethod, or that of a
        SetupIntent, becomes the default; any other id is handed to Stripe as ``source``, which
        only accounts of old accept. ``description`` of ``None`` is "<user> id: <user's id>".

        Raises ``StripeMethodNotAllowed`` if the customer exists already or the SetupIntent has
        not saved its card yet, and the SDK's errors; after one that says nothing about the
        outcome, calling again makes no second customer.
        """
        if self.is_created_at_stripe:
            raise StripeMethodNotAllowed("Customer already created.")
        if self.pk is None:
            self.save()
        self._create(description)
        self.refresh_from_stripe()
        return self

    def _create(self, description: str | None = None) -> None:
        """Create the customer at Stripe and commit its id, with nothing else learned yet."""
        if description is None:
            description = f"{self.user} id: {self.user.pk}"
        params: gateway.CustomerCreateParams = {
            "description": description,
            "metadata": {UUID_KEY: str(self.uuid)},
        }
        source = self._payable((self.stripe_js_response or {}).get("id", ""))
        if source.startswith("pm_"):
            params["payment_method"] = source
            params["invoice_settings"] = {"default_payment_method": source}
        elif source:
            params["source"] = source
        created = gateway.create_customer(params, idempotency_key=str(self.uuid))
        self.stripe_customer_id = created.id
        self.is_created_at_stripe = True
        self.stripe_response = gateway.to_json(created)
        self.save()

    def add_new_source(
        self, source_token: str, stripe_js_response: dict[str, Any] | None = None
    ) -> None:
        """Save the card that ``source_token`` names for the customer and make it the default.

        Takes the same ids as ``create_at_stripe``. ``stripe_js_response``, if given, is kept.
        Raises what ``create_at_stripe`` raises, nothing of the row being changed then; calling
        again is safe.
        """
        source = self._payable(source_token)
        default: gateway.CustomerUpdateParams = {"source": source}
        if source.startswith("pm_"):
            attached = self._attach(source)
            default = {"invoice_settings": {"default_payment_method": attached.id}}
        gateway.update_customer(self.stripe_customer_id, default)
        if stripe_js_response is not None:
            self.stripe_js_response = stripe_js_response
        self.refresh_from_stripe()

    def change_description(self, description: str) -> gateway.Customer:
        """Change what Stripe's Dashboard says about the customer; returns Stripe's customer."""
        return gateway.update_customer(self.stripe_customer_id, {"description": description})

    def retrieve_from_stripe(self) -> gateway.Customer:
        """Stripe's customer as it is now; the row is left as it is."""
        return gateway.retrieve_customer(self.stripe_customer_id)

    def refresh_from_stripe(self) -> gateway.Customer:
        """Take over what the customer can pay with; returns Stripe's customer."""
        customer = self.retrieve_from_stripe()
        self.set_stripe_data(customer)
        self.save()
        return customer

    def set_stripe_data(
        self,
        customer: gateway.Customer,
        payment_methods: Iterable[gateway.PaymentMethod] | None = None,
    ) -> None:
        """Copy ``sources`` and ``default_source`` of ``customer``, without saving.

        Lists the customer's PaymentMethods, unless ``payment_methods`` are all of them. A
        customer deleted at Stripe becomes inactive.
        """
        described = gateway.to_json(customer)
        self.stripe_response = described
        if described.get("deleted"):
            self.is_active = False
            return
        if payment_methods is None:
            payment_methods = gateway.payment_methods(self.stripe_customer_id)
        methods = [gateway.to_json(it) for it in payment_methods]
        listed = {method["id"] for method in methods}
        legacy = (described.get("sources") or {}).get("data", [])
        self.sources = [*methods, *(it for it in legacy if it["id"] not in listed)]
        settings = described.get("invoice_settings") or {}
        self.default_source = (
            settings.get("default_payment_method") or described.get("default_source") or ""
        )

    def payment_method_params(self) -> gateway.PaymentIntentConfirmParams:
        """What a payment is confirmed with: the default PaymentMethod, or Stripe's choice.

        Unverified: that confirming without a PaymentMethod takes a legacy ``default_source``.
        The SDK says so of creating with ``confirm``.
        """
        if not self.default_source:
            self.refresh_from_stripe()
        if self.default_source.startswith("pm_"):
            return {"payment_method": self.default_source}
        return {}

    def _payable(self, js_id: str) -> str:
        """What ``js_id`` stands for: a card token or a SetupIntent, for its PaymentMethod."""
        if js_id.startswith("tok_"):
            key = f"{self.uuid}-{js_id}"
            return gateway.create_payment_method(js_id, idempotency_key=key).id
        if not js_id.startswith("seti_"):
            return js_id
        intent = gateway.retrieve_setup_intent(js_id)
        if intent.status != "succeeded":
            raise StripeMethodNotAllowed(_("The card was not saved: it is not confirmed yet."))
        return str(intent.payment_method)

    def _attach(self, method_id: str) -> gateway.PaymentMethod:
        """Attach the PaymentMethod, unless it is the customer's already: because a SetupIntent
        has attached it, or an earlier try whose answer was lost.

        Unverified: whether Stripe minds attaching it to the same customer again.
        """
        try:
            return gateway.attach_payment_method(method_id, self.stripe_customer_id)
        except gateway.InvalidRequestError:
            method = gateway.retrieve_payment_method(method_id)
            if method.customer != self.stripe_customer_id:
                raise
            return method


def _is_final(error: Exception) -> bool:
    """Whether the same request would be refused again, so that its row is of no use."""
    return not isinstance(error, gateway.StripeError) or gateway.meaning_of(error) in FINAL
