"""The HTTP endpoints: access, and the responses to errors of Stripe. See docs/http-api.rst."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, RequestDataTooBig
from django.db import models
from django.http import Http404
from django.utils.decorators import method_decorator
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError, PermissionDenied, ValidationError
from rest_framework.generics import CreateAPIView, RetrieveAPIView, RetrieveUpdateAPIView
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from aa_stripe import gateway
from aa_stripe.exceptions import (
    StripeInternalError,
    StripeMethodNotAllowed,
)
from aa_stripe.gateway import Meaning
from aa_stripe.models import StripeCharge, StripeCoupon, StripeCustomer
from aa_stripe.serializers import (
    StripeChargeSerializer,
    StripeCouponSerializer,
    StripeCustomerDetailsSerializer,
    StripeCustomerSerializer,
    is_stripe_id,
)
from aa_stripe.settings import THROTTLE_SCOPE, stripe_settings
from aa_stripe.utils import is_usable_text
from aa_stripe.webhook_api import WebhookAPI, exempt_from_atomic_requests

if TYPE_CHECKING:
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
    """Base of the payer's endpoints. Only rows of ``payer`` are visible."""

    permission_classes = [IsAuthenticated]
    throttle_scope = THROTTLE_SCOPE
    payer: models.Model

    @classmethod
    def as_view(cls, **initkwargs: Any) -> AsView[GenericView]:
        """Return the view, exempt from ``ATOMIC_REQUESTS``: an error must not roll back rows."""
        return exempt_from_atomic_requests(super().as_view(**initkwargs))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.payer = payer_of(request)
        _parse(request)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, RequestDataTooBig):  # raised where a form is parsed
            exc = BodyTooLarge()
        elif isinstance(exc, StripeMethodNotAllowed):
            exc = ValidationError({"stripe_error": str(exc)})
        elif isinstance(exc, gateway.StripeError):
            exc = self._translated(exc)
        return super().handle_exception(exc)

    def _translated(self, error: gateway.StripeError) -> APIException:
        """Return a 400 with Stripe's message if it refused what the client sent, else a 503."""
        method, path = self.request.method, self.request.path
        if method in SAFE_METHODS or not _is_refusal(error):
            logger.error("No usable response from Stripe for %s %s", method, path, exc_info=error)
            return StripeUnavailable()
        logger.info("Stripe refused %s %s: %s", method, path, error)
        message = gateway.displayable_message(error) or _("Stripe refused the request.")
        return ValidationError({"stripe_error": message})


class CustomersAPI(StripeAPI, CreateAPIView[StripeCustomer]):
    """POST: create a customer from Stripe.js's response; posting it twice creates only one."""

    serializer_class = StripeCustomerSerializer

    def perform_create(self, serializer: BaseSerializer[StripeCustomer]) -> None:
        serializer.save(user=self.payer)


class CustomerDetailsAPI(StripeAPI, RetrieveUpdateAPIView[StripeCustomer]):
    """GET: a customer of the payer. PUT, PATCH: add a card and make it the default."""

    serializer_class = StripeCustomerDetailsSerializer

    def get_object(self) -> StripeCustomer:
        stripe_id = self.kwargs["stripe_customer_id"]
        own = StripeCustomer.objects.filter(user_id=self.payer.pk, stripe_customer_id=stripe_id)
        # The last row: a project may have stored the customer twice.
        customer = own.last() if is_stripe_id(stripe_id) else None
        if customer is None:
            raise Http404
        self.check_object_permissions(self.request, customer)
        return customer

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.update(request, *args, **kwargs)  # the only field is required in a PATCH too


class SetupIntentsAPI(StripeAPI):
    """POST: begin to save a card with authentication; returns the client secret."""

    def post(self, request: Request, format: str | None = None) -> Response:
        customer = StripeCustomer.get_latest_active_customer_for_user(self.payer)
        customer_id = customer.stripe_customer_id if customer else None
        params: gateway.SetupIntentCreateParams = {
            "usage": "off_session",
            # As for payments: no methods that redirect, because there is no return page.
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
        if customer_id:
            params["customer"] = customer_id
        intent = gateway.create_setup_intent(params)
        data = {
            "id": intent.id,
            "client_secret": intent.client_secret,
            "stripe_customer_id": customer_id,
        }
        return Response(data, status=status.HTTP_201_CREATED)


class ChargeDetailsAPI(StripeAPI, RetrieveAPIView[StripeCharge]):
    """GET: the state of a charge of the payer, and the client secret if the payer has to act."""

    serializer_class = StripeChargeSerializer
    lookup_field = "uuid"

    def get_queryset(self) -> models.QuerySet[StripeCharge]:
        return StripeCharge.objects.filter(user_id=self.payer.pk)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        charge = self.get_object()
        data = self.get_serializer(charge).data | {"client_secret": None, "payment_method": None}
        if data["state"] == "requires_action":
            data |= _state_at_stripe(charge)
        return Response(data)


@method_decorator(never_cache, name="dispatch")
class CouponDetailsAPI(RetrieveAPIView[StripeCoupon]):
    """GET: a coupon from the database; does not call Stripe."""

    permission_classes = [IsAuthenticated]
    throttle_scope = THROTTLE_SCOPE
    serializer_class = StripeCouponSerializer

    def get_object(self) -> StripeCoupon:
        coupon_id = self.kwargs["coupon_id"]
        rows = StripeCoupon.objects.filter(coupon_id=coupon_id, livemode=gateway.is_live())
        newest = rows.order_by("-created", "-pk")
        coupon: StripeCoupon | None = newest.first() if is_usable_text(coupon_id) else None
        if coupon is None:
            raise Http404
        self.check_object_permissions(self.request, coupon)
        return coupon


def payer_of(request: Request) -> models.Model:
    """Return the payer: what ``STRIPE_PAYER_FROM_REQUEST`` returns, by default ``request.user``.

    Raises ``PermissionDenied`` (403) for ``None``, and ``ImproperlyConfigured`` if the payer is
    not an instance of ``STRIPE_USER_MODEL``.
    """
    path = stripe_settings.PAYER_FROM_REQUEST
    payer = import_string(path)(request) if path else request.user
    if payer is None:
        raise PermissionDenied(_("There is no payer for this request."))
    user_model: Any = StripeCustomer._meta.get_field("user").related_model
    if isinstance(payer, user_model):
        return cast("models.Model", payer)
    raise ImproperlyConfigured(
        f"The payer of a request is a {type(payer).__name__}, not a {user_model._meta.label}: "
        "STRIPE_PAYER_FROM_REQUEST must name a function that returns one."
    )


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


def _is_refusal(error: gateway.StripeError) -> bool:
    """Return whether Stripe refused the request, or does not know the object in its URL (404)."""
    meaning = gateway.meaning_of(error)
    return meaning in {Meaning.DECLINED, Meaning.REFUSED} or error.http_status == 404


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
