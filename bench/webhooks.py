"""The cost of a delivered webhook against a view written by hand; part of ``make bench``.

Both views verify the signature, store the event and call one handler that writes nothing, on
SQLite. The view by hand follows Stripe's documentation, and stores a row to recognise a repeated
delivery. If it fails after the handler and before the row is stored, the handler runs twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import stripe
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from aa_stripe.api import WebhookAPI
from aa_stripe.models import StripeWebhook
from aa_stripe.testing import event, signed
from aa_stripe.webhooks import registry

EVENTS = 500
EVENT_TYPE = "bench.delivered"


def compare() -> None:
    registry.on(EVENT_TYPE)(handle)
    view = WebhookAPI.as_view()
    by_hand, ours = measure(receive_by_hand), measure(view)
    registry.off(handle)
    print(f"{EVENTS} webhooks with a handler:")
    print(f"  a view by hand      {by_hand * 1000:7.2f} ms a delivery")
    print(f"  aa_stripe           {ours * 1000:7.2f} ms a delivery")
    print(f"  ratio               {ours / by_hand:7.2f}")


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
