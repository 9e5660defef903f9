"""A coupon, known by its id and its creation time at Stripe."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from model_utils import Choices

from aa_stripe.currencies import CURRENCY_CHOICES
from aa_stripe.models.base import StripeBasicModel


class StripeCouponQuerySet(models.QuerySet["StripeCoupon"]):
    pass


class StripeCouponManager(models.Manager.from_queryset(StripeCouponQuerySet)):  # type: ignore[misc]
    """Only the coupons that are not deleted; the others have names of their own."""

    def get_queryset(self) -> StripeCouponQuerySet:
        return self.all_with_deleted().filter(is_deleted=False)

    def all_with_deleted(self) -> StripeCouponQuerySet:
        return StripeCouponQuerySet(self.model, using=self._db)

    def deleted(self) -> StripeCouponQuerySet:
        return self.all_with_deleted().filter(is_deleted=True)


class StripeCoupon(StripeBasicModel):
    DURATION_FOREVER = "forever"
    DURATION_ONCE = "once"
    DURATION_REPEATING = "repeating"
    DURATION_CHOICES = Choices(
        (DURATION_FOREVER, _("forever")),
        (DURATION_ONCE, _("once")),
        (DURATION_REPEATING, _("repeating")),
    )
    CURRENCY_CHOICES = CURRENCY_CHOICES
    #: The names that a coupon has here and at Stripe alike.
    STRIPE_FIELDS = (
        "amount_off",
        "currency",
        "duration",
        "duration_in_months",
        "livemode",
        "max_redemptions",
        "metadata",
        "name",
        "percent_off",
        "redeem_by",
        "times_redeemed",
        "valid",
    )

    coupon_id = models.CharField(max_length=255)
    #: In major units: 10 is ten dollars, or ten yen.
    amount_off = models.DecimalField(max_digits=15, decimal_places=3, blank=True, null=True)
    currency = models.CharField(  # noqa: DJ001 (0.14's column)
        max_length=3, choices=CURRENCY_CHOICES, blank=True, null=True
    )
    duration = models.CharField(max_length=255, choices=DURATION_CHOICES)
    duration_in_months = models.PositiveIntegerField(blank=True, null=True)
    livemode = models.BooleanField(default=False)
    max_redemptions = models.PositiveIntegerField(blank=True, null=True)
    metadata = models.JSONField(default=dict, blank=True)
    name = models.CharField(max_length=40, blank=True)
    percent_off = models.DecimalField(max_digits=7, decimal_places=4, blank=True, null=True)
    redeem_by = models.DateTimeField(blank=True, null=True)
    times_redeemed = models.PositiveIntegerField(default=0)
    valid = models.BooleanField(default=False)
    #: Stripe's creation time, not the row's.
    created = models.DateTimeField()
    is_deleted = models.BooleanField(default=False)
    is_created_at_stripe = models.BooleanField(default=False)

    objects = StripeCouponManager()

    class Meta:
        verbose_name = _("coupon")
        verbose_name_plural = _("coupons")

    def __str__(self) -> str:
        return self.coupon_id
