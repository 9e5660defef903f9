"""One order to give money back: requested exactly once, even if the process crashes in between.

An order is committed as a row, and claimed, before it is requested at Stripe. One request returns
the money, and Stripe may still carry out a request that it responded to with an error. So an order
without an outcome is first looked for at Stripe, and requested with another idempotency key only
when no earlier request can be on its way.
https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

import logging
from typing import Any

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInProgress, StripeInternalError
from aa_stripe.gateway import Meaning
from aa_stripe.models.charge.refund import StripeRefund
from aa_stripe.models.charge.refunds import (
    UUID_KEY,
    Known,
    found,
    listed,
    record_with_sum,
    usable_responses,
)
from aa_stripe.models.claims import (
    Claim,
    checked_requests,
    choose_key,
    ending,
    is_stored,
    numbered_key,
    patiently,
    take,
)
from aa_stripe.models.erasable import kept
from aa_stripe.models.rows import reread

logger = logging.getLogger("aa-stripe")


def claim_order(order: StripeRefund, *, patience: float = 0) -> Claim | None:
    """Claim the order; return ``None`` if another process concludes it, or holds it for longer.

    Raises ``StripeInProgress`` if it was worth waiting, and in vain.
    """
    for _ in patiently(patience):
        claim = take(order, status=StripeRefund.STATUS_UNKNOWN)
        _reread(order)
        if claim is not None or order.status != StripeRefund.STATUS_UNKNOWN or not patience:
            return claim
    raise StripeInProgress


def resolve_order(order: StripeRefund, *, patience: float = 0) -> gateway.Refund | None:
    """Find out what became of the order, or request it again; return the refund if there is one.

    Returns ``None``, too, if another process concludes the order. ``patience`` is that of
    ``claim_order``.
    """
    claim = claim_order(order, patience=patience)
    if claim is None:
        return None
    try:
        with usable_responses(), checked_requests(claim):
            known = listed(order.charge)
    except BaseException:
        _postpone(claim, {})
        raise
    try:
        return make_refund(order, claim, known, is_first=False)
    except gateway.InvalidRequestError as error:
        if gateway.meaning_of(error) is not Meaning.REFUSED:  # a refusal is recorded
            raise
    return None


def _reread(order: StripeRefund) -> None:
    """Refresh the order, but keep the object of its charge."""
    charge = order.charge
    reread(order)
    order.charge = charge


def make_refund(
    order: StripeRefund, claim: Claim, known: Known, *, is_first: bool
) -> gateway.Refund:
    """Return the order's refund, requested if Stripe has none; the claim ends in any case."""
    may_arrive = not is_first and claim.may_arrive()
    try:
        with checked_requests(claim):
            made = found(order, known) or _request(order, claim)
    except gateway.StripeError as error:
        failure = _concluded(order, claim, error, is_first=is_first, may_arrive=may_arrive)
        made_meanwhile = _made_meanwhile(order)
        if made_meanwhile is not None:
            return made_meanwhile
        raise failure from error
    except BaseException:
        _postpone(claim, {})
        raise
    _record(order, claim, made, known)
    return made


def _record(order: StripeRefund, claim: Claim, made: gateway.Refund, known: Known) -> None:
    """Record the refund; if Stripe does not list the others, a job records it later."""
    try:
        record_with_sum(order, made, known)
    except BaseException as error:
        _postpone(claim, {})
        if not isinstance(error, (StripeInternalError, gateway.StripeError)):
            raise
        logger.warning("Could not count the refunds of %r.", order.charge, exc_info=True)


def _made_meanwhile(order: StripeRefund) -> gateway.Refund | None:
    """Return the refund if a webhook has recorded it before the response was lost."""
    _reread(order)
    if not order.stripe_refund_id:
        return None
    with usable_responses():
        return found(order, listed(order.charge))


def _request(order: StripeRefund, claim: Claim) -> gateway.Refund:
    if not choose_key(claim):
        raise StripeInternalError("Stripe may still carry out an earlier request for the refund.")
    return gateway.create_refund(
        {
            "charge": order.charge.stripe_charge_id,
            "amount": order.amount,
            "metadata": {UUID_KEY: str(order.uuid)},
        },
        idempotency_key=numbered_key(order.uuid, order.key_number),
    )


def _concluded(
    order: StripeRefund,
    claim: Claim,
    error: gateway.StripeError,
    *,
    is_first: bool,
    may_arrive: bool,
) -> Exception:
    """Record a refusal by Stripe; return the exception to raise.

    A refusal says nothing about an earlier request that may still arrive, unless Stripe repeats
    what it has stored. An error about our key or account says nothing about any earlier request.
    """
    meaning = gateway.meaning_of(error)
    is_final = meaning is Meaning.REFUSED and (not may_arrive or gateway.is_replayed(error))
    if is_final or (is_first and meaning in {Meaning.MISCONFIGURED, Meaning.OUTDATED}):
        refusal = {
            "status": StripeRefund.STATUS_REFUSED,
            "stripe_response": gateway.error_body(error),
        }
        claim.conclude(kept(order, refusal))
        return error
    if meaning is Meaning.MISCONFIGURED:
        claim.give_back()
        return error
    received: dict[str, Any] = {}
    if is_stored(error):
        received["stripe_response"] = gateway.error_body(error) or {"status": error.http_status}
    _postpone(claim, kept(order, received))
    return StripeInternalError()


def _postpone(claim: Claim, values: dict[str, Any]) -> None:
    """End the claim without an outcome.

    After an error that Stripe has stored, the refund is not requested again for an hour.
    """
    with ending(claim):
        claim.postpone(values, slow="stripe_response" in values)
