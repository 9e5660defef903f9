"""The HTTP endpoints: access, and the responses to errors of Stripe. See docs/http-api.rst."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, models, router
from django.http import Http404
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.generics import (
    CreateAPIView,
    GenericAPIView,
    RetrieveAPIView,
    RetrieveUpdateAPIView,
)
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError, StripeMethodNotAllowed
from aa_stripe.models import StripeCharge, StripeCoupon, StripeCustomer
from aa_stripe.payers import is_overridden, payer_of
from aa_stripe.refusals import refusal_of
from aa_stripe.serializers import (
    StripeChargeSerializer,
    StripeCouponSerializer,
    StripeCustomerDetailsSerializer,
    StripeCustomerSerializer,
    state_of,
)
from aa_stripe.settings import THROTTLE_SCOPE
from aa_stripe.utils import is_usable_text
from aa_stripe.webhook_api import WebhookAPI, exempt_from_atomic_requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rest_framework.views import AsView, GenericView

__all__ = [
    "ChargeDetailsAPI",
    "CouponDetailsAPI",
    "CustomerDetailsAPI",
    "CustomersAPI",
    "SetupIntentsAPI",
    "WebhookAPI",
]

logger = logging.getLogger("aa-stripe")

M = TypeVar("M", bound=models.Model)

#: Raised for a value of another type than the column's, or out of its range.
UNUSABLE_VALUE = (TypeError, ValueError, OverflowError, DjangoValidationError, DataError)

#: The states of a payment intent in which its payer can still pay it.
PAYABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


class BodyTooLarge(APIException):
    """The body is larger than ``DATA_UPLOAD_MAX_MEMORY_SIZE``."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = _("The request body is too large.")


class StripeUnavailable(APIException):
    """No usable response from Stripe; the same request may be retried."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "stripe_unavailable"
    default_detail = {"stripe_error": StripeInternalError.details}


@method_decorator(never_cache, name="dispatch")
class StripeAPI(APIView):
    """Base of the payer's endpoints."""

    permission_classes = [IsAuthenticated]
    throttle_scope = THROTTLE_SCOPE
    #: A subclass that overrides one of these may not need the payer.
    payer_hooks: ClassVar[Sequence[str]] = ["payer", "get_queryset", "get_object"]

    @cached_property
    def payer(self) -> models.Model:
        """Return the payer of the request, determined when it is used; see ``payer_of``."""
        return payer_of(self.request)

    @classmethod
    def as_view(cls, **initkwargs: Any) -> AsView[GenericView]:
        """Return the view, exempt from ``ATOMIC_REQUESTS``: an error must not roll back rows."""
        return exempt_from_atomic_requests(super().as_view(**initkwargs))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        _parse(request)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, RequestDataTooBig):  # raised where a form is parsed
            exc = BodyTooLarge()
        elif isinstance(exc, (StripeMethodNotAllowed, gateway.StripeError)):
            exc = self._translated(exc)
        return super().handle_exception(exc)

    def _translated(self, error: Exception) -> APIException:
        """Return a 400 with Stripe's message if it refused what the client sent, else a 503."""
        method, path = self.request.method, self.request.path
        refusal = None if method in SAFE_METHODS else refusal_of(error)
        if refusal is None:
            logger.error("No usable response from Stripe for %s %s", method, path, exc_info=error)
        return refusal or StripeUnavailable()

    @classmethod
    def needs_payer(cls) -> bool:
        """Return whether nothing that a project has overridden can do without the payer."""
        return not is_overridden(cls, cls.payer_hooks)


class PayersRows(StripeAPI, GenericAPIView[M]):
    """Base of the endpoints with rows that have a payer.

    ``queryset`` is narrowed to the payer's rows. A subclass with its own ``get_queryset()``
    replaces that, and decides itself which rows are visible.
    """

    def get_queryset(self) -> models.QuerySet[M]:
        rows = super().get_queryset().filter(user_id=self.payer.pk)
        if self.request.method in SAFE_METHODS:
            return rows
        # What is changed is read where it is written: a replica may not have the row yet.
        return rows.using(router.db_for_write(rows.model))


class NewestRow(GenericAPIView[M]):
    """Base of the endpoints with one row: REST framework's lookup, but several rows may match.

    A project may have stored a customer twice, and a coupon's id may be used again.
    """

    #: The order in which the first row is the newest.
    newest_first: ClassVar[Sequence[str]] = ["-pk"]

    def get_object(self) -> M:
        value = self.kwargs[self.lookup_url_kwarg or self.lookup_field]
        rows = self.filter_queryset(self.get_queryset())
        if isinstance(value, str) and not is_usable_text(value):
            raise Http404
        try:
            matching = rows.filter(**{self.lookup_field: value})
            row: M | None = matching.order_by(*self.newest_first).first()
        except UNUSABLE_VALUE as error:
            raise Http404 from error
        if row is None:
            raise Http404
        self.check_object_permissions(self.request, row)
        return row


class CustomersAPI(PayersRows[StripeCustomer], CreateAPIView[StripeCustomer]):
    """POST: create a customer from Stripe.js's response; posting it twice creates only one."""

    queryset = StripeCustomer.objects.all()
    serializer_class = StripeCustomerSerializer
    payer_hooks = ["payer", "post", "create", "perform_create", "get_serializer_class"]

    @classmethod
    def needs_payer(cls) -> bool:
        return super().needs_payer() and not is_overridden(cls.serializer_class, ["create"])


class CustomerDetailsAPI(
    NewestRow[StripeCustomer], PayersRows[StripeCustomer], RetrieveUpdateAPIView[StripeCustomer]
):
    """GET: a customer of the payer. PUT, PATCH: add a card and make it the default."""

    queryset = StripeCustomer.objects.all()
    serializer_class = StripeCustomerDetailsSerializer
    lookup_field = "stripe_customer_id"


class SetupIntentsAPI(StripeAPI):
    """POST: begin to save a card with authentication; returns the client secret."""

    payer_hooks = ["payer", "post"]

    def post(self, request: Request, format: str | None = None) -> Response:
        customer = StripeCustomer.get_latest_active_customer_for_user(self.payer)
        try:
            intent = self._created_for(customer)
        except gateway.InvalidRequestError as error:
            if customer is None or not customer.is_deleted_at_stripe(error):
                raise
            return self.post(request, format)  # the customer is inactive now
        data = {
            "id": intent.id,
            "client_secret": intent.client_secret,
            "stripe_customer_id": customer.stripe_customer_id if customer else None,
        }
        return Response(data, status=status.HTTP_201_CREATED)

    def _created_for(self, customer: StripeCustomer | None) -> gateway.SetupIntent:
        params: gateway.SetupIntentCreateParams = {
            "usage": "off_session",
            "metadata": StripeCustomer.payer_metadata(self.payer),
            # As for payments: no methods that redirect, because there is no return page.
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
        if customer is not None:
            params["customer"] = customer.stripe_customer_id
        return gateway.create_setup_intent(params)


class ChargeDetailsAPI(
    NewestRow[StripeCharge], PayersRows[StripeCharge], RetrieveAPIView[StripeCharge]
):
    """GET: the state of a charge of the payer, and the client secret if the payer has to act."""

    queryset = StripeCharge.objects.all()
    serializer_class = StripeChargeSerializer
    lookup_field = "uuid"

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        charge = self.get_object()
        data = self.get_serializer(charge).data | {"client_secret": None, "payment_method": None}
        if state_of(charge) == "requires_action":
            data |= _state_at_stripe(charge)
        return Response(data)


@method_decorator(never_cache, name="dispatch")
class CouponDetailsAPI(NewestRow[StripeCoupon], RetrieveAPIView[StripeCoupon]):
    """GET: a coupon from the database; does not call Stripe.

    ``queryset`` is narrowed to the mode (live or test) of the API key. A subclass with its own
    ``get_queryset()`` replaces that.
    """

    permission_classes = [IsAuthenticated]
    throttle_scope = THROTTLE_SCOPE
    queryset = StripeCoupon.objects.all()
    serializer_class = StripeCouponSerializer
    lookup_field = "coupon_id"
    newest_first = ["-created", "-pk"]

    def get_queryset(self) -> models.QuerySet[StripeCoupon]:
        return super().get_queryset().filter(livemode=gateway.is_live())


def _parse(request: Request) -> None:
    """Parse the body; raise ``ParseError`` also where DRF's parsers raise other errors.

    Raises ``BodyTooLarge`` for JSON as well, whose length DRF does not limit.
    """
    limit: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if limit is not None and _length_of(request) > limit:
        raise BodyTooLarge
    charset = request.parser_context["encoding"]
    try:
        "".encode(charset)
    except (LookupError, UnicodeError) as error:  # "rot13" and "zlib" are codecs, but not of text
        raise ParseError(_("Unsupported charset.")) from error
    try:
        request.data  # noqa: B018
    except RecursionError as error:
        raise ParseError(_("JSON parse error - nested too deeply")) from error


def _length_of(request: Request) -> int:
    """Return the length of the body; 0 if the header is no number, as in DRF, which reads none."""
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def _state_at_stripe(charge: StripeCharge) -> dict[str, Any]:
    """Return the new state if the payer has acted, else what the payer needs to act."""
    intent = gateway.retrieve_payment_intent(charge.stripe_payment_intent_id)
    if intent.status not in PAYABLE:
        return {"state": "failed" if intent.status == "canceled" else "processing"}
    # A decline removes the payment method from the intent, but not from the error.
    error = intent.last_payment_error
    method = intent.payment_method or (error.payment_method if error else None)
    method_id = method if isinstance(method, str) or method is None else method.id
    return {"client_secret": intent.client_secret, "payment_method": method_id}
