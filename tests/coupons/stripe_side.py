"""Builders of coupons, and what Stripe has of them."""

from __future__ import annotations

from aa_stripe.models import StripeCoupon

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
    """Ten dollars off, not saved."""
    return StripeCoupon(**{**TEN_DOLLARS, **fields})


def make_coupon(**fields):
    """The same, created here and at Stripe."""
    coupon = new_coupon(**fields)
    coupon.save()
    return coupon


def other(coupon):
    """The row in other hands."""
    return StripeCoupon.objects.all_with_deleted().get(pk=coupon.pk)


def make_live(coupon):
    """Let the row be of a coupon of live mode."""
    coupon = other(coupon)
    coupon.livemode = True
    coupon.identify()
    rows(pk=coupon.pk).update(livemode=True, identity=coupon.identity)
    return other(coupon)


def rows(**filters):
    """Every row, deleted ones included."""
    return StripeCoupon.objects.all_with_deleted().filter(**filters).order_by("pk")


def at_stripe(fake, coupon_id=None):
    """Stripe's coupons, or those of one id."""
    coupons = fake.account.all("coupon")
    return [it for it in coupons if coupon_id in (None, it["id"])]


def endpoint_of(request):
    """The endpoint as ``fail_next()`` names it."""
    rest = request.path.removeprefix("/v1/coupons").strip("/")
    return f"{request.method} /v1/coupons" + ("/*" if rest else "")


def calls(fake):
    """The endpoints that were asked, in their order."""
    return [endpoint_of(request) for request in fake.requests]


def when_done(fake, endpoint, act):
    """``act()`` once after a request took effect, before its answer is seen."""

    def hook(request, answer):
        if endpoint_of(request) == endpoint:
            fake.after_request.clear()
            act()

    fake.after_request.append(hook)
