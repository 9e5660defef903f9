"""URLs of the test project: the admin, and ours at the root as the README shows."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("aa_stripe.api_urls")),
]
