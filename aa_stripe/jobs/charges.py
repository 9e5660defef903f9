"""The job that collects pending charges and completes what a crash interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from typing import Any, cast

from django.db.models import Exists, OuterRef, Q, QuerySet

from aa_stripe.exceptions import (
    StripeMethodNotAllowed,
    StripeNoActiveCustomer,
)
from aa_stripe.jobs.memory import remember
from aa_stripe.jobs.pace import at_rate, at_rate_of_process
from aa_stripe.jobs.report import SETTLED_MEANWHILE, STILL_UNPAID, WAITING, Outcome, Report
from aa_stripe.jobs.run import Run, Watcher, attempt
from aa_stripe.models import StripeCharge, StripeChargeQuerySet, StripeCustomer, StripeRefund
from aa_stripe.models.claims import Source, is_due, is_free, take_from
from aa_stripe.models.now import DatabaseNow
from aa_stripe.models.rows import in_order, in_order_of, reject_open_transaction, stored

# Actions in the report.
COLLECTED = "collected"
DECLINED = "declined"
SIGNALS_SENT = "signals of an earlier run sent"
REFUNDS_SETTLED = "refunds of an earlier run settled"
WOULD_COLLECT = "would be collected"
WOULD_SEND_SIGNALS = "signals of an earlier run would be sent"
WOULD_SETTLE_PAYMENTS = "payments of an earlier attempt would be settled"
WOULD_SETTLE_REFUNDS = "refunds of an earlier run would be settled"

# Reasons in the report why a charge is skipped.
NO_AMOUNT = "no amount"
NO_CUSTOMER = "no active customer"


def charge_pending(
    *,
    limit: int | None = None,
    rate: float | None = None,
    workers: int | None = None,
    watcher: Watcher | None = None,
) -> Report:
    """Collect every pending charge, several at once; those with the fewest attempts first.

    Signals and refunds that a crash interrupted come first. Unsettled charges are compared with
    Stripe, also failed and manual ones. A row that fails does not stop the others, and waits before
    it is tried again. If Stripe rejects the API key, or sends no usable response, several times in
    a row, the run stops. ``limit`` is the maximum number of charges to try; skipped rows do not
    count. ``rate`` is the maximum number of requests to Stripe per second; ``None`` means
    ``STRIPE_REQUESTS_PER_SECOND``.

    ``workers`` is the number of threads that work on charges, each with its own database
    connection; ``None`` means 4, and 1 on SQLite. With 1, and inside a transaction, it is the
    calling thread. The receivers of the signals run in these threads.

    Several runs at the same time divide the work; each reports what it has recorded. Raises
    ``ValueError`` if the rate is not above 0 or the number of workers is below 1, and
    ``StripeInTransaction`` inside a transaction.
    """
    reject_open_transaction(StripeCharge)
    run = Run(watcher, workers)
    with at_rate(rate):
        run.each("Signals", "Charge", _charges().with_signal_due(), _send_signals)
        run.each("Refunds", "Charge", _with_open_refund(), _settle_refunds)
        newest, now = _newest()
        candidates = partial(_candidates, newest, now)
        collect = partial(_collect, _due())
        run.each("Charges", "Charge", _open(now), collect, limit=limit, order=candidates)
    remember("charge_stripe", run.report)
    return run.report


def charge_one(key: int) -> Report:
    """Collect the charge with that primary key if it is pending and due. For queue workers.

    The report is empty if the row is gone, charged, claimed by another process, or not due.
    Calling this twice, or late, is safe. An error is logged, listed in the report and not raised: a
    queue need not retry it, because ``charge_stripe`` does, after the delay that the row has then.
    The calls of one process share a limit of ``STRIPE_REQUESTS_PER_SECOND``.

    Raises ``StripeInTransaction`` inside a transaction.
    """
    reject_open_transaction(StripeCharge)
    run = Run(None)
    with at_rate_of_process():
        outcome = attempt(partial(_collect, _due()), key)
    if outcome is not None:
        run.note(f"Charge id: {key}", outcome)
    return run.report


def preview_pending(*, limit: int | None = None, watcher: Watcher | None = None) -> Report:
    """Return what ``charge_pending`` would do now; write nothing, do not call Stripe."""
    run = Run(watcher)
    run.report.done[WOULD_SEND_SIGNALS] = _charges().with_signal_due().count()
    run.report.done[WOULD_SETTLE_REFUNDS] = _with_open_refund().count()
    run.report.done[WOULD_SETTLE_PAYMENTS] = _open(DatabaseNow()).unsettled().count()
    pending = _to_pay(DatabaseNow()).annotate(has_payer=Exists(_payers()))
    with run.series("Charges", pending):
        for key, *values in in_order(pending, "amount", "currency", "has_payer"):
            if run.is_over() or run.report.done[WOULD_COLLECT] == limit:
                break
            run.note(f"Charge id: {key}", _preview(*values))
    return run.report


def _charges() -> StripeChargeQuerySet:
    return cast("StripeChargeQuerySet", stored(StripeCharge))


def _with_open_refund() -> StripeChargeQuerySet:
    """Return the charges with a refund to finish: its outcome is unknown, and it is due."""
    unknown = stored(StripeRefund).filter(status=StripeRefund.STATUS_UNKNOWN)
    due = unknown.filter(is_due(DatabaseNow()), is_free())
    return _charges().filter(Exists(due.filter(charge_id=OuterRef("pk"))))


def _newest() -> tuple[int, Any]:
    """Return the primary key of the newest row, and the time by the database's clock."""
    clock = _charges().annotate(now=DatabaseNow()).order_by("-pk")
    return clock.values_list("pk", "now").first() or (0, DatabaseNow())


def _open(now: Any) -> StripeChargeQuerySet:
    """Return the charges to work on: due at the time ``now``, and free."""
    is_wanted = Q(charge_attempt_failed=False, is_manual_charge=False, user__isnull=False)
    is_open = is_wanted | Q(is_unsettled=True)
    return _charges().filter(is_open, is_due(now), is_free(), is_charged=False)


def _due() -> Source:
    """Return the charges that are open when they are claimed."""
    return Source(_open(DatabaseNow()))


def _to_pay(now: Any) -> QuerySet[StripeCharge]:
    """Return those whose payment Stripe need not be asked about first."""
    return _charges().pending().filter(is_due(now), is_free(), is_unsettled=False)


def _candidates(newest: int, now: Any, rows: QuerySet[StripeCharge]) -> Iterator[tuple[Any, ...]]:
    """Yield the primary keys of ``rows``, those with the fewest attempts first.

    Unsettled rows and the others take turns, so that neither keep the other waiting when a limit
    ends each run; each query can use the index. Rows added after the start are not yielded; a row
    that fails meanwhile is not due any more at the time ``now``.
    """
    halves = [rows.filter(is_unsettled=True), _to_pay(now)]
    ordered = [in_order_of(each.filter(pk__lte=newest), "attempts") for each in halves]
    for pair in zip_longest(*ordered):
        for entry in pair:
            if entry is not None:
                yield (entry[1],)


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
    charge = _with_open_refund().filter(pk=key).first()
    if charge is None:
        return Outcome(skipped=SETTLED_MEANWHILE)
    charge.refresh_from_stripe()
    return Outcome(done=REFUNDS_SETTLED)


def _collect(due: Source, key: int) -> Outcome | None:
    # Another process may have worked on the row since its chunk was listed.
    claim = take_from(due, key)
    if claim is None:
        return None
    charge = cast("StripeCharge", claim.row)
    try:
        charge.charge_if_pending(claim)
    except Exception as error:  # noqa: BLE001 (the caller logs it)
        return _failed(charge, error)
    return _recorded(charge)


def _recorded(charge: StripeCharge, error: Exception | None = None) -> Outcome | None:
    """Return the outcome that this process has recorded, ``None`` if another one has."""
    if charge.outcome == "collected":
        return _collected(charge, error)
    if charge.outcome == "declined":
        return Outcome(done=DECLINED, error=error)
    skipped = {"waits": WAITING, "unpaid": STILL_UNPAID}.get(charge.outcome)
    return Outcome(skipped=skipped) if skipped else None


def _failed(charge: StripeCharge, error: Exception) -> Outcome | None:
    """Return the outcome of a row whose ``charge()`` raised ``error``.

    A receiver may have raised it after the charge was settled.
    """
    if charge.outcome:
        return _recorded(charge, error)
    if not isinstance(error, StripeMethodNotAllowed):
        return Outcome(error=error)
    if isinstance(error, StripeNoActiveCustomer):
        return Outcome(skipped=NO_CUSTOMER)
    if charge.is_charged:  # another process was faster
        return None
    return Outcome(skipped=NO_AMOUNT) if charge.amount is None else Outcome(error=error)


def _collected(charge: StripeCharge, error: Exception | None = None) -> Outcome:
    return Outcome(
        done=COLLECTED, amount=charge.amount, currency=charge.currency.lower(), error=error
    )
