"""Giving money back: earlier orders first, then a new one that fits into what is left.

An order of the same amount that has no outcome is taken for the same wish: a repeated click after a
lost response returns the money once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from django.db import transaction
from django.db.models import F

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError, StripeMethodNotAllowed
from aa_stripe.gateway import Meaning
from aa_stripe.models.charge.order import claim_order, make_refund, resolve_order
from aa_stripe.models.charge.refund import StripeRefund
from aa_stripe.models.charge.refunds import (
    ROUNDS,
    VOID,
    Known,
    open_orders,
    restore,
    sync_refunds,
    total,
    uuid_of,
)
from aa_stripe.models.claims import PATIENCE, Claim, take
from aa_stripe.models.rows import (
    database_of,
    own_row,
    reject_open_transaction,
    reread,
    retry_on_conflict,
)
from aa_stripe.money import whole_units

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

logger = logging.getLogger("aa-stripe")

#: An order and the refund that Stripe made for it.
Finished: TypeAlias = "tuple[StripeRefund, gateway.Refund]"


@dataclass
class Wish:
    """What the caller wants back: ``amount`` in the smallest unit, or all that is left if ``None``.

    ``left_before`` is what was left by the row before Stripe's list was read. With ``or_less``, an
    amount that does not fit because of a refund in the Dashboard becomes what is left.
    """

    amount: int | None
    left_before: int
    or_less: bool

    def is_for(self, order: StripeRefund, left: int) -> bool:
        """Return whether the order may be the same wish, made by an earlier call.

        ``left`` is what is left without that order. The earlier call may have ordered less than its
        caller wanted.
        """
        if self.amount is None:
            return order.amount in {self.left_before, left}
        return order.amount == self.amount or (self.or_less and order.amount == left < self.amount)


def refund(charge: StripeCharge, amount: int | None, *, or_less: bool) -> gateway.Refund:
    """See ``StripeCharge.refund``."""
    reject_open_transaction(charge)
    if amount is not None:
        amount = whole_units(amount)
    reread(charge)
    if not charge.is_charged:
        raise StripeMethodNotAllowed("Cannot refund not charged transaction.")
    try:
        return _refund(charge, Wish(amount, _left(charge), or_less))
    finally:
        _announce(charge)


def _refund(charge: StripeCharge, wish: Wish) -> gateway.Refund:
    known = sync_refunds(charge)
    restored = restore(charge, known)
    same = _same_orders(charge, known, wish, [order for order, _ in restored])
    finished = [*restored, *_finish(charge, same)]
    repeated = _repeated(charge, finished, same, wish)
    if repeated is not None:
        return repeated
    for _ in range(ROUNDS):  # until the list that was read is that of the row, and of Stripe
        in_the_dashboard = _made_in_the_dashboard(charge, known, wish)
        if in_the_dashboard is not None:
            return in_the_dashboard
        committed = _commit_order(charge, known, wish)
        if committed is None:
            known = sync_refunds(charge)
            continue
        try:
            return make_refund(*committed, known, is_first=True)
        except gateway.InvalidRequestError as error:
            before, known = known, sync_refunds(charge)
            if not (wish.or_less and _is_refused(error) and total(known) > total(before)):
                raise
    raise StripeInternalError


def _is_refused(error: gateway.StripeError) -> bool:
    return gateway.meaning_of(error) is Meaning.REFUSED


def settle_refunds(charge: StripeCharge) -> None:
    """Update all refunds from Stripe and finish those whose outcome is unknown.

    Signals become due, but are not sent. Raises ``StripeInternalError`` if Stripe sends no usable
    response, or may still carry out an earlier request.
    """
    if open_orders(charge).exists():
        reject_open_transaction(charge)
    try:
        restore(charge, sync_refunds(charge))
    except Exception:
        _postpone_all(charge)
        raise
    errors = []
    for order in open_orders(charge):
        try:
            resolve_order(order)
        except StripeInternalError as error:  # the others are finished nevertheless
            errors.append(error)
    if errors:
        raise errors[0]


def _postpone_all(charge: StripeCharge) -> None:
    """Postpone the orders of the charge: a job tries them again later."""
    for order in open_orders(charge):
        claim = claim_order(order)
        if claim is not None:
            claim.postpone({})


def _announce(charge: StripeCharge) -> None:
    """Send the signals that are due; log the error of a receiver.

    If that error were raised, the caller might refund again. The signal stays due for the next
    run of the command.
    """
    try:
        charge.send_due_signals()
    except Exception:
        logger.exception("A receiver of the signals of %r failed.", charge)


# Earlier orders


def _same_orders(
    charge: StripeCharge, known: Known, wish: Wish, restored: list[StripeRefund]
) -> set[UUID]:
    """Return the ``uuid`` of each order that may be the same wish; ``restored`` are orders too."""
    unfinished = list(open_orders(charge))
    listed = {uuid_of(made): made for made in known.values()}
    free = _left(charge) - sum(it.amount for it in unfinished if it.uuid not in listed)
    # An order that failed at Stripe takes nothing of what is left.
    return {
        it.uuid
        for it in [*restored, *unfinished]
        if wish.is_for(it, free + (0 if _is_void(listed.get(it.uuid)) else it.amount))
    }


def _is_void(made: gateway.Refund | None) -> bool:
    return made is not None and made.status in VOID


def _finish(charge: StripeCharge, same: set[UUID]) -> list[Finished]:
    """Finish the orders whose outcome is unknown; return those that Stripe made.

    Raises ``StripeInternalError`` if one of the orders ``same`` cannot be finished. Others do not
    hold up the wish.
    """
    finished = []
    for order in open_orders(charge):
        is_same = order.uuid in same
        try:
            made = resolve_order(order, patience=PATIENCE if is_same else 0)
        except StripeInternalError:
            if is_same:
                raise
            continue
        if made is not None:
            finished.append((order, made))
    return finished


def _repeated(
    charge: StripeCharge, finished: list[Finished], same: set[UUID], wish: Wish
) -> gateway.Refund | None:
    """Return the finished refund that this call repeats because its response was lost."""
    for order, made in reversed(finished):
        is_all = wish.amount is None and charge.is_refunded
        if (order.uuid in same or is_all) and made.status not in VOID:
            return made
    return None


def _made_in_the_dashboard(charge: StripeCharge, known: Known, wish: Wish) -> gateway.Refund | None:
    """Return the last refund if all was given back in the Dashboard and the row did not know."""
    if not wish.or_less or wish.left_before <= 0 or _left(charge) > 0:
        return None
    newest = next((made for made in known.values() if made.status not in VOID), None)
    return newest if newest is not None and uuid_of(newest) is None else None


# A new order


def _commit_order(
    charge: StripeCharge, known: Known, wish: Wish
) -> tuple[StripeRefund, Claim] | None:
    """Commit and claim a new order, so that all orders together fit into the charge.

    Returns ``None`` if ``known`` is outdated. The UPDATE locks the charge's row; on SQLite, the
    database.
    """
    using = database_of(charge)

    def commit() -> tuple[StripeRefund, Claim] | None:
        with transaction.atomic(using=using):
            own_row(charge, using).update(updated=F("updated"))
            reread(charge)
            if total(known) != (charge.amount_refunded or 0):
                return None
            order = charge.refunds.create(amount=_fitting(charge, known, wish))
            claim = take(order)
        assert claim is not None  # noqa: S101 (no other process can see the row)
        return order, claim

    return retry_on_conflict(using, commit)


def _fitting(charge: StripeCharge, known: Known, wish: Wish) -> int:
    """Return the amount to refund; raise ``StripeMethodNotAllowed`` if it does not fit."""
    uuids = {uuid_of(made) for made in known.values()}
    reserved: int = sum(it.amount for it in open_orders(charge) if it.uuid not in uuids)
    left = _left(charge)
    free = left - reserved
    if left <= 0:
        raise StripeMethodNotAllowed("Already refunded.")
    wanted: int = free if wish.amount is None else wish.amount
    if wish.amount is None and free <= 0:
        raise StripeInternalError("The outcome of another refund is not known yet.")
    if wanted <= 0:
        raise StripeMethodNotAllowed("Refunds must be positive.")
    if wanted <= free:
        return wanted
    fits_otherwise = wanted <= _left_by_us(charge, known, wish) - reserved
    if wish.or_less and fits_otherwise and free > 0:  # the rest was given back in the Dashboard
        return free
    raise StripeMethodNotAllowed("Refunds exceed charge")


def _left_by_us(charge: StripeCharge, known: Known, wish: Wish) -> int:
    """Return what would be left without the refunds in the Dashboard, reserved amounts included.

    The refunds of 0.14 have no ``uuid``. So if the row may have one, only what was refunded since
    the row was read is taken for a refund in the Dashboard.
    """
    ours = total({it.id: it for it in known.values() if uuid_of(it)})
    left: int = (charge.amount or 0) - ours
    may_be_of_0_14 = charge.stripe_refund_id and not charge.stripe_payment_intent_id
    return min(left, wish.left_before) if may_be_of_0_14 else left


def _left(charge: StripeCharge) -> int:
    amount: int = charge.amount or 0
    refunded: int = charge.amount_refunded or 0
    return amount - refunded
