"""The URLs of a site with an endpoint for each tenant, with our view and with a subclass of it."""

from __future__ import annotations

from django.urls import path

from aa_stripe.api import WebhookAPI


class TenantsWebhookAPI(WebhookAPI):
    pass


urlpatterns = [
    path("plain/<slug:tenant>", WebhookAPI.as_view()),
    path("own/<slug:tenant>", TenantsWebhookAPI.as_view()),
]
