"""Giving money back exactly once, whatever crashes in between.

A refund is a row before Stripe hears of it. The row's ``uuid`` is the idempotency key, and is in
the refund's metadata for the time after Stripe has forgotten the key.
https://docs.stripe.com/api/refunds
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError, StripeMethodNotAllowed
from aa_stripe.gateway import Meaning
from aa_stripe.models.locking import locked
from aa_stripe.models.refund import StripeRefund

if TYPE_CHECKING:
    from aa_stripe.models.charge import StripeCharge

#: As for payment intents: the key is trusted for less than the 24 hours that Stripe keeps it.
KEY_LIFETIME = timedelta(hours=20)

#: In the metadata of every refund: the ``uuid`` of its row.
UUID_KEY = "aa_stripe_refund_uuid"

#: Refunds that give nothing back.
VOID = frozenset({"failed", "canceled"})


def refund(charge: StripeCharge, amount: int | None) -> gateway.Refund:
    """See ``StripeCharge.refund``."""
    charge.refresh_from_db()
    if not charge.is_charged:
        raise StripeMethodNotAllowed("Cannot refund not charged transaction.")
    try:
        finished = settle_refunds(charge)
        sync_refunds(charge)
        return _repeated(charge, finished, amount) or _send(_order(charge, amount))
    finally:
        charge.send_due_signals()


def settle_refunds(charge: StripeCharge) -> list[tuple[StripeRefund, gateway.Refund]]:
    """Finish the refunds whose outcome is unknown; return those that were made.

    One that Stripe refuses now is recorded as refused. Raises ``StripeInternalError`` when
    Stripe still gives no usable answer.
    """
    finished = []
    for order in charge.refunds.filter(status=StripeRefund.STATUS_UNKNOWN):
        try:
            finished.append((order, _send(order)))
        except gateway.InvalidRequestError:
            continue  # recorded on the row
    return finished


def sync_refunds(charge: StripeCharge) -> None:
    """Set ``amount_refunded`` to the sum of Stripe's refunds, made by whomever.

    Pending ones count, failed and canceled ones do not. Where rows cannot be locked, a change
    made while Stripe was being asked shows in the conditional update: then it is asked again.
    """
    is_written = False
    while not is_written:
        with locked(charge):
            refunds = list(gateway.refunds(charge.stripe_charge_id))
            refunded = sum(made.amount for made in refunds if made.status not in VOID)
            is_written = _write_refunded(charge, refunded)
    charge.refresh_from_db()


def _write_refunded(charge: StripeCharge, refunded: int) -> bool:
    before = charge.amount_refunded or 0
    if charge.amount_refunded == refunded and charge.is_refunded == _is_all(charge, refunded):
        return True
    due = {*charge.signal_due.split(), "refunded"} if refunded > before else {charge.signal_due}
    unchanged = type(charge)._base_manager.filter(
        Q(amount_refunded=before) | Q(amount_refunded=None),
        pk=charge.pk,
        signal_due=charge.signal_due,
    )
    return (
        unchanged.update(
            amount_refunded=refunded,
            is_refunded=_is_all(charge, refunded),
            signal_due=" ".join(sorted(due, reverse=True)),
            updated=timezone.now(),
        )
        == 1
    )


def _is_all(charge: StripeCharge, refunded: int) -> bool:
    return refunded > 0 and refunded >= (charge.amount or 0)


def _repeated(
    charge: StripeCharge,
    finished: list[tuple[StripeRefund, gateway.Refund]],
    amount: int | None,
) -> gateway.Refund | None:
    """The refund that the caller asked for before without getting an answer, if there is one."""
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
        return StripeRefund.objects.create(charge=charge, amount=wanted)


def _send(order: StripeRefund) -> gateway.Refund:
    charge = order.charge
    try:
        with locked(charge):
            made = _find(order) or gateway.create_refund(
                {
                    "charge": charge.stripe_charge_id,
                    "amount": order.amount,
                    "metadata": {UUID_KEY: str(order.uuid)},
                },
                idempotency_key=str(order.uuid),
            )
            _record(order, made)
    except gateway.StripeError as error:
        raise _concluded(order, error) from error
    sync_refunds(charge)
    return made


def _find(order: StripeRefund) -> gateway.Refund | None:
    """The order's refund at Stripe, looked for once its key may be forgotten."""
    if timezone.now() - order.created < KEY_LIFETIME:
        return None
    for made in gateway.refunds(order.charge.stripe_charge_id):
        if gateway.metadata_of(made).get(UUID_KEY) == str(order.uuid):
            return made
    return None


def _record(order: StripeRefund, made: gateway.Refund) -> None:
    order.stripe_refund_id = made.id
    order.status = made.status or StripeRefund.STATUS_PENDING
    order.stripe_response = gateway.to_json(made)
    order.save()
    order.charge.stripe_refund_id = made.id
    order.charge.save()


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
