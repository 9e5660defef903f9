"""A fake Stripe and a client that is signed in."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests.builders import make_user


@pytest.fixture
def payer(db):
    return make_user()


@pytest.fixture
def api(payer, fake):
    """A client that is signed in as ``payer``."""
    return signed_in(payer)


def signed_in(user):
    client = APIClient()
    client.force_authenticate(user)
    return client
