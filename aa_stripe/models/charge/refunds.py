"""The refunds of a charge at Stripe: their sum on the charge's row, and their state on our orders.

Every order has a row whose ``uuid`` is in the refund's metadata, so that its refund is found
whatever happened to the response.
https://docs.stripe.com/api/refunds
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError
from aa_stripe.gateway import Meaning
from aa_stripe.models.charge.refund import StripeRefund
from aa_stripe.models.claims import SETTLED
from aa_stripe.models.erasable import kept
from aa_stripe.models.latest import reread_latest
from aa_stripe.models.rows import database_of, reread, retry_on_conflict, store_if, write_if
from aa_stripe.utils import uuid_in

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

#: In the metadata of every refund: the ``uuid`` of its row.
UUID_KEY = "aa_stripe_refund_uuid"

#: Statuses of refunds that return no money.
VOID = frozenset({"failed", "canceled"})

#: Maximum number of recounts when another process changes the row.
ROUNDS = 5

#: A charge's refunds at Stripe, by id.
Known: TypeAlias = dict[str, gateway.Refund]


def take_over_refunds(charge: StripeCharge) -> None:
    """See ``StripeCharge.take_over_refunds``."""
    known = sync_refunds(charge)
    restore(charge, known)
    for row in open_orders(charge):
        made = found(row, known)
        if made is not None:
            record(row, made)


def sync_refunds(charge: StripeCharge) -> Known:
    """Set ``amount_refunded`` to the sum of all refunds at Stripe; return these refunds.

    Refunds made in the Dashboard and pending ones count; failed and canceled ones do not. If the
    row has changed during the request, count again.
    """
    for _ in range(ROUNDS):
        with usable_responses():
            known = listed(charge)
        if write_sum(charge, known):
            reread(charge)
            return known
        reread_latest(charge)
    raise StripeInternalError


def listed(charge: StripeCharge) -> Known:
    """Return the charge's refunds as they are at Stripe now."""
    return {made.id: made for made in gateway.refunds(charge.stripe_charge_id)}


@contextmanager
def usable_responses() -> Iterator[None]:
    """Raise ``StripeInternalError`` if Stripe sends no usable response."""
    try:
        yield
    except gateway.StripeError as error:
        if gateway.meaning_of(error) is Meaning.UNKNOWN:
            raise StripeInternalError from error
        raise


def orders(charge: StripeCharge) -> models.QuerySet[StripeRefund]:
    return charge.refunds.db_manager(database_of(charge)).all()


def open_orders(charge: StripeCharge) -> models.QuerySet[StripeRefund]:
    """Return the orders whose outcome is not recorded yet."""
    return orders(charge).filter(status=StripeRefund.STATUS_UNKNOWN)


# What Stripe's refunds say


def uuid_of(made: gateway.Refund) -> UUID | None:
    """Return the ``uuid`` of the refund's order; ``None`` if it was made in the Dashboard."""
    return uuid_in(gateway.metadata_of(made), UUID_KEY)


def found(row: StripeRefund, known: Known) -> gateway.Refund | None:
    """Return the refund of the order, ``None`` if Stripe has none."""
    return next((it for it in known.values() if uuid_of(it) == row.uuid), None)


def total(known: Known) -> int:
    """Return the sum of the refunds that return money, in the smallest unit."""
    return sum(made.amount for made in known.values() if made.status not in VOID)


# Recording the sum and the refunds


def write_sum(charge: StripeCharge, known: Known, **others: str) -> bool:
    """Write the sum of ``known`` unless the row has changed; return whether it was written.

    If it was, also update the rows of refunds whose status has changed.
    """
    refunded = total(known)
    due = set(charge.signal_due.split())
    if refunded > (charge.amount_refunded or 0):
        due.add("refunded")
    as_read = {
        "amount_refunded": charge.amount_refunded,
        "signal_due": charge.signal_due,
        "updated": charge.updated,  # another listing may have been written
    }
    values = {
        "amount_refunded": refunded,
        "is_refunded": 0 < (charge.amount or 0) <= refunded,
        "signal_due": " ".join(sorted(due)),
        "updated": timezone.now(),
    }
    if not write_if(charge, as_read, {**values, **others}):
        return False
    for row in orders(charge).exclude(stripe_refund_id=""):
        made = known.get(row.stripe_refund_id)
        if made is not None and made.status != row.status:
            record(row, made)
    return True


def record(row: StripeRefund, made: gateway.Refund) -> None:
    """Write the refund's state to its order, whichever process has requested it."""
    values = {
        **SETTLED,
        "stripe_refund_id": made.id,
        "status": made.status or StripeRefund.STATUS_PENDING,
        "stripe_response": gateway.to_json(made),
        "updated": timezone.now(),
    }
    store_if(row, {}, kept(row, values))


def record_with_sum(row: StripeRefund, made: gateway.Refund, known: Known) -> None:
    """Record the refund and the sum in one transaction.

    If another process has changed the row, the refunds are listed again. Raises
    ``StripeInternalError`` or the SDK's error, and records nothing, if that fails.
    """
    charge, using = row.charge, database_of(row)
    known[made.id] = made
    for _ in range(ROUNDS):
        if retry_on_conflict(using, partial(_record_both, row, made, known)):
            reread(charge)
            return
        reread_latest(charge)
        with usable_responses():
            known.update(listed(charge))
    raise StripeInternalError


def _record_both(row: StripeRefund, made: gateway.Refund, known: Known) -> bool:
    with transaction.atomic(using=database_of(row)):
        is_written = write_sum(row.charge, known, stripe_refund_id=made.id)
        if is_written:
            record(row, made)
    return is_written


def restore(charge: StripeCharge, known: Known) -> list[tuple[StripeRefund, gateway.Refund]]:
    """Recreate the rows of refunds that were lost in a rollback; return them.

    An order that Stripe has refused, and made nevertheless, is among them.
    """
    restored = []
    rows = {row.uuid: row for row in orders(charge)}
    for made in known.values():
        uuid = uuid_of(made)
        if uuid is None:
            continue
        row = rows.get(uuid)
        if row is not None and row.status != StripeRefund.STATUS_REFUSED:
            continue
        if row is None:
            as_made = {"charge": charge, "amount": made.amount}
            row, _ = StripeRefund.objects.get_or_create(uuid=uuid, defaults=as_made)
        if row.charge_id == charge.pk:  # else the metadata was copied from another refund
            record(row, made)
            restored.append((row, made))
    return restored
