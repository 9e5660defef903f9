"""The URLs of the sites: aa_stripe's, and two views by hand that an endpoint can be compared with.

The views by hand verify the signature, parse the event and store it with one statement. They
neither recognise a repeated delivery nor call a handler, so an endpoint that stores events can
hardly do less.
"""

from __future__ import annotations

import json
from typing import Any

import stripe
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

TOLERANCE = 300  # seconds
INSERT = "INSERT INTO bench_event (id, body, created) VALUES (%s, %s, now())"


@csrf_exempt
@require_POST
def limit(request: HttpRequest) -> JsonResponse:
    """Use no more of the SDK than the verification of the signature."""
    body, signature = request.body.decode(), request.headers["Stripe-Signature"]
    secret = settings.STRIPE_WEBHOOK_ENDPOINT_SECRET
    stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE)
    return store(json.loads(body)["id"], body)


@csrf_exempt
@require_POST
def construct_event(request: HttpRequest) -> JsonResponse:
    """Receive an event as Stripe's documentation shows it."""
    body, signature = request.body.decode(), request.headers["Stripe-Signature"]
    secret = settings.STRIPE_WEBHOOK_ENDPOINT_SECRET
    event: Any = stripe.Webhook.construct_event(body, signature, secret)
    return store(event.id, body)


def store(event_id: str, body: str) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [event_id, body])
    return JsonResponse({"id": event_id}, status=201)


urlpatterns = [
    path("limit", limit),
    path("construct-event", construct_event),
    path("", include("aa_stripe.api_urls")),
]
