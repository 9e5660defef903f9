"""A fake Stripe, and coupons in it."""

from __future__ import annotations

import pytest

from tests.support.builders import make_user
from tests.support.clients import signed_in
from tests.support.coupons import make_coupon


@pytest.fixture
def coupon(db, fake):
    """A coupon of ten dollars, here and at Stripe; ``fake.requests`` is empty."""
    coupon = make_coupon()
    fake.requests.clear()
    return coupon


@pytest.fixture
def api(db):
    """A client of a user who has no customer."""
    return signed_in(make_user())
