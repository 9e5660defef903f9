"""A fake Stripe and a client that is signed in."""

from __future__ import annotations

import pytest

from tests.support.builders import make_user
from tests.support.clients import signed_in


@pytest.fixture
def payer(db):
    return make_user()


@pytest.fixture
def api(payer, fake):
    """A client that is signed in as ``payer``."""
    return signed_in(payer)
