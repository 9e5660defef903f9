"""Refunding a charge exactly once, even if the process crashes in between.

A refund is committed as a row before it is requested at Stripe. The row's ``uuid`` is the
idempotency key. It is also in the refund's metadata, so that a later run can find the refund of a
row whose outcome is unknown.
https://docs.stripe.com/api/refunds
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from django.db import models, transaction
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError, StripeMethodNotAllowed
from aa_stripe.gateway import Meaning
from aa_stripe.models.charge.refund import StripeRefund
from aa_stripe.models.rows import database_of, locked, reject_open_transaction, reread, write_if
from aa_stripe.money import whole_units
from aa_stripe.utils import uuid_in

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

logger = logging.getLogger("aa-stripe")

#: In the metadata of every refund: the ``uuid`` of its row.
UUID_KEY = "aa_stripe_refund_uuid"

#: Statuses of refunds that return no money.
VOID = frozenset({"failed", "canceled"})

#: Maximum number of recounts when another process changes the row.
ROUNDS = 5

#: A charge's refunds at Stripe, by id.
Known: TypeAlias = dict[str, gateway.Refund]


def refund(charge: StripeCharge, amount: int | None) -> gateway.Refund:
    """See ``StripeCharge.refund``."""
    reject_open_transaction(charge)
    if amount is not None:
        amount = whole_units(amount)
    reread(charge)
    if not charge.is_charged:
        raise StripeMethodNotAllowed("Cannot refund not charged transaction.")
    try:
        known = sync_refunds(charge)
        finished = [*_restore(charge, known), *_finish(charge, known)]
        return _repeated(charge, finished, amount) or _create(charge, amount, known)
    finally:
        _announce(charge)


def _announce(charge: StripeCharge) -> None:
    """Send the signals that are due; log the error of a receiver.

    If that error were raised, the caller might refund again. The signal stays due for the next
    run of the command.
    """
    try:
        charge.send_due_signals()
    except Exception:
        logger.exception("A receiver of the signals of %r failed.", charge)


def settle_refunds(charge: StripeCharge) -> None:
    """Update all refunds from Stripe and finish those whose outcome is unknown.

    Signals become due, but are not sent. Raises ``StripeInternalError`` if Stripe sends no usable
    response.
    """
    _finish(charge, sync_refunds(charge))


def take_over_refunds(charge: StripeCharge) -> None:
    """See ``StripeCharge.take_over_refunds``."""
    known = sync_refunds(charge)
    _restore(charge, known)
    for row in _orders(charge).filter(status=StripeRefund.STATUS_UNKNOWN):
        made = _found(row, known)
        if made is not None:
            _record(row, made)


def sync_refunds(charge: StripeCharge) -> Known:
    """Set ``amount_refunded`` to the sum of all refunds at Stripe; return these refunds.

    Refunds made in the Dashboard and pending ones count; failed and canceled ones do not. If the
    row has changed during the request, which locking does not prevent on SQLite, count again.
    """
    for _ in range(ROUNDS):
        with _usable_responses(), locked(charge):
            known = _listed(charge)
            is_written = _write(charge, known)
        reread(charge)
        if is_written:
            return known
    raise StripeInternalError


def _listed(charge: StripeCharge) -> Known:
    return {made.id: made for made in gateway.refunds(charge.stripe_charge_id)}


@contextmanager
def _usable_responses() -> Iterator[None]:
    try:
        yield
    except gateway.StripeError as error:
        if gateway.meaning_of(error) is Meaning.UNKNOWN:
            raise StripeInternalError from error
        raise


def _orders(charge: StripeCharge) -> models.QuerySet[StripeRefund]:
    return charge.refunds.db_manager(database_of(charge)).all()


# Recording the sum and the refunds


def _write(charge: StripeCharge, known: Known, **others: str) -> bool:
    """Write the sum of ``known`` unless the row has changed; return whether it was written.

    If it was, also update the rows of refunds whose status has changed.
    """
    refunded = _sum(known)
    due = set(charge.signal_due.split())
    if refunded > (charge.amount_refunded or 0):
        due.add("refunded")
    as_read = {"amount_refunded": charge.amount_refunded, "signal_due": charge.signal_due}
    values = {
        "amount_refunded": refunded,
        "is_refunded": 0 < (charge.amount or 0) <= refunded,
        "signal_due": " ".join(sorted(due)),
        "updated": timezone.now(),
    }
    if not write_if(charge, as_read, {**values, **others}):
        return False
    for row in _orders(charge).exclude(stripe_refund_id=""):
        made = known.get(row.stripe_refund_id)
        if made is not None and made.status != row.status:
            _record(row, made)
    return True


def _sum(known: Known) -> int:
    return sum(made.amount for made in known.values() if made.status not in VOID)


def _record(row: StripeRefund, made: gateway.Refund) -> None:
    row.stripe_refund_id = made.id
    row.status = made.status or StripeRefund.STATUS_PENDING
    row.stripe_response = gateway.to_json(made)
    row.save()


# Finishing earlier refunds


def _finish(charge: StripeCharge, known: Known) -> list[tuple[StripeRefund, gateway.Refund]]:
    """Finish the refunds whose outcome is unknown; return those that Stripe made."""
    finished = []
    for row in _orders(charge).filter(status=StripeRefund.STATUS_UNKNOWN):
        try:
            finished.append((row, _send(row, known)))
        except gateway.InvalidRequestError as error:
            if gateway.meaning_of(error) is not Meaning.REFUSED:  # a refusal is recorded
                raise
    return finished


def _repeated(
    charge: StripeCharge,
    finished: list[tuple[StripeRefund, gateway.Refund]],
    amount: int | None,
) -> gateway.Refund | None:
    """Return the finished refund that this call repeats because its response was lost."""
    reread(charge)
    for row, made in reversed(finished):
        is_the_same = row.amount == amount or (amount is None and charge.is_refunded)
        if is_the_same and made.status not in VOID:
            return made
    return None


def _restore(charge: StripeCharge, known: Known) -> list[tuple[StripeRefund, gateway.Refund]]:
    """Recreate the rows of refunds that were lost in a rollback; return them."""
    restored = []
    uuids = set(_orders(charge).values_list("uuid", flat=True))
    for made in known.values():
        uuid = uuid_in(gateway.metadata_of(made), UUID_KEY)
        if uuid is None or uuid in uuids:
            continue
        as_made = {"charge": charge, "amount": made.amount}
        row, _ = StripeRefund.objects.get_or_create(uuid=uuid, defaults=as_made)
        if row.charge_id == charge.pk:  # else the metadata was copied from another refund
            _record(row, made)
            restored.append((row, made))
    return restored


# Requesting a refund


def _create(charge: StripeCharge, amount: int | None, known: Known) -> gateway.Refund:
    row = _commit_row(charge, amount)
    try:
        return _send(row, known)
    except gateway.StripeError as error:
        if gateway.meaning_of(error) is Meaning.MISCONFIGURED:
            _record_refusal(row, error)  # Stripe did not accept the only request
        raise


def _commit_row(charge: StripeCharge, amount: int | None) -> StripeRefund:
    """Commit the row of a new refund before it is requested at Stripe."""
    with locked(charge):
        left = (charge.amount or 0) - (charge.amount_refunded or 0)
        if left <= 0:
            raise StripeMethodNotAllowed("Already refunded.")
        wanted = left if amount is None else amount
        if wanted <= 0:
            raise StripeMethodNotAllowed("Refunds must be positive.")
        if wanted > left:
            raise StripeMethodNotAllowed("Refunds exceed charge")
        return charge.refunds.create(amount=wanted)


def _send(row: StripeRefund, known: Known) -> gateway.Refund:
    """Return the row's refund; if it is missing at Stripe, create it. Add it to ``known``."""
    charge = row.charge
    try:
        with locked(charge):
            if _sum(known) != (charge.amount_refunded or 0):  # another process has refunded
                known.update(_listed(charge))
            made = _found(row, known) or gateway.create_refund(
                {
                    "charge": charge.stripe_charge_id,
                    "amount": row.amount,
                    "metadata": {UUID_KEY: str(row.uuid)},
                },
                idempotency_key=str(row.uuid),
            )
            known[made.id] = made
            is_written = _record_with_sum(row, made, known)
    except gateway.StripeError as error:
        raise _concluded(row, error) from error
    if not is_written:
        _recount(charge)
    reread(charge)
    return made


def _record_with_sum(row: StripeRefund, made: gateway.Refund, known: Known) -> bool:
    """Record the refund and the sum in one transaction; return whether the sum was written."""
    with transaction.atomic(using=database_of(row)):
        is_written = _write(row.charge, known, stripe_refund_id=made.id)
        _record(row, made)
    return is_written


def _found(row: StripeRefund, known: Known) -> gateway.Refund | None:
    ours = (it for it in known.values() if uuid_in(gateway.metadata_of(it), UUID_KEY) == row.uuid)
    return next(ours, None)


def _recount(charge: StripeCharge) -> None:
    """Count the refunds again after another process has refunded.

    An error is only logged: our refund is made and recorded, and the next sync corrects the sum.
    """
    try:
        sync_refunds(charge)
    except StripeInternalError:
        logger.warning("Could not recount the refunds of %r.", charge, exc_info=True)


def _concluded(row: StripeRefund, error: gateway.StripeError) -> Exception:
    """Record a refusal by Stripe; return the exception to raise."""
    meaning = gateway.meaning_of(error)
    if meaning is Meaning.MISCONFIGURED:
        return error
    if meaning is not Meaning.REFUSED:
        return StripeInternalError()
    _record_refusal(row, error)
    return error


def _record_refusal(row: StripeRefund, error: gateway.StripeError) -> None:
    row.status = StripeRefund.STATUS_REFUSED
    row.stripe_response = gateway.error_body(error)
    row.save()
