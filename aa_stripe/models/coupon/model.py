"""A coupon, known by its id and its creation time at Stripe."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from model_utils import Choices

from aa_stripe import gateway
from aa_stripe.currencies import CURRENCY_CHOICES
from aa_stripe.fields import (
    ExactCharField,
    PlainJSONField,
    TrimmedDecimalField,
    TrimmedPercentField,
)
from aa_stripe.models.base import StripeObject
from aa_stripe.models.changes import RemembersRow
from aa_stripe.models.coupon import sync
from aa_stripe.models.coupon.queryset import LABEL, StripeCouponManager
from aa_stripe.models.coupon.rules import check
from aa_stripe.models.coupon.terms import EMPTY, fields_of
from aa_stripe.models.rows import stored
from aa_stripe.models.text import UnpaddedCharField
from aa_stripe.utils import to_datetime, to_timestamp


class StripeCoupon(RemembersRow, StripeObject):
    """A coupon, here and at Stripe.

    ``save()`` and ``delete()`` call Stripe, ``save_locally()`` does not.
    """

    DURATION_FOREVER = "forever"
    DURATION_ONCE = "once"
    DURATION_REPEATING = "repeating"
    DURATION_CHOICES = Choices(
        (DURATION_FOREVER, _("forever")),
        (DURATION_ONCE, _("once")),
        (DURATION_REPEATING, _("repeating")),
    )
    CURRENCY_CHOICES = CURRENCY_CHOICES
    #: The fields that are copied from Stripe; each has the same name there.
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

    #: Empty until Stripe has chosen one.
    coupon_id = UnpaddedCharField(max_length=255, blank=True, db_index=True)
    #: In major units: 10 is ten dollars, or ten yen.
    amount_off = TrimmedDecimalField(max_digits=15, decimal_places=3, blank=True, null=True)
    currency = models.CharField(  # noqa: DJ001 (0.14's column)
        max_length=3, choices=CURRENCY_CHOICES, blank=True, null=True
    )
    duration = models.CharField(max_length=255, choices=DURATION_CHOICES)
    duration_in_months = models.PositiveIntegerField(blank=True, null=True)
    livemode = models.BooleanField(default=False)
    max_redemptions = models.PositiveIntegerField(blank=True, null=True)
    metadata = PlainJSONField(default=dict, blank=True)
    name = models.CharField(max_length=40, blank=True)
    percent_off = TrimmedPercentField(max_digits=7, decimal_places=4, blank=True, null=True)
    redeem_by = models.DateTimeField(blank=True, null=True)
    times_redeemed = models.PositiveIntegerField(default=0)
    valid = models.BooleanField(default=False)
    #: Stripe's creation time, not the row's.
    created = models.DateTimeField()
    is_deleted = models.BooleanField(default=False)
    is_created_at_stripe = models.BooleanField(default=False)
    #: A hash of mode, creation time and id. The creation time is part of it because an id can be
    #: used again after a deletion. ``None`` while Stripe does not have the coupon, after its
    #: deletion, and if 0.14 has stored a newer row of the coupon.
    identity = ExactCharField(max_length=64, null=True, unique=True, editable=False)

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

    @property
    def created_seconds(self) -> int:
        """``created`` as in Stripe's API: seconds since 1970."""
        return to_timestamp(self.created)

    def save(self, force_retrieve: bool = False, **kwargs: Any) -> None:
        """Create the coupon at Stripe, or send what was changed of an existing one.

        Of an existing coupon, the ``name`` and the keys of ``metadata`` that were changed since the
        object was read are sent; ``update_fields`` limits them. All fields are then copied from
        Stripe. If Stripe does not have it any more, it becomes ``is_deleted``. With
        ``force_retrieve`` a new row fetches the coupon of its ``coupon_id`` instead of creating it.
        ``kwargs`` are those of Django's ``save()``.

        If ``is_deleted`` was set since the object was read, the coupon is deleted as by
        ``delete()``; nothing else is saved. A new object with ``is_deleted`` is only stored. A
        coupon that Stripe does not have any more stays ``is_deleted``, also if that was unset.

        Retrying after an error creates no second coupon, neither with the same object nor with
        another one of the same ``coupon_id`` and terms: it stores the one that was created.

        Raises ``ValidationError`` before anything is sent if Stripe would not accept the coupon;
        ``StripeCouponAlreadyExists`` if it is stored already; ``StripeMethodNotAllowed`` if it
        is in another mode (live or test) than the API key; ``StripeWrongAccount`` if Stripe knows
        neither the coupon nor the newest customers; and the SDK's errors.
        """
        if force_retrieve and not self.is_created_at_stripe:
            sync.fetch(self, **kwargs)
        elif sync.is_to_delete(self, kwargs.get("update_fields")):
            sync.save_deleted(self, **kwargs)
        elif self.is_created_at_stripe:
            sync.push(self, **kwargs)
        else:
            sync.create(self, **kwargs)

    save.alters_data = True  # type: ignore[attr-defined]

    def save_locally(self, **kwargs: Any) -> None:
        """Save the row as Django does; does not call Stripe."""
        if self._state.adding:
            # model-utils would copy ``created``, which is not the row's creation time.
            self.updated = timezone.now()
            if self.identity is None:
                self.identify()
        super().save(**kwargs)

    save_locally.alters_data = True  # type: ignore[attr-defined]

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the coupon at Stripe; the row stays, as ``is_deleted``.

        A newer coupon that has the same id at Stripe is not deleted. Raises
        ``StripeMethodNotAllowed`` for a coupon in another mode than the API key,
        ``StripeWrongAccount`` as ``save()`` does, and the SDK's errors; the row does not change
        then, and deleting again is safe.
        """
        sync.delete(self)
        return 0, {LABEL: 0}

    delete.alters_data = True  # type: ignore[attr-defined]

    @property
    def is_released(self) -> bool:
        """Return whether Stripe has deleted the coupon; one with its id is another coupon."""
        return self.is_deleted and self.identity is None

    def refresh_deleted(self) -> None:
        """Update the row as ``refresh_from_stripe()`` does, after Stripe has reported a deletion.

        Stripe may have the coupon nevertheless: the report may be about an earlier coupon that was
        created in the same second.
        """
        sync.pull(self)
        if self.is_deleted:
            sync.release(self)

    def refresh_from_stripe(self) -> None:
        """Update the row from Stripe; a coupon that is gone there becomes ``is_deleted``.

        Raises ``StripeWrongAccount`` as ``save()`` does, and the SDK's errors.
        """
        sync.pull(self)

    refresh_from_stripe.alters_data = True  # type: ignore[attr-defined]

    def update_from_stripe_data(
        self,
        stripe_coupon: gateway.Coupon | Mapping[str, Any],
        exclude_fields: Iterable[str] | None = None,
        commit: bool = True,
    ) -> int | None:
        """Copy ``STRIPE_FIELDS`` except ``exclude_fields`` from Stripe's data.

        ``stripe_coupon`` is the SDK's object or its JSON; fields that it lacks stay as they are.
        Returns the number of rows updated, or ``None`` if nothing is written (``commit=False``).
        Does not call Stripe. Raises ``StripeMoneyError`` for an amount in a currency that is not
        supported.
        """
        values = self.values_from(stripe_coupon, exclude_fields)
        for name, value in values.items():
            setattr(self, name, value)
        self.keep_as_at_stripe(values)
        if self.identity is not None:
            self.identify()
            values["identity"] = self.identity
        if not commit:
            return None
        self.updated = values["updated"] = timezone.now()
        rows = StripeCoupon.objects.all_with_deleted().filter(pk=self.pk)
        return rows.update(**values)

    def keep_as_at_stripe(self, names: Iterable[str] = sync.CHANGEABLE) -> None:
        """Take the values of ``names`` as Stripe's, so that ``save()`` does not send them.

        A rollback does not change that: Stripe has them nevertheless.
        """
        self._keep({name: self._comparable(name) for name in sync.CHANGEABLE.intersection(names)})

    def keep_as_deleted(self) -> None:
        """Take ``is_deleted`` as saved, so that the next ``save()`` does not delete again."""
        self._keep({"is_deleted": self.is_deleted})

    def values_from(
        self,
        stripe_coupon: gateway.Coupon | Mapping[str, Any],
        exclude_fields: Iterable[str] | None = None,
    ) -> dict[str, Any]:
        """Return what ``update_from_stripe_data`` copies; raise what it raises."""
        data: Mapping[str, Any] = (
            gateway.to_json(stripe_coupon)
            if isinstance(stripe_coupon, gateway.StripeObject)
            else gateway.storable(stripe_coupon)
        )
        values = fields_of(data, self.STRIPE_FIELDS.difference(exclude_fields or ()))
        return {**values, "stripe_response": data}

    def identify(self) -> None:
        """Set ``identity``; ``None`` while Stripe does not have the coupon."""
        identity = None
        if self.is_created_at_stripe:
            mode = "live" if self.livemode else "test"
            text = f"{mode} {to_timestamp(self.created)} {self.coupon_id}"
            identity = hashlib.sha256(text.encode()).hexdigest()
        self.identity = identity

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Validate as Django does, after normalizing floats, ``None`` and the currency's case."""
        for name, empty in EMPTY.items():
            if getattr(self, name) is None:
                setattr(self, name, empty())
        self.currency = (self.currency or "").lower() or None
        for name in ("amount_off", "percent_off"):
            value = getattr(self, name)
            if isinstance(value, float):  # str(): too many digits are rejected, not rounded
                setattr(self, name, Decimal(str(value)))
        if not self.is_created_at_stripe:
            exclude = {*(exclude or ()), "created"}
        super().clean_fields(exclude)

    def clean(self) -> None:
        """Raise ``ValidationError`` if Stripe would not accept the coupon."""
        check(self)
