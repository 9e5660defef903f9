"""The URLs of a project that accepts a format at the end of each path."""

from __future__ import annotations

from rest_framework.urlpatterns import format_suffix_patterns

from aa_stripe import api_urls

urlpatterns = format_suffix_patterns(api_urls.urlpatterns)
