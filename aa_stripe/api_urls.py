"""The URLs of the HTTP endpoints, for a project's ``include("aa_stripe.api_urls")``."""

from __future__ import annotations

from django.urls import path, re_path

from aa_stripe.api import (
    ChargeDetailsAPI,
    CouponDetailsAPI,
    CustomerDetailsAPI,
    CustomersAPI,
    SetupIntentsAPI,
    WebhookAPI,
)

urlpatterns = [
    # With or without a slash at the end: Stripe does not follow redirects.
    re_path(r"^aa-stripe/webhooks/?$", WebhookAPI.as_view(), name="stripe-webhooks"),
    path("aa-stripe/customers", CustomersAPI.as_view(), name="stripe-customers"),
    path(
        "aa-stripe/customers/<str:stripe_customer_id>",
        CustomerDetailsAPI.as_view(),
        name="stripe-customer-details",
    ),
    path("aa-stripe/setup-intents", SetupIntentsAPI.as_view(), name="stripe-setup-intents"),
    path(
        "aa-stripe/charges/<uuid:uuid>",
        ChargeDetailsAPI.as_view(),
        name="stripe-charge-details",
    ),
    # A coupon's id may contain slashes.
    path(
        "aa-stripe/coupons/<path:coupon_id>",
        CouponDetailsAPI.as_view(),
        name="stripe-coupon-details",
    ),
]
