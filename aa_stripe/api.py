"""The HTTP endpoints: who asks, whose customers and charges those are, and what Stripe's errors
become. What is done, the models do. See docs/http-api.rst.
"""

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
from aa_stripe.checks import THROTTLE_SCOPE
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
from aa_stripe.settings import stripe_settings
from aa_stripe.utils import is_usable_text

if TYPE_CHECKING:
    from rest_framework.views import AsView, GenericView

logger = logging.getLogger("aa-stripe")

#: In these states of a payment intent its owner can still pay it.
PAYABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


class StripeUnavailable(APIException):
    """Stripe gave no usable answer; the same request may be sent again."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "stripe_unavailable"

    def __init__(self) -> None:
        super().__init__({"stripe_error": StripeInternalError.details})


V = TypeVar("V", bound=Callable[..., HttpResponseBase])


def exempt_from_atomic_requests(view: V) -> V:
    """``view``, marked to be run outside of any transaction."""
    for alias in connections:
        transaction.non_atomic_requests(alias)(view)
    return view


@method_decorator(never_cache, name="dispatch")
class StripeAPI(APIView):
    """What the payer's endpoints have in common. ``payer`` is whose customers and charges these
    are."""

    permission_classes = [IsAuthenticated]
    throttle_scope = THROTTLE_SCOPE
    payer: models.Model

    @classmethod
    def as_view(cls, **initkwargs: Any) -> AsView[GenericView]:
        """The view, exempt from ``ATOMIC_REQUESTS``: a row written before Stripe is asked stays
        when the answer is an error, and no transaction is open while Stripe is asked."""
        return exempt_from_atomic_requests(super().as_view(**initkwargs))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.payer = payer_of(request)
        _parse(request)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, StripeMethodNotAllowed):
            exc = ValidationError({"stripe_error": str(exc)})
        elif isinstance(exc, gateway.StripeError):
            exc = self._answer_to(exc)
        return super().handle_exception(exc)

    def _answer_to(self, error: gateway.StripeError) -> APIException:
        """Stripe's own words when it refused what the client sent; none of it otherwise."""
        if _is_refusal(error) and self.request.method not in SAFE_METHODS:
            logger.info("Stripe refused %s: %s", self._named(), error)
            message = gateway.displayable_message(error) or _("Stripe refused the request.")
            return ValidationError({"stripe_error": message})
        logger.error("Stripe gave no usable answer to %s", self._named(), exc_info=error)
        return StripeUnavailable()

    def _named(self) -> str:
        return f"{self.request.method} {self.request.path}"


class CustomersAPI(StripeAPI, CreateAPIView[StripeCustomer]):
    """POST: create a customer of what Stripe.js answered; the same posted twice is one customer."""

    serializer_class = StripeCustomerSerializer

    def perform_create(self, serializer: BaseSerializer[StripeCustomer]) -> None:
        serializer.save(user=self.payer)


class CustomerDetailsAPI(StripeAPI, RetrieveUpdateAPIView[StripeCustomer]):
    """GET a customer of the payer's; PUT and PATCH save another card and make it the default."""

    serializer_class = StripeCustomerDetailsSerializer

    def get_object(self) -> StripeCustomer:
        stripe_customer_id = self.kwargs["stripe_customer_id"]
        if not is_stripe_id(stripe_customer_id):
            raise Http404
        own = StripeCustomer.objects.filter(
            user_id=self.payer.pk, stripe_customer_id=stripe_customer_id
        )
        customer = own.last()  # nothing keeps a project from storing one twice
        if customer is None:
            raise Http404
        self.check_object_permissions(self.request, customer)
        return customer

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.update(request, *args, **kwargs)  # the one field is required here too


class SetupIntentsAPI(StripeAPI):
    """POST: begin to save a card, authenticated by its owner; answers with the client secret."""

    def post(self, request: Request) -> Response:
        customer = StripeCustomer.get_latest_active_customer_for_user(self.payer)
        customer_id = customer.stripe_customer_id if customer else None
        params: gateway.SetupIntentCreateParams = {
            "usage": "off_session",
            # As of payments: only methods that need no page to come back to.
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
        if customer_id:
            params["customer"] = customer_id
        intent = gateway.create_setup_intent(params)
        answer = {
            "id": intent.id,
            "client_secret": intent.client_secret,
            "stripe_customer_id": customer_id,
        }
        return Response(answer, status=status.HTTP_201_CREATED)


class ChargeDetailsAPI(StripeAPI, RetrieveAPIView[StripeCharge]):
    """GET how a charge of the payer's stands, and while its owner has to act the client secret."""

    serializer_class = StripeChargeSerializer
    lookup_field = "uuid"

    def get_queryset(self) -> models.QuerySet[StripeCharge]:
        return StripeCharge.objects.filter(user_id=self.payer.pk)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        charge = self.get_object()
        shown = self.get_serializer(charge).data
        shown |= {"client_secret": None, "payment_method": None}
        if shown["state"] == "requires_action":
            shown |= _as_at_stripe(charge)
        return Response(shown)


@method_decorator(never_cache, name="dispatch")
class CouponDetailsAPI(RetrieveAPIView[StripeCoupon]):
    """GET a coupon that exists, as it was last heard of: Stripe is not asked."""

    permission_classes = [IsAuthenticated]
    throttle_scope = THROTTLE_SCOPE
    serializer_class = StripeCouponSerializer

    def get_object(self) -> StripeCoupon:
        coupon_id = self.kwargs["coupon_id"]
        if not is_usable_text(coupon_id):
            raise Http404
        existing = StripeCoupon.objects.filter(coupon_id=coupon_id, livemode=gateway.is_live())
        coupon: StripeCoupon | None = existing.order_by("-created", "-pk").first()
        if coupon is None:
            raise Http404
        self.check_object_permissions(self.request, coupon)
        return coupon


class WebhookAPI(View):
    """POST: an event that Stripe has signed. Needs no user and no CSRF token.

    Storing the event and applying it are transactions of their own, so none may be around them:
    what is answered with 2xx is stored for good. An event that could not be applied is stored as
    well and answered with 500, which makes Stripe send it again. https://docs.stripe.com/webhooks
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
            return _refusal(error, status.HTTP_503_SERVICE_UNAVAILABLE)
        except StripeWebhookRefused as error:
            return _refusal(error, status.HTTP_400_BAD_REQUEST)
        except RequestDataTooBig as error:
            return _refusal(error, status.HTTP_413_REQUEST_ENTITY_TOO_LARGE)
        return _received(event)


def payer_of(request: Request) -> models.Model:
    """What ``STRIPE_PAYER_FROM_REQUEST`` says of the request; by default ``request.user``.

    Raises ``PermissionDenied`` (403) for ``None``, and ``ImproperlyConfigured`` for what is no
    row of ``STRIPE_USER_MODEL``.
    """
    path = stripe_settings.PAYER_FROM_REQUEST
    payer = import_string(path)(request) if path else request.user
    if payer is None:
        raise PermissionDenied(_("Nobody is known who would pay for this account."))
    user_model: Any = StripeCustomer._meta.get_field("user").related_model
    if isinstance(payer, user_model):
        return cast("models.Model", payer)
    raise ImproperlyConfigured(
        f"The payer of a request is a {type(payer).__name__}, not a {user_model._meta.label}: "
        "STRIPE_PAYER_FROM_REQUEST has to name a function that returns one."
    )


def _parse(request: Request) -> None:
    """Read the body; raises ``ParseError`` also for what (older) parsers of DRF do not handle."""
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
    """Whether Stripe refused what was asked for, the object named in the URL included (404)."""
    meaning = gateway.meaning_of(error)
    return meaning in {Meaning.DECLINED, Meaning.REFUSED} or error.http_status == 404


def _as_at_stripe(charge: StripeCharge) -> dict[str, Any]:
    """What the row does not know: whether its owner has acted meanwhile, else how to act."""
    intent = gateway.retrieve_payment_intent(charge.stripe_payment_intent_id)
    if intent.status not in PAYABLE:
        return {"state": "failed" if intent.status == "canceled" else "processing"}
    return {"client_secret": intent.client_secret, "payment_method": _refused_method(intent)}


def _refused_method(intent: gateway.PaymentIntent) -> str | None:
    """The id of what the owner is to authenticate; a refused one leaves the intent."""
    refused = intent.last_payment_error
    method = intent.payment_method or (refused.payment_method if refused else None)
    return method if isinstance(method, str) or method is None else method.id


def _body_of(request: HttpRequest) -> bytes:
    """The bytes as they were signed. Raises ``RequestDataTooBig``, ``StripeWebhookRefused``."""
    try:
        body: bytes = request.body
    # Older Djangos raise ValueError for a length that is no number.
    except (UnreadablePostError, ValueError) as error:
        raise StripeWebhookRefused("The body did not arrive.") from error
    limit: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    # Django goes by the length that the request names, if it names one.
    if limit is not None and len(body) > limit:
        raise RequestDataTooBig("Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE.")
    return body


def _refusal(error: Exception, status_code: int) -> JsonResponse:
    logger.warning("A webhook was refused: %s", error)
    return JsonResponse({"detail": str(error)}, status=status_code)


def _received(event: dict[str, Any]) -> JsonResponse:
    try:
        received = receive(event)
    except Exception:
        logger.exception("Event %s (%s) could not be applied.", event["id"], event["type"])
        answer = {"detail": "The event could not be applied yet; please send it again."}
        return JsonResponse(answer, status=status.HTTP_500_INTERNAL_SERVER_ERROR)
    stored = StripeWebhookSerializer(received.webhook).data
    is_new = received.is_new
    return JsonResponse(stored, status=status.HTTP_201_CREATED if is_new else status.HTTP_200_OK)
