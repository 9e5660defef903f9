"""The webhook endpoint: the access to it and its responses. See docs/webhooks.rst."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import connections, transaction
from django.http import (
    Http404,
    HttpResponse,
    RawPostDataException,
    UnreadablePostError,
)
from django.http.response import HttpResponseBase
from rest_framework.generics import GenericAPIView
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from aa_stripe.exceptions import (
    StripeWebhookInProgress,
    StripeWebhookNotConfigured,
    StripeWebhookRefused,
)
from aa_stripe.inbox import Delivery, Received, read_delivery, receive_storable
from aa_stripe.models import StripeWebhook
from aa_stripe.serializers import StripeWebhookSerializer

if TYPE_CHECKING:
    from rest_framework.views import AsView, GenericView

logger = logging.getLogger("aa-stripe")

#: For the log: the signature is that of the bytes, which can be read only once.
ALREADY_READ = (
    "A middleware has called request.read() before the view. It may use request.body instead, "
    "which keeps the body, or skip the path of the endpoint."
)


V = TypeVar("V", bound=Callable[..., HttpResponseBase])


def exempt_from_atomic_requests(view: V) -> V:
    """Return ``view``, marked to run outside any transaction."""
    for alias in connections:
        transaction.non_atomic_requests(alias)(view)
    return view


class FirstRenderer(BaseContentNegotiation):
    """The first renderer, whatever the request accepts."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> Any:
        return renderers[0], renderers[0].media_type


class DataResponse(HttpResponse):
    """A JSON response whose ``data`` can be read in tests, as with REST framework's."""

    @property
    def data(self) -> Any:
        return json.loads(self.content)


class WebhookAPI(GenericAPIView[StripeWebhook]):
    """POST: an event signed by Stripe. Needs no user and no CSRF token.

    REST framework's attributes are set here, so that the project's defaults do not apply: its
    authentication, throttling and versions are not for Stripe. A subclass may set them.

    An event with a 2xx response must be committed, so the view runs outside any transaction:
    storing the event and applying it have their own. An event that could not be applied is
    stored, and the response is 500, so Stripe redelivers it. https://docs.stripe.com/webhooks
    """

    http_method_names = ["post"]
    queryset = StripeWebhook.objects.all()
    serializer_class = StripeWebhookSerializer
    authentication_classes = []
    permission_classes = [AllowAny]
    throttle_classes = []
    parser_classes = []  # the signature is that of the bytes
    renderer_classes = [JSONRenderer]
    content_negotiation_class = FirstRenderer
    versioning_class = None
    #: Whether no hook of REST framework is used: neither by a subclass nor by ``as_view()``.
    is_plain = False

    @classmethod
    def as_view(cls, **initkwargs: Any) -> AsView[GenericView]:
        is_plain = cls is WebhookAPI and not initkwargs
        view = exempt_from_atomic_requests(super().as_view(is_plain=is_plain, **initkwargs))
        # For Django's login middleware; older versions of REST framework do not set it.
        view.login_required = False  # type: ignore[attr-defined]
        return view

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Receive the event without REST framework's dispatch, half of the time, if it is plain."""
        if self.is_plain and request.method == "POST":
            return self.post(request, *args, **kwargs)
        return super().dispatch(request, *args, **kwargs)

    def post(
        self, request: Request, *args: object, format: str = "json", **kwargs: object
    ) -> HttpResponseBase:
        """Receive the event. ``format`` is that of ``format_suffix_patterns``.

        Other arguments of a project's own URL are ignored.
        """
        if format != "json":
            raise Http404
        try:
            delivery = read_delivery(
                _body_of(request), request.META.get("HTTP_STRIPE_SIGNATURE", "")
            )
        except StripeWebhookNotConfigured as error:
            return _rejection(error, 503)
        except StripeWebhookRefused as error:
            return _rejection(error, 400)
        except RequestDataTooBig as error:
            return _rejection(error, 413)
        return self._received(delivery)

    def _received(self, delivery: Delivery) -> HttpResponseBase:
        event = delivery.event
        try:
            received = receive_storable(event)
        except StripeWebhookInProgress as error:
            logger.info("Event %s (%s): %s", event["id"], event["type"], error)
            return _detail(str(error), 409)
        except Exception:
            logger.exception("Event %s (%s) could not be applied.", event["id"], event["type"])
            return _detail("The event could not be applied yet; please send it again.", 500)
        return self._shown(delivery, received)

    def _shown(self, delivery: Delivery, received: Received) -> HttpResponseBase:
        status_code = 201 if received.is_new else 200
        if not self.is_plain:  # it may have another serializer
            return Response(self.get_serializer(received.webhook).data, status_code)
        # What StripeWebhookSerializer would show, without the work: Stripe never changes an event.
        body = b'{"id": %s, "raw_data": %s}' % (
            json.dumps(delivery.event["id"]).encode(),
            delivery.text,
        )
        return DataResponse(body, content_type="application/json", status=status_code)


def _body_of(request: Request) -> bytes:
    """Return the signed bytes; raise ``RequestDataTooBig`` or ``StripeWebhookRefused``."""
    try:
        body: bytes = request.body
    # Older versions of Django raise ValueError for a length that is not a number.
    except (UnreadablePostError, ValueError) as error:
        raise StripeWebhookRefused("The body did not arrive.") from error
    except RawPostDataException as error:
        raise StripeWebhookRefused("The body was read before.", ALREADY_READ) from error
    limit: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    # Django only checks the Content-Length header, which may be missing.
    if limit is not None and len(body) > limit:
        raise RequestDataTooBig("Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE.")
    return body


def _rejection(error: Exception, status_code: int) -> HttpResponse:
    logger.warning("Webhook rejected: %s", getattr(error, "reason", error))
    return _detail(str(error), status_code)


def _detail(text: str, status_code: int) -> HttpResponse:
    body = json.dumps({"detail": text})
    return DataResponse(body, content_type="application/json", status=status_code)
