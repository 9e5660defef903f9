"""The site's URLs: the endpoints of aa_stripe under ``/aa-stripe/``, and the admin."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("aa_stripe.api_urls")),
]
