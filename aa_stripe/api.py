"""The HTTP endpoints: access, and the responses to errors of Stripe. See docs/http-api.rst."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, RequestDataTooBig
from django.db import connections, models, transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
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
    StripeWebhookNotConfigured,
    StripeWebhookRefused,
)
from aa_stripe.gateway import Meaning
from aa_stripe.inbox import read_event, receive
from aa_stripe.models import StripeCharge, StripeCoupon, StripeCustomer
from aa_stripe.serializers import (
    StripeChargeSerializer,
    StripeCouponSerializer,
    StripeCustomerDetailsSerializer,
    StripeCustomerSerializer,
    StripeWebhookSerializer,
    is_stripe_id,
)
from aa_stripe.settings import THROTTLE_SCOPE, stripe_settings
from aa_stripe.utils import is_usable_text

if TYPE_CHECKING:
    from rest_framework.views import AsView, GenericView

logger = logging.getLogger("aa-stripe")

#: The states of a payment intent in which its payer can still pay it.
PAYABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


class StripeUnavailable(APIException):
    """No usable response from Stripe; the same request may be retried."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "stripe_unavailable"
    default_detail = {"stripe_error": StripeInternalError.details}


V = TypeVar("V", bound=Callable[..., HttpResponseBase])


def exempt_from_atomic_requests(view: V) -> V:
    """Return ``view``, marked to run outside any transaction."""
    for alias in connections:
        transaction.non_atomic_requests(alias)(view)
    return view


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
        if isinstance(exc, StripeMethodNotAllowed):
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

    def post(self, request: Request) -> Response:
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


class WebhookAPI(View):
    """POST: an event signed by Stripe. Needs no user and no CSRF token.

    An event with a 2xx response must be committed, so the view runs outside any transaction:
    storing the event and applying it have their own. An event that could not be applied is
    stored, and the response is 500, so Stripe redelivers it. https://docs.stripe.com/webhooks
    """

    http_method_names = ["post"]

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        view = csrf_exempt(exempt_from_atomic_requests(super().as_view(**initkwargs)))
        view.login_required = False  # type: ignore[attr-defined] # for Django's login middleware
        return view

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            event = read_event(_body_of(request), request.headers.get("Stripe-Signature", ""))
        except StripeWebhookNotConfigured as error:
            return _rejection(error, status.HTTP_503_SERVICE_UNAVAILABLE)
        except StripeWebhookRefused as error:
            return _rejection(error, status.HTTP_400_BAD_REQUEST)
        except RequestDataTooBig as error:
            return _rejection(error, status.HTTP_413_REQUEST_ENTITY_TOO_LARGE)
        try:
            received = receive(event)
        except Exception:
            logger.exception("Event %s (%s) could not be applied.", event["id"], event["type"])
            data = {"detail": "The event could not be applied yet; please send it again."}
            return JsonResponse(data, status=status.HTTP_500_INTERNAL_SERVER_ERROR)
        status_code = status.HTTP_201_CREATED if received.is_new else status.HTTP_200_OK
        return JsonResponse(StripeWebhookSerializer(received.webhook).data, status=status_code)


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
    """Parse the body; raise ``ParseError`` also where DRF's parsers raise other errors."""
    charset = request.parser_context["encoding"]
    try:
        "".encode(charset)
    except (LookupError, UnicodeError) as error:  # "rot13" and "zlib" are codecs, but not of text
        raise ParseError(_("Unsupported charset.")) from error
    try:
        request.data  # noqa: B018
    except RecursionError as error:
        raise ParseError(_("JSON parse error - nested too deeply")) from error


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


def _body_of(request: HttpRequest) -> bytes:
    """Return the signed bytes; raise ``RequestDataTooBig`` or ``StripeWebhookRefused``."""
    try:
        body: bytes = request.body
    # Older versions of Django raise ValueError for a length that is not a number.
    except (UnreadablePostError, ValueError) as error:
        raise StripeWebhookRefused("The body did not arrive.") from error
    limit: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    # Django only checks the Content-Length header, which may be missing.
    if limit is not None and len(body) > limit:
        raise RequestDataTooBig("Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE.")
    return body


def _rejection(error: Exception, status_code: int) -> JsonResponse:
    logger.warning("Webhook rejected: %s", error)
    return JsonResponse({"detail": str(error)}, status=status_code)
