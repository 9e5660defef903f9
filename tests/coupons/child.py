"""A process that works on coupons: ``python -m tests.coupons.child URL WHAT``.

WHAT is ``make`` (the coupon of ``TEN_DOLLARS``), ``edit``, ``delete`` or ``refresh``. Prints its
outcome.
"""

from __future__ import annotations

import sys

import django
from django.conf import settings

django.setup()

from aa_stripe.exceptions import StripeError  # noqa: E402 (models need the set-up)
from aa_stripe.jobs import refresh_coupons  # noqa: E402
from aa_stripe.models import StripeCoupon  # noqa: E402
from tests.support.coupons import make_coupon  # noqa: E402


def edit():
    coupon = StripeCoupon.objects.get()
    coupon.metadata = {"a": "b"}
    coupon.save()


ACTS = {
    "make": make_coupon,
    "edit": edit,
    "delete": lambda: StripeCoupon.objects.get().delete(),
    "refresh": refresh_coupons,
}


def main(url, what):
    settings.STRIPE_API_BASE = url
    try:
        ACTS[what]()
    except StripeError as error:
        print("refused:", type(error).__name__, flush=True)
    else:
        print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
