"""Clients of the site's HTTP API."""

from __future__ import annotations

from rest_framework.test import APIClient


def signed_in(user):
    """Return a client that is signed in as ``user``."""
    client = APIClient()
    client.force_authenticate(user)
    return client
