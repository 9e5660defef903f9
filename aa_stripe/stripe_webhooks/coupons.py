"""Handlers of events about coupons.

https://docs.stripe.com/api/coupons
"""

from __future__ import annotations

from collections.abc import Iterable

from aa_stripe import gateway
from aa_stripe.events import object_of
from aa_stripe.exceptions import StripeCouponAlreadyExists, StripeWebhookParseError
from aa_stripe.models import StripeCoupon, StripeWebhook
from aa_stripe.stripe_webhooks.errors import errors_translated
from aa_stripe.webhooks import on

#: 0.14's text, to the letter.
NOT_AT_STRIPE = "Coupon with this coupon_id does not exists at Stripe API"


@on("coupon.created")
def store_coupon(webhook: StripeWebhook) -> None:
    """Store a coupon that was created in the Dashboard."""
    coupon = StripeCoupon(coupon_id=object_of(webhook.raw_data).id)
    with errors_translated():
        try:
            coupon.save(force_retrieve=True)
        except StripeCouponAlreadyExists as error:  # created here, or by an earlier event
            raise StripeWebhookParseError(str(error)) from error
        except gateway.InvalidRequestError as error:
            if error.http_status != 404:
                raise
            raise StripeWebhookParseError(NOT_AT_STRIPE) from error


@on("coupon.updated")
def refresh_coupon(webhook: StripeWebhook) -> None:
    """Update the coupon, or mark it as deleted."""
    for row in _rows_of(webhook):
        with errors_translated():
            row.refresh_from_stripe()


@on("coupon.deleted")
def mark_coupon_as_deleted(webhook: StripeWebhook) -> None:
    """Mark the coupon as deleted if Stripe does not have it."""
    for row in _rows_of(webhook):
        with errors_translated():
            row.refresh_deleted()


def _rows_of(webhook: StripeWebhook) -> Iterable[StripeCoupon]:
    coupon = object_of(webhook.raw_data)
    return StripeCoupon.of_stripe({"id": coupon.id, "created": coupon.seconds("created")})
