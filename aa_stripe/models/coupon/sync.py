"""Coupons between their rows and Stripe: created once, changed, deleted.

A coupon is known by its id and its creation time, see ``identity_of``. That column is unique, so
the database decides who stores a new coupon first: our own ``save()``, the ``coupon.created``
webhook, or ``refresh_coupons``.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from aa_stripe import gateway
from aa_stripe.exceptions import StripeCouponAlreadyExists, StripeMethodNotAllowed
from aa_stripe.gateway import Meaning
from aa_stripe.models.coupon.rules import check_changes, check_new
from aa_stripe.models.coupon.terms import (
    identity_of,
    is_as_wanted,
    metadata_changes,
    to_timestamp,
    wanted,
)
from aa_stripe.models.rows import database_of, held, lockable

if TYPE_CHECKING:
    from aa_stripe.models.coupon.model import StripeCoupon, StripeCouponQuerySet

#: What a new coupon does not say of itself yet.
TOLD_BY_STRIPE = frozenset({"created", "livemode", "times_redeemed", "valid"})


def create(row: StripeCoupon, **options: Any) -> None:
    """Create the coupon at Stripe and store it. ``options`` are those of Django's ``save()``."""
    row.clean_fields(exclude=TOLD_BY_STRIPE)
    check_new(row)
    coupon, is_found = _created_or_found(row)
    _store(row, coupon, may_be_here=not is_found, **options)


def fetch(row: StripeCoupon, **options: Any) -> None:
    """Store the coupon that Stripe has already."""
    if not row.coupon_id:
        raise ValidationError({"coupon_id": _("A coupon is fetched by its id.")})
    _store(row, gateway.retrieve_coupon(row.coupon_id), may_be_here=False, **options)


def push(row: StripeCoupon, **options: Any) -> None:
    """Send what Stripe lets change, and take everything else back."""
    _refuse_other_mode(row)
    row.clean_fields(exclude={it.name for it in row._meta.fields} - {"metadata", "name"})
    check_changes(row)
    with held(row):
        coupon = _found(row)
        changed = _changed(row, coupon) if coupon is not None else None
        if changed is None:
            mark_deleted(row)
            return
        row.update_from_stripe_data(changed, commit=False)
        fields = {*row.STRIPE_FIELDS, "stripe_response", "updated"}
        if row.is_deleted:  # it is not; but whoever deletes it right now is not overwritten
            row.is_deleted = False
            fields.add("is_deleted")
        if not row._state.adding:
            options["update_fields"] = fields
        row.save_locally(**options)


def pull(row: StripeCoupon) -> None:
    """Take everything over from Stripe; a coupon that is gone there is marked as deleted."""
    with held(row):
        coupon = _found(row)
        if coupon is None:
            mark_deleted(row)
        else:
            row.update_from_stripe_data(coupon)


def delete(row: StripeCoupon) -> None:
    """Delete the coupon at Stripe, if it is this one that Stripe has, and mark it here."""
    _refuse_other_mode(row)
    with held(row):
        if row.is_created_at_stripe and _found(row) is not None:
            _delete_at_stripe(row.coupon_id)
        mark_deleted(row)


def mark_deleted(row: StripeCoupon) -> None:
    """Let the row, and whatever other rows 0.14 has of this coupon, say that it is deleted."""
    same = Q(coupon_id=row.coupon_id, created=row.created, livemode=row.livemode)
    row.is_deleted, row.updated = True, timezone.now()
    _stored(row).filter(Q(pk=row.pk) | same).update(is_deleted=True, updated=row.updated)


# Creating


def _created_or_found(row: StripeCoupon) -> tuple[gateway.Coupon, bool]:
    """The coupon, and whether Stripe had it before."""
    params = wanted(row)
    try:
        return gateway.create_coupon(params, idempotency_key=str(row.uuid)), False
    except gateway.StripeError as error:
        if _is_key_used_up(row, error):
            _renew_key(row)
        if isinstance(error, gateway.IdempotencyError) and row.coupon_id:
            return _created_or_found(row)  # changed since a try without an answer
        if error.code != "resource_already_exists":
            raise
        # An earlier try whose answer was lost, maybe in a process that is no more.
        found = gateway.find_coupon(row.coupon_id)
        if found is None or not is_as_wanted(found, params):
            raise
        return found, True


def _is_key_used_up(row: StripeCoupon, error: gateway.StripeError) -> bool:
    """Whether Stripe would answer the next try with what it keeps of this one.

    After a refusal there is no coupon. What an id was given for cannot be made twice, so another
    key does no harm; without one, only the key keeps the next try from making a second coupon.
    """
    if gateway.meaning_of(error) is Meaning.REFUSED:
        return True
    is_kept = isinstance(error, gateway.IdempotencyError) or (error.http_status or 0) >= 500
    return bool(row.coupon_id) and is_kept


def _renew_key(row: StripeCoupon) -> None:
    row.uuid = uuid.uuid4()
    if not row._state.adding:
        _stored(row).filter(pk=row.pk).update(uuid=row.uuid)


def _store(row: StripeCoupon, coupon: gateway.Coupon, *, may_be_here: bool, **options: Any) -> None:
    """Insert the row, or become the one that somebody else has inserted meanwhile.

    Raises ``StripeCouponAlreadyExists`` where a row of the coupon should not be here. A row that
    is marked as deleted is not in the way: Stripe says that the coupon exists.
    """
    options.pop("update_fields", None)
    _describe(row, coupon)
    try:
        _insert(row, may_be_here, options)
    except BaseException:
        row.is_created_at_stripe = False  # so that saving again begins anew
        row.identity = None
        raise
    _retire_older(row)


def _describe(row: StripeCoupon, coupon: gateway.Coupon) -> None:
    row.coupon_id = coupon.id
    row.update_from_stripe_data(coupon, commit=False)
    row.is_created_at_stripe = True
    row.is_deleted = False
    row.identity = identity_of(row.coupon_id, row.created, row.livemode)


def _insert(row: StripeCoupon, may_be_here: bool, options: dict[str, Any]) -> None:
    using = options.get("using") or database_of(row)
    try:
        with transaction.atomic(using=using):
            row.save_locally(**options)
    except IntegrityError as error:
        with lockable(using):
            # Locked, which also sees what was committed after this transaction began (MariaDB).
            same = _stored(row, using).select_for_update().filter(identity=row.identity)
            first = same.exclude(pk=row.pk).first()
            if first is None:
                raise
            if not (may_be_here or first.is_deleted):
                raise StripeCouponAlreadyExists from error
            row.pk, row.uuid = first.pk, first.uuid
            row._state.adding = False
            row.save_locally(using=using)


def _retire_older(row: StripeCoupon) -> None:
    """Stripe has given the id away again, so what had it before is deleted there."""
    older = _stored(row).filter(
        coupon_id=row.coupon_id,
        livemode=row.livemode,
        created__lt=row.created,
        is_deleted=False,
        is_created_at_stripe=True,
    )
    keys = list(older.values_list("pk", flat=True))
    if keys:
        _stored(row).filter(pk__in=keys).update(is_deleted=True, updated=timezone.now())


# Changing and deleting


def _refuse_other_mode(row: StripeCoupon) -> None:
    """Not even asked for: Stripe's test mode knows nothing of what exists in live mode."""
    if row.is_created_at_stripe and row.livemode != gateway.is_live():
        raise StripeMethodNotAllowed(
            _("The coupon is one of live mode, and STRIPE_API_KEY is not.")
            if row.livemode
            else _("The coupon is one of test mode, and STRIPE_API_KEY is not.")
        )


def _found(row: StripeCoupon) -> gateway.Coupon | None:
    """Stripe's coupon; ``None`` when it is gone, even if its id was given away again."""
    coupon = gateway.find_coupon(row.coupon_id)
    if coupon is None:
        return None
    return coupon if to_timestamp(row.created) == coupon.created else None


def _changed(row: StripeCoupon, coupon: gateway.Coupon) -> gateway.Coupon | None:
    """Stripe's coupon with our metadata and name; ``None`` when it has just been deleted."""
    params: gateway.CouponUpdateParams = {}
    metadata = metadata_changes(row.metadata, gateway.metadata_of(coupon))
    if metadata:
        params["metadata"] = metadata
    # Only if it was changed here: rows of 0.14 do not know the name that Stripe has.
    if row.tracker.has_changed("name"):
        params["name"] = row.name
    if not params:
        return coupon
    try:
        return gateway.update_coupon(row.coupon_id, params)
    except gateway.InvalidRequestError as error:
        if error.http_status != 404:
            raise
        return None


def _delete_at_stripe(coupon_id: str) -> None:
    try:
        gateway.delete_coupon(coupon_id)
    except gateway.InvalidRequestError as error:
        if error.http_status != 404:  # deleted by somebody else since it was looked for
            raise


def _stored(row: StripeCoupon, using: str | None = None) -> StripeCouponQuerySet:
    """All rows, deleted ones included, of the database that ``row`` is in or goes to."""
    return type(row).objects.all_with_deleted().using(using or database_of(row))
