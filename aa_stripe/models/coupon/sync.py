"""The synchronization of a coupon's row with Stripe's coupon: create, fetch, change, delete.

A new coupon may be stored by our own ``save()``, by the ``coupon.created`` webhook and by
``refresh_coupons`` at the same time. The column ``identity`` is unique, so only one row is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from aa_stripe import gateway
from aa_stripe.exceptions import StripeCouponAlreadyExists, StripeMethodNotAllowed
from aa_stripe.models.coupon.rules import check
from aa_stripe.models.coupon.terms import create_params, is_created_by, update_params
from aa_stripe.models.keys import create_with_new_key
from aa_stripe.models.latest import version_of, write_latest, write_newer
from aa_stripe.models.rows import database_of, held, lockable, own_row, retry_on_conflict, write_if
from aa_stripe.utils import as_stored, to_timestamp

if TYPE_CHECKING:
    from aa_stripe.models.coupon.model import StripeCoupon

T = TypeVar("T")

#: The fields that can be changed at Stripe.
CHANGEABLE = frozenset({"metadata", "name"})

#: Fields that only Stripe sets, so a new coupon does not have them yet.
SET_BY_STRIPE = frozenset({"created", "livemode", "times_redeemed", "valid"})


def create(row: StripeCoupon, **options: Any) -> None:
    """Create the coupon at Stripe and store it. ``options`` are those of Django's ``save()``."""
    row.clean_fields(exclude=SET_BY_STRIPE)
    check(row)
    params, found = create_params(row), None
    try:
        coupon = create_with_new_key(
            row.uuid, lambda key: gateway.create_coupon(params, idempotency_key=key)
        )
    except gateway.StripeError as error:
        coupon = found = _created_before(params, error)
    _store(row, coupon, may_exist=found is None, **options)


def fetch(row: StripeCoupon, **options: Any) -> None:
    """Store a coupon that exists at Stripe."""
    if not row.coupon_id:
        raise ValidationError({"coupon_id": _("The id is required to fetch a coupon.")})
    _store(row, gateway.retrieve_coupon(row.coupon_id), may_exist=False, **options)


def push(row: StripeCoupon, **options: Any) -> None:
    """Send what was changed since the row was read, then copy all fields from Stripe.

    Changes that ``update_fields`` leaves out are neither sent nor overwritten.
    """
    _reject_other_mode(row)
    row.clean_fields(exclude={it.name for it in row._meta.fields} - CHANGEABLE)
    check(row)
    update_fields = options.get("update_fields")
    names = CHANGEABLE if update_fields is None else CHANGEABLE & set(update_fields)
    unsent = (CHANGEABLE - names) & row.changed_fields()
    with held(row):
        version = None if row._state.adding else version_of(row)
        coupon = _find(row)
        if coupon is not None and (params := update_params(row, names)):
            coupon = _unless_gone(lambda: gateway.update_coupon(row.coupon_id, params))
        if coupon is None:
            mark_deleted(row)
            return
        row.update_from_stripe_data(coupon, exclude_fields=unsent, commit=False)
        fields = {*row.STRIPE_FIELDS - unsent, "stripe_response", "updated"}
        is_restored = row.is_deleted or "is_deleted" in row.changed_fields()
        if is_restored and (update_fields is None or "is_deleted" in update_fields):
            # Written only then, so that a deletion meanwhile is not overwritten.
            row.is_deleted = False
            fields.add("is_deleted")
        if row._state.adding:
            row.save_locally(**options)
        elif not _save_as_read(row, version, {**options, "update_fields": fields}):
            pull(row)  # Stripe may have changed since it was asked


def _save_as_read(row: StripeCoupon, version: object, options: dict[str, Any]) -> bool:
    """Save the row unless it was written since it had that version; return whether it was saved.

    The lock of the row does not prevent that on SQLite, which has none.
    """
    with transaction.atomic(using=database_of(row)):
        is_as_read = write_if(row, {"updated": version}, {"updated": timezone.now()})
        if is_as_read:
            row.save_locally(**options)
    return is_as_read


def pull(row: StripeCoupon) -> None:
    """Copy everything from Stripe; a coupon that is gone there is marked as deleted."""
    if not row._state.adding:
        coupon = write_latest([row], lambda: _find(row), _copied, write_newer)
    elif coupon := _find(row):
        row.update_from_stripe_data(coupon, commit=False)
    if coupon is None:
        mark_deleted(row)
    else:
        row.keep_as_at_stripe()


def _copied(row: StripeCoupon, coupon: gateway.Coupon | None) -> dict[str, Any]:
    return {} if coupon is None else row.values_from(coupon)


def delete(row: StripeCoupon) -> None:
    """Delete the coupon at Stripe, unless another one has its id now, then mark the row."""
    _reject_other_mode(row)
    with held(row):
        is_found = row.is_created_at_stripe and _find(row) is not None
        if is_found:
            _unless_gone(lambda: gateway.delete_coupon(row.coupon_id))
        mark_deleted(row)
        if is_found:
            release(row)


def is_to_delete(row: StripeCoupon, update_fields: Iterable[str] | None) -> bool:
    """Return whether ``is_deleted`` was set since the row was read, and is to be saved."""
    is_chosen = update_fields is None or "is_deleted" in update_fields
    return is_chosen and row.is_deleted and "is_deleted" in row.changed_fields()


def save_deleted(row: StripeCoupon, **options: Any) -> None:
    """Delete the coupon at Stripe as ``delete`` does; store the row if it is a new one."""
    delete(row)
    if row._state.adding:
        options.pop("update_fields", None)
        if row.created is None:
            row.created = timezone.now()
        row.save_locally(**options)


def mark_deleted(row: StripeCoupon) -> None:
    """Mark the row as deleted, and any other rows that 0.14 has stored of the same coupon."""
    marked = Q(pk=row.pk)
    if not _is_released(row):
        marked |= Q(coupon_id=row.coupon_id, created=row.created, livemode=row.livemode)
    row.is_deleted, row.updated = True, timezone.now()
    rows = type(row)._base_manager.using(database_of(row)).filter(marked)
    rows.update(is_deleted=True, updated=row.updated)
    row.keep_as_deleted()


def release(row: StripeCoupon) -> None:
    """Take the ``identity`` from the row of a coupon that was deleted for certain.

    Another coupon of the id, created in the same second, then gets a row of its own. A row that is
    only marked, because Stripe did not find its coupon, keeps the ``identity``: if the API key was
    that of another account, the row is restored later.
    """
    rows = type(row)._base_manager.using(database_of(row))
    if rows.filter(identity=row.identity, is_deleted=True).update(identity=None):
        row.identity = None


def _is_released(row: StripeCoupon) -> bool:
    """Return whether the stored row is deleted, so that Stripe's coupon is another one."""
    return own_row(row, database_of(row)).filter(is_deleted=True, identity=None).exists()


# Creating


def _created_before(
    params: gateway.CouponCreateParams, error: gateway.StripeError
) -> gateway.Coupon:
    """Return the coupon of an earlier request whose response was lost; else raise ``error``."""
    if error.code == "resource_already_exists":
        found = gateway.find_coupon(params.get("id", ""))
        if found is not None and is_created_by(params, found):
            return found
    raise error


def _store(row: StripeCoupon, coupon: gateway.Coupon, *, may_exist: bool, **options: Any) -> None:
    """Insert the row, or adopt the one that another process has inserted meanwhile.

    Older rows of the same id are marked as deleted: an id is free again only after a deletion.
    """
    options.pop("update_fields", None)
    using = options.get("using") or database_of(row)
    row.coupon_id = coupon.id
    row.update_from_stripe_data(coupon, commit=False)
    row.is_created_at_stripe, row.is_deleted = True, False
    row.identify()
    try:
        _insert_or_adopt(row, using, options, may_exist=may_exist)
    except BaseException:
        row.is_created_at_stripe = False  # so that the next save() creates or fetches it again
        row.identify()
        raise
    rows = type(row)._base_manager.using(using)
    older = rows.filter(
        coupon_id=row.coupon_id,
        livemode=row.livemode,
        created__lt=row.created,
        is_deleted=False,
        is_created_at_stripe=True,
    )
    if keys := list(older.values_list("pk", flat=True)):
        rows.filter(pk__in=keys).update(is_deleted=True, updated=timezone.now())


def _insert_or_adopt(
    row: StripeCoupon, using: str, options: dict[str, Any], *, may_exist: bool
) -> None:
    for is_last in (False, False, True):
        try:
            with transaction.atomic(using=using):
                row.save_locally(**options)
        except IntegrityError as error:
            adopt = partial(_adopt, row, using, error, may_exist=may_exist)
            is_stored = retry_on_conflict(using, adopt)
            if is_last and not is_stored:
                raise
        else:
            is_stored = True
        if is_stored:
            return


def _adopt(row: StripeCoupon, using: str, error: IntegrityError, *, may_exist: bool) -> bool:
    """Overwrite the stored row that has the same ``identity``; return ``False`` if none has it.

    Raises ``StripeCouponAlreadyExists`` unless ``may_exist``: if this process has just created the
    coupon. A row that is marked as deleted is then of an earlier coupon, which loses the
    ``identity``. In the other case it is overwritten, because Stripe has the coupon.
    """
    with lockable(using):
        # A locking read also sees rows committed after this transaction began (MariaDB).
        rows = type(row)._base_manager.using(using).select_for_update()
        first = rows.filter(identity=row.identity).exclude(pk=row.pk).first()
        if first is None:
            return False
        if first.is_deleted and may_exist:
            release(first)
            return False
        if not (may_exist or first.is_deleted):
            raise StripeCouponAlreadyExists from error
        row.pk, row.uuid = first.pk, first.uuid
        row._state.adding = False
        row.save_locally(using=using)
        return True


# Changing and deleting


def _reject_other_mode(row: StripeCoupon) -> None:
    """Raise ``StripeMethodNotAllowed`` if the coupon's mode is not that of the API key.

    Stripe would not find the coupon, so it would look deleted.
    """
    if row.is_created_at_stripe and row.livemode != gateway.is_live():
        raise StripeMethodNotAllowed(
            _("The coupon is in live mode, but STRIPE_API_KEY is not a live key.")
            if row.livemode
            else _("The coupon is in test mode, but STRIPE_API_KEY is a live key.")
        )


def _find(row: StripeCoupon) -> gateway.Coupon | None:
    """Return Stripe's coupon; ``None`` if it is gone, even if another one has its id now.

    Raises ``StripeWrongAccount`` if the account of the API key is not that of the customers.
    """
    coupon = gateway.find_coupon(row.coupon_id)
    if _is_released(row):
        return None
    if coupon is not None and as_stored(coupon.created) == to_timestamp(row.created):
        return coupon
    apps.get_model("aa_stripe.StripeCustomer").reject_other_account()  # not importable here
    return None


def _unless_gone(request: Callable[[], T]) -> T | None:
    """Return the response; ``None`` if the coupon was deleted at Stripe since it was found."""
    try:
        return request()
    except gateway.InvalidRequestError as error:
        if error.http_status != 404:
            raise
        return None
