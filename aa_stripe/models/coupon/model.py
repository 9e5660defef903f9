"""A coupon, known by its id and its creation time at Stripe."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from model_utils import Choices, FieldTracker

from aa_stripe import gateway
from aa_stripe.currencies import CURRENCY_CHOICES
from aa_stripe.models.base import StripeBasicModel
from aa_stripe.models.coupon import sync
from aa_stripe.models.coupon.rules import check_changes, check_new
from aa_stripe.models.coupon.terms import fields_of, identity_of, to_datetime
from aa_stripe.models.rows import stored
from aa_stripe.models.text import ExactCharField

if TYPE_CHECKING:
    from model_utils.tracker import FieldInstanceTracker

#: What ``delete()`` counts by.
LABEL = "aa_stripe.StripeCoupon"


class StripeCouponQuerySet(models.QuerySet["StripeCoupon"]):
    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete each coupon as its own ``delete()`` does; returns how many those were.

        Stops at the first that fails.
        """
        number = 0
        for coupon in self:
            coupon.delete()
            number += 1
        self._result_cache = None
        return number, {LABEL: number}

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class StripeCouponManager(models.Manager.from_queryset(StripeCouponQuerySet)):  # type: ignore[misc]
    """Only the coupons that are not deleted; the others have names of their own."""

    def get_queryset(self) -> StripeCouponQuerySet:
        return self.all_with_deleted().filter(is_deleted=False)

    def all_with_deleted(self) -> StripeCouponQuerySet:
        return StripeCouponQuerySet(self.model, using=self._db)

    def deleted(self) -> StripeCouponQuerySet:
        return self.all_with_deleted().filter(is_deleted=True)


class StripeCoupon(StripeBasicModel):
    """``save()`` and ``delete()`` go to Stripe, ``save_locally()`` does not."""

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
    STRIPE_FIELDS = frozenset(
        {
            "amount_off",
            "created",
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
        }
    )

    #: Empty before Stripe has chosen one.
    coupon_id = ExactCharField(max_length=255, blank=True, db_index=True)
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
    #: See ``identity_of``. ``None`` while Stripe does not have the coupon, and for rows of 0.14
    #: that are of the same coupon as a newer one.
    identity = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001

    if TYPE_CHECKING:
        tracker: FieldInstanceTracker
    else:
        tracker = FieldTracker(fields=["name"])

    objects = StripeCouponManager()

    class Meta:
        verbose_name = _("coupon")
        verbose_name_plural = _("coupons")

    def __str__(self) -> str:
        return self.coupon_id

    @classmethod
    def of_stripe(cls, coupon: Mapping[str, Any]) -> models.QuerySet[StripeCoupon]:
        """Return the rows of Stripe's coupon that are not deleted, in the API key's mode."""
        created = to_datetime(coupon["created"])
        return stored(cls).filter(
            coupon_id=coupon["id"], created=created, livemode=gateway.is_live()
        )

    def save(self, force_retrieve: bool = False, **kwargs: Any) -> None:
        """Create the coupon at Stripe; of one that exists there, send ``metadata`` and ``name``.

        Everything else is taken back from Stripe. An existing coupon that Stripe does not know
        any more becomes ``is_deleted``. With ``force_retrieve`` a new row fetches the coupon of
        its ``coupon_id`` instead of creating it. ``kwargs`` are those of Django's ``save()``.

        Saving the same object again after an error, or another one that asks for the same under
        the same ``coupon_id``, makes no second coupon: what an earlier try has created is stored.

        Raises ``ValidationError`` for what Stripe would refuse, nothing being sent then;
        ``StripeCouponAlreadyExists`` if the coupon has a row here; ``StripeMethodNotAllowed`` if
        it is one of the other mode (live or test) than the API key; and the SDK's errors.
        """
        if self.is_created_at_stripe:
            sync.push(self, **kwargs)
        elif force_retrieve:
            sync.fetch(self, **kwargs)
        else:
            sync.create(self, **kwargs)

    save.alters_data = True  # type: ignore[attr-defined]

    def save_locally(self, **kwargs: Any) -> None:
        """Django's ``save()``: Stripe hears nothing of it."""
        if self._state.adding:
            # model-utils takes it from the row's own creation time, which coupons do not have.
            self.updated = timezone.now()
            if self.is_created_at_stripe and self.identity is None:
                self.identity = identity_of(self.coupon_id, self.created, self.livemode)
        super().save(**kwargs)

    save_locally.alters_data = True  # type: ignore[attr-defined]

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the coupon at Stripe; the row stays, as ``is_deleted``.

        A coupon that Stripe has created under the same id since is left alone. Raises
        ``StripeMethodNotAllowed`` for a coupon of the other mode than the API key, and the SDK's
        errors; nothing is marked then, and deleting again is safe.
        """
        sync.delete(self)
        return 0, {LABEL: 0}

    delete.alters_data = True  # type: ignore[attr-defined]

    def refresh_from_stripe(self) -> None:
        """Take over what Stripe says; a coupon that is gone there becomes ``is_deleted``.

        Raises the SDK's errors.
        """
        sync.pull(self)

    refresh_from_stripe.alters_data = True  # type: ignore[attr-defined]

    def update_from_stripe_data(
        self,
        stripe_coupon: gateway.Coupon | Mapping[str, Any],
        exclude_fields: Iterable[str] | None = None,
        commit: bool = True,
    ) -> int | None:
        """Copy what Stripe says, without asking it: ``STRIPE_FIELDS`` but ``exclude_fields``.

        ``stripe_coupon`` is the SDK's object or its JSON; what it leaves out is left as it is.
        Returns the number of rows altered, or ``None`` when nothing was to be written
        (``commit=False``). Raises ``StripeMoneyError`` for a currency that we cannot count.
        """
        told = _as_json(stripe_coupon)
        values = fields_of(told, self.STRIPE_FIELDS.difference(exclude_fields or ()))
        values["stripe_response"] = told
        for name, value in values.items():
            setattr(self, name, value)
        if self.identity is not None:
            self.identity = identity_of(self.coupon_id, self.created, self.livemode)
            values["identity"] = self.identity
        if not commit:
            return None
        self.updated = values["updated"] = timezone.now()
        rows = StripeCoupon.objects.all_with_deleted().filter(pk=self.pk)
        return rows.update(**values)

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """As Django's; amounts may be floats, and the currency in capitals."""
        self._tidy()
        if not self.is_created_at_stripe:
            exclude = {*(exclude or ()), "created"}
        super().clean_fields(exclude)

    def _tidy(self) -> None:
        self.coupon_id = self.coupon_id or ""
        self.name = self.name or ""
        self.currency = (self.currency or "").lower() or None
        if self.metadata is None:
            self.metadata = {}
        for field in ("amount_off", "percent_off"):
            value = getattr(self, field)
            if isinstance(value, float):  # as it was written: what is off is refused, not rounded
                setattr(self, field, Decimal(str(value)))

    def clean(self) -> None:
        """Raise ``ValidationError`` for what Stripe would refuse."""
        if self.is_created_at_stripe:
            check_changes(self)
        else:
            check_new(self)


def _as_json(stripe_coupon: gateway.Coupon | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(stripe_coupon, gateway.StripeObject):
        return gateway.to_json(stripe_coupon)
    return cast("dict[str, Any]", gateway.without_secrets(stripe_coupon))
