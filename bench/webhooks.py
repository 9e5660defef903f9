"""The cost of a delivered webhook against a view written by hand; part of ``make bench``.

Both views verify the signature, store the event and call one handler that writes nothing. The view
by hand follows Stripe's documentation, and stores a row to recognise a repeated delivery. If it
fails after the handler and before the row is stored, the handler runs twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from statistics import median

import stripe
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from aa_stripe.api import WebhookAPI
from aa_stripe.models import StripeWebhook
from aa_stripe.testing import event, signed
from aa_stripe.webhooks import registry
from bench.results import Figure

EVENTS = 500
EVENT_TYPE = "bench.delivered"


def compare(repeat: int) -> list[Figure]:
    registry.on(EVENT_TYPE)(handle)
    view = WebhookAPI.as_view()
    pairs = [(measure(receive_by_hand), measure(view)) for _ in range(repeat)]
    registry.off(handle)
    by_hand, ours = (median(times) for times in zip(*pairs, strict=True))
    return [
        Figure("A webhook with a handler, a view by hand", by_hand * 1000, "ms"),
        Figure("A webhook with a handler, aa_stripe", ours * 1000, "ms"),
        Figure("aa_stripe against the view by hand", ours / by_hand, "times"),
    ]


def measure(view: Callable[[HttpRequest], HttpResponse]) -> float:
    """Return the seconds for each delivery."""
    StripeWebhook.objects.all().delete()
    requests = [delivery() for _ in range(EVENTS)]
    start = time.perf_counter()
    responses = [view(request) for request in requests]
    seconds = time.perf_counter() - start
    if any(response.status_code >= 300 for response in responses):
        raise SystemExit("Not every delivery was accepted; there is nothing to compare.")
    return seconds / EVENTS


def delivery() -> HttpRequest:
    body = json.dumps(event(EVENT_TYPE, {"id": "bench_1", "object": "bench"}))
    headers = signed(body, settings.STRIPE_WEBHOOK_ENDPOINT_SECRET)
    return RequestFactory().post(
        "/aa-stripe/webhooks", body, content_type="application/json", headers=headers
    )


def handle(webhook: StripeWebhook) -> None:
    """Do nothing."""


def receive_by_hand(request: HttpRequest) -> HttpResponse:
    secret = settings.STRIPE_WEBHOOK_ENDPOINT_SECRET
    received = stripe.Webhook.construct_event(
        request.body, request.headers["Stripe-Signature"], secret, api_key="sk_test_fake"
    )
    row = StripeWebhook(id=received.id, raw_data=json.loads(request.body), is_parsed=True)
    if not StripeWebhook.objects.filter(pk=row.pk).exists():
        handle(row)
        StripeWebhook.objects.bulk_create([row])
    return HttpResponse(status=200)
