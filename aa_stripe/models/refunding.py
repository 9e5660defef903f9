"""Giving money back exactly once, whatever crashes in between.

A refund is a row before Stripe hears of it. The row's ``uuid`` is the idempotency key, and stands
in the refund's metadata for whoever finds the row without knowing what became of it.
https://docs.stripe.com/api/refunds
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError, StripeMethodNotAllowed
from aa_stripe.gateway import Meaning
from aa_stripe.models.locking import locked, write_if
from aa_stripe.models.refund import StripeRefund

if TYPE_CHECKING:
    from aa_stripe.models.charge import StripeCharge

logger = logging.getLogger("aa-stripe")

#: In the metadata of every refund: the ``uuid`` of its row.
UUID_KEY = "aa_stripe_refund_uuid"

#: Refunds that give nothing back.
VOID = frozenset({"failed", "canceled"})

#: A charge's refunds at Stripe, by their ids.
Known: TypeAlias = dict[str, gateway.Refund]


def refund(charge: StripeCharge, amount: int | None) -> gateway.Refund:
    """See ``StripeCharge.refund``."""
    charge.refresh_from_db()
    if not charge.is_charged:
        raise StripeMethodNotAllowed("Cannot refund not charged transaction.")
    try:
        known = sync_refunds(charge)
        finished = _finish(charge, known)
        return _repeated(charge, finished, amount) or _send(_order(charge, amount), known)
    finally:
        charge.send_due_signals()


def settle_refunds(charge: StripeCharge) -> None:
    """Finish the refunds whose outcome is unknown, and take over what else became of any.

    Raises ``StripeInternalError`` when Stripe still gives no usable answer. The signals that
    become due are left to the caller.
    """
    _finish(charge, sync_refunds(charge))


def sync_refunds(charge: StripeCharge) -> Known:
    """Set ``amount_refunded`` to the sum of Stripe's refunds, made by whomever; return them.

    Pending ones count, failed and canceled ones do not. Where rows cannot be locked, a change
    made while Stripe was being asked is noticed by the conditional update: then it is asked again.
    """
    is_written = False
    while not is_written:
        with _usable_answers(), locked(charge):
            known = {made.id: made for made in gateway.refunds(charge.stripe_charge_id)}
            is_written = _write(charge, known)
        charge.refresh_from_db()
    return known


@contextmanager
def _usable_answers() -> Iterator[None]:
    try:
        yield
    except gateway.StripeError as error:
        if gateway.meaning_of(error) is Meaning.UNKNOWN:
            raise StripeInternalError from error
        raise


# The sum, and the rows of what we asked for ourselves


def _write(charge: StripeCharge, known: Known, **others: str) -> bool:
    """Write the sum of ``known`` unless the row has changed since it was read; whether it did
    not. Rows of refunds that became something else meanwhile are brought up to date."""
    for order in charge.refunds.exclude(stripe_refund_id=""):
        made = known.get(order.stripe_refund_id)
        if made is not None and made.status != order.status:
            _record(order, made)
    refunded = sum(made.amount for made in known.values() if made.status not in VOID)
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
    return write_if(charge, as_read, {**values, **others})


def _record(order: StripeRefund, made: gateway.Refund) -> None:
    order.stripe_refund_id = made.id
    order.status = made.status or StripeRefund.STATUS_PENDING
    order.stripe_response = gateway.to_json(made)
    order.save()


# Asking for a refund


def _finish(charge: StripeCharge, known: Known) -> list[tuple[StripeRefund, gateway.Refund]]:
    """Finish the refunds whose outcome is unknown; return those that were made."""
    finished = []
    for order in charge.refunds.filter(status=StripeRefund.STATUS_UNKNOWN):
        try:
            finished.append((order, _send(order, known)))
        except gateway.InvalidRequestError:
            continue  # refused, which its row says now
    return finished


def _repeated(
    charge: StripeCharge,
    finished: list[tuple[StripeRefund, gateway.Refund]],
    amount: int | None,
) -> gateway.Refund | None:
    """The refund that the caller asked for before without getting an answer, if there is one."""
    charge.refresh_from_db()
    for order, made in reversed(finished):
        if order.amount == amount or (amount is None and charge.is_refunded):
            return made
    return None


def _order(charge: StripeCharge, amount: int | None) -> StripeRefund:
    """Commit the refund to be made, before Stripe hears of it."""
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


def _send(order: StripeRefund, known: Known) -> gateway.Refund:
    """Make the refund unless it is among the ``known`` ones, to which it is added."""
    charge = order.charge
    try:
        with locked(charge):
            made = _found(order, known) or gateway.create_refund(
                {
                    "charge": charge.stripe_charge_id,
                    "amount": order.amount,
                    "metadata": {UUID_KEY: str(order.uuid)},
                },
                idempotency_key=str(order.uuid),
            )
            known[made.id] = made
            _record(order, made)
            is_written = _write(charge, known, stripe_refund_id=made.id)
    except gateway.StripeError as error:
        raise _concluded(order, error) from error
    if not is_written:
        _count_again(charge)
    charge.refresh_from_db()
    return made


def _found(order: StripeRefund, known: Known) -> gateway.Refund | None:
    for made in known.values():
        if gateway.metadata_of(made).get(UUID_KEY) == str(order.uuid):
            return made
    return None


def _count_again(charge: StripeCharge) -> None:
    """Somebody else refunded meanwhile. Ours is made and recorded, so a failure to read the sum
    must not look like a failure to refund: the next look at the charge will tell it."""
    try:
        sync_refunds(charge)
    except StripeInternalError:
        logger.warning("The refunds of %r could not be counted again.", charge, exc_info=True)


def _concluded(order: StripeRefund, error: gateway.StripeError) -> Exception:
    """Record a refusal; return what is to be raised."""
    meaning = gateway.meaning_of(error)
    if meaning is Meaning.MISCONFIGURED:
        return error
    if meaning is not Meaning.REFUSED:
        return StripeInternalError()
    order.status = StripeRefund.STATUS_REFUSED
    order.stripe_response = gateway.error_body(error)
    order.save()
    return error
