"""The job that collects pending charges and completes what a crash interrupted."""

from __future__ import annotations

from typing import cast

from django.db.models import Exists, OuterRef, QuerySet

from aa_stripe.exceptions import StripeMethodNotAllowed, StripeNoActiveCustomer
from aa_stripe.jobs.pace import at_rate
from aa_stripe.jobs.report import SETTLED_MEANWHILE, WAITING, Outcome, Report
from aa_stripe.jobs.run import Run, Watcher
from aa_stripe.models import StripeCharge, StripeChargeQuerySet, StripeCustomer
from aa_stripe.models.rows import in_order, reject_open_transaction, stored

# Actions in the report.
COLLECTED = "collected"
DECLINED = "declined"
SIGNALS_SENT = "signals of an earlier run sent"
REFUNDS_SETTLED = "refunds of an earlier run settled"
WOULD_COLLECT = "would be collected"
WOULD_SEND_SIGNALS = "signals of an earlier run would be sent"
WOULD_SETTLE_REFUNDS = "refunds of an earlier run would be settled"

# Reasons in the report why a charge is skipped.
NO_AMOUNT = "no amount"
NO_CUSTOMER = "no active customer"


def charge_pending(
    *, limit: int | None = None, rate: float | None = None, watcher: Watcher | None = None
) -> Report:
    """Collect every pending charge, one after the other, in the order of their ids.

    Signals and refunds that a crash interrupted come first. A row that fails does not stop the
    others, unless Stripe rejects the API key several times in a row. ``limit`` is the maximum
    number of charges to try; skipped rows do not count. ``rate`` is the maximum number of
    requests to Stripe per second; ``None`` means ``STRIPE_REQUESTS_PER_SECOND``.

    Two runs at the same time are safe. Raises ``ValueError`` if the rate is not above 0, and
    ``StripeInTransaction`` inside a transaction.
    """
    reject_open_transaction(StripeCharge)
    run = Run(watcher)
    with at_rate(rate):
        run.each("Signals", "Charge", _charges().with_signal_due(), _send_signals)
        run.each("Refunds", "Charge", _charges().with_unknown_refund(), _settle_refunds)
        run.each("Charges", "Charge", _charges().pending(), _collect, limit=limit)
    return run.report


def preview_pending(*, limit: int | None = None, watcher: Watcher | None = None) -> Report:
    """Return what ``charge_pending`` would do now; write nothing, do not call Stripe."""
    run = Run(watcher)
    run.report.done[WOULD_SEND_SIGNALS] = _charges().with_signal_due().count()
    run.report.done[WOULD_SETTLE_REFUNDS] = _charges().with_unknown_refund().count()
    pending = _charges().pending().annotate(has_payer=Exists(_payers()))
    with run.series("Charges", pending):
        for key, *values in in_order(pending, "amount", "currency", "has_payer"):
            if run.is_over() or run.report.done[WOULD_COLLECT] == limit:
                break
            run.note(f"Charge id: {key}", _preview(*values))
    return run.report


def _charges() -> StripeChargeQuerySet:
    return cast("StripeChargeQuerySet", stored(StripeCharge))


def _payers() -> QuerySet[StripeCustomer]:
    """Return a subquery for charges: the customers that ``charge()`` could collect from."""
    active = StripeCustomer.objects.filter(user_id=OuterRef("user_id"), is_active=True)
    return active.exclude(stripe_customer_id="")


def _preview(amount: int | None, currency: str, has_payer: bool) -> Outcome:
    if amount is None:
        return Outcome(skipped=NO_AMOUNT)
    if not has_payer:
        return Outcome(skipped=NO_CUSTOMER)
    return Outcome(done=WOULD_COLLECT, amount=amount, currency=currency.lower())


# Each function handles one row. They share no state, so several threads may call them.


def _send_signals(key: int) -> Outcome:
    charge = _charges().with_signal_due().filter(pk=key).first()
    if charge is None:
        return Outcome(skipped=SETTLED_MEANWHILE)
    charge.send_due_signals()
    return Outcome(done=SIGNALS_SENT)


def _settle_refunds(key: int) -> Outcome:
    charge = _charges().with_unknown_refund().filter(pk=key).first()
    if charge is None:
        return Outcome(skipped=SETTLED_MEANWHILE)
    charge.refresh_from_stripe()
    return Outcome(done=REFUNDS_SETTLED)


def _collect(key: int) -> Outcome:
    # Each row is read again: it may have been charged since its chunk was listed.
    charge = _charges().pending().select_related("user").filter(pk=key).first()
    if charge is None:
        return Outcome(skipped=SETTLED_MEANWHILE)
    try:
        paid = charge.charge_if_pending()
    except Exception as error:  # noqa: BLE001 (the caller logs it)
        return _failed(charge, error)
    if paid is not None:
        return _collected(charge)
    if charge.is_charged:
        return Outcome(skipped=SETTLED_MEANWHILE)
    return Outcome(done=DECLINED) if charge.charge_attempt_failed else Outcome(skipped=WAITING)


def _failed(charge: StripeCharge, error: Exception) -> Outcome:
    """Return the outcome of a row whose ``charge()`` raised ``error``.

    A receiver may have raised it after the charge was settled.
    """
    reason = _reason_to_skip(charge, error)
    if reason:
        return Outcome(skipped=reason)
    if charge.is_charged:
        return _collected(charge, error)
    return Outcome(done=DECLINED if charge.charge_attempt_failed else "", error=error)


def _reason_to_skip(charge: StripeCharge, error: Exception) -> str:
    """Return why there was nothing to collect; ``""`` if ``error`` is a failure."""
    if not isinstance(error, StripeMethodNotAllowed) or charge.charge_attempt_failed:
        return ""
    if isinstance(error, StripeNoActiveCustomer):
        return "" if charge.is_charged else NO_CUSTOMER
    if charge.is_charged:
        return SETTLED_MEANWHILE
    return NO_AMOUNT if charge.amount is None else ""


def _collected(charge: StripeCharge, error: Exception | None = None) -> Outcome:
    return Outcome(
        done=COLLECTED, amount=charge.amount, currency=charge.currency.lower(), error=error
    )
