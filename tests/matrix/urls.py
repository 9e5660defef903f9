"""URLs of the sites: those of the test project, and a view of the site's own."""

from __future__ import annotations

from django.urls import path

from tests import urls
from tests.matrix.site import act

urlpatterns = [path("act/", act), *urls.urlpatterns]
