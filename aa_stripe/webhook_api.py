"""The webhook endpoint: the access to it and its responses. See docs/webhooks.rst."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import connections, transaction
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    RawPostDataException,
    UnreadablePostError,
)
from django.http.response import HttpResponseBase
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from aa_stripe.exceptions import (
    StripeWebhookInProgress,
    StripeWebhookNotConfigured,
    StripeWebhookRefused,
)
from aa_stripe.inbox import Delivery, read_delivery, receive_storable

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

    def post(self, request: HttpRequest, format: str = "json") -> HttpResponse:
        """Receive the event. ``format`` is that of ``format_suffix_patterns``."""
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
        return _received(delivery)


def _received(delivery: Delivery) -> HttpResponse:
    event = delivery.event
    try:
        received = receive_storable(event)
    except StripeWebhookInProgress as error:
        logger.info("Event %s (%s): %s", event["id"], event["type"], error)
        return JsonResponse({"detail": str(error)}, status=409)
    except Exception:
        logger.exception("Event %s (%s) could not be applied.", event["id"], event["type"])
        data = {"detail": "The event could not be applied yet; please send it again."}
        return JsonResponse(data, status=500)
    status_code = 201 if received.is_new else 200
    # What StripeWebhookSerializer would show: Stripe never changes an event.
    body = b'{"id": %s, "raw_data": %s}' % (json.dumps(event["id"]).encode(), delivery.text)
    return HttpResponse(body, content_type="application/json", status=status_code)


def _body_of(request: HttpRequest) -> bytes:
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


def _rejection(error: Exception, status_code: int) -> JsonResponse:
    logger.warning("Webhook rejected: %s", getattr(error, "reason", error))
    return JsonResponse({"detail": str(error)}, status=status_code)
