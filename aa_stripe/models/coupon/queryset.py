"""Coupons in the database: those that are not deleted by default, and each stored once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.db import models

from aa_stripe import gateway
from aa_stripe.exceptions import StripeCouponAlreadyExists, StripeInProgress
from aa_stripe.models.claims import patiently
from aa_stripe.models.rows import lockable

if TYPE_CHECKING:
    from aa_stripe.models.coupon.model import StripeCoupon

#: How long to wait, in seconds, for the row of another process that has created the coupon.
PATIENCE = 1.0

#: The key of the counts that ``delete()`` returns.
LABEL = "aa_stripe.StripeCoupon"


class StripeCouponQuerySet(models.QuerySet["StripeCoupon"]):
    def delete(self) -> tuple[int, dict[str, int]]:
        """Call ``delete()`` of each coupon; return how many were deleted.

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

    def get_or_create(
        self, defaults: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> tuple[StripeCoupon, bool]:
        """Return the coupon, and whether this call has created its row, as Django does.

        If another process creates the coupon at the same time, its row is returned. Unlike Django's
        method this one opens no transaction, because it calls Stripe. Raises what ``save()``
        raises.
        """
        self._for_write = True  # a replica may not have the row yet
        try:
            return self.get(**kwargs), False
        except self.model.DoesNotExist:
            params = self._extract_model_params(defaults, **kwargs)  # type: ignore[attr-defined]
        coupon = self.model(**_called(params))
        uuid = coupon.uuid
        try:
            coupon.save(using=self.db)
        except (StripeCouponAlreadyExists, gateway.InvalidRequestError) as error:
            return self._stored_meanwhile(kwargs, error), False
        return coupon, coupon.uuid == uuid  # that of the row which another process has inserted

    get_or_create.alters_data = True  # type: ignore[attr-defined]

    def update_or_create(
        self,
        defaults: Mapping[str, Any] | None = None,
        create_defaults: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> tuple[StripeCoupon, bool]:
        """Change the coupon, or create it; return it and whether its row is new, as Django does.

        Opens no transaction and locks nothing, see ``get_or_create()``. Raises what ``save()``
        raises.
        """
        values = defaults or {}
        initial = values if create_defaults is None else create_defaults
        coupon, is_new = self.get_or_create(initial, **kwargs)
        if not is_new:
            for name, value in _called(values).items():
                setattr(coupon, name, value)
            coupon.save(using=self.db, update_fields=set(values))
        return coupon, is_new

    update_or_create.alters_data = True  # type: ignore[attr-defined]

    def _stored_meanwhile(self, lookups: dict[str, Any], error: Exception) -> StripeCoupon:
        """Return the row that another process stores; raise ``error`` if there is none."""
        is_taken = getattr(error, "code", "") == "resource_already_exists"
        if not (is_taken or isinstance(error, StripeCouponAlreadyExists)):
            raise error
        with suppress(StripeInProgress):
            for _ in patiently(PATIENCE):
                coupon = self._committed(lookups)
                if coupon is not None:
                    return coupon
        raise error

    def _committed(self, lookups: dict[str, Any]) -> StripeCoupon | None:
        with lockable(self.db):
            # A locking read also sees rows committed after this transaction began (MariaDB).
            return self.select_for_update().filter(**lookups).first()


def _called(values: Mapping[str, Any]) -> dict[str, Any]:
    """Call the values that are callable, as Django does with ``defaults``."""
    return {name: value() if callable(value) else value for name, value in values.items()}


class StripeCouponManager(models.Manager.from_queryset(StripeCouponQuerySet)):  # type: ignore[misc]
    """The coupons that are not deleted, with methods that include the deleted ones."""

    def get_queryset(self) -> StripeCouponQuerySet:
        return self.all_with_deleted().filter(is_deleted=False)

    def all_with_deleted(self) -> StripeCouponQuerySet:
        return StripeCouponQuerySet(self.model, using=self._db)

    def deleted(self) -> StripeCouponQuerySet:
        return self.all_with_deleted().filter(is_deleted=True)
