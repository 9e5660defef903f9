"""Builders of coupons, and the coupons at Stripe."""

from __future__ import annotations

from aa_stripe.models import StripeCoupon
from tests.support.rows import row_of

CREATE = "POST /v1/coupons"
LIST = "GET /v1/coupons"
RETRIEVE = "GET /v1/coupons/*"
UPDATE = "POST /v1/coupons/*"
DELETE = "DELETE /v1/coupons/*"

TEN_DOLLARS = {
    "coupon_id": "SALE10",
    "duration": StripeCoupon.DURATION_FOREVER,
    "currency": "usd",
    "amount_off": 10,
}


def new_coupon(**fields):
    """Return a coupon of ten dollars off that is not saved."""
    return StripeCoupon(**{**TEN_DOLLARS, **fields})


def make_coupon(**fields):
    """Create a coupon of ten dollars off, also at Stripe."""
    coupon = new_coupon(**fields)
    coupon.save()
    return coupon


def make_live(coupon):
    """Turn the row into one of live mode; return it as stored."""
    coupon = row_of(coupon)
    coupon.livemode = True
    coupon.identify()
    rows(pk=coupon.pk).update(livemode=True, identity=coupon.identity)
    return row_of(coupon)


def rows(**filters):
    """Return the rows, including those marked as deleted."""
    return StripeCoupon.objects.all_with_deleted().filter(**filters).order_by("pk")


def at_stripe(fake, coupon_id=None):
    """Return Stripe's coupons, or the one with that id."""
    coupons = fake.account.all("coupon")
    return [it for it in coupons if coupon_id in (None, it["id"])]
