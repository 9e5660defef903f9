"""A fake Stripe, and coupons in it."""

from __future__ import annotations

import pytest

from tests.coupons.stripe_side import make_coupon


@pytest.fixture
def coupon(db, fake):
    """Ten dollars off, here and at Stripe; the requests that made it are forgotten."""
    coupon = make_coupon()
    fake.requests.clear()
    return coupon
