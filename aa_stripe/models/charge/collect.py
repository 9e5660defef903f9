"""Collecting a charge exactly once, even if the process crashes in between.

A row has at most one payment intent that can still be paid. An unconfirmed intent moves no money,
and a confirmed one succeeds only once. So the intent's id is committed before the intent is
confirmed, and a row whose outcome is not known is first compared with Stripe. Only the process that
holds the row's claim works on it.
https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aa_stripe import gateway
from aa_stripe.exceptions import (
    StripeInProgress,
    StripeInternalError,
    StripeMethodNotAllowed,
)
from aa_stripe.gateway import Meaning
from aa_stripe.models.charge.attempt import Attempt, RowChanged, reject_charged
from aa_stripe.models.charge.changes import save_changes
from aa_stripe.models.charge.failure import card_of, failure_of
from aa_stripe.models.charge.intent import (
    WAITING,
    confirm_intent,
    find_intent,
    prepare_intent,
)
from aa_stripe.models.charge.record import (
    announce_failure,
    leave_unknown,
    leave_unpaid,
    leave_waiting,
    write_failure,
    write_success,
)
from aa_stripe.models.claims import PATIENCE, Claim, checked_requests, patiently, take
from aa_stripe.models.rows import reject_open_transaction, reread
from aa_stripe.settings import ALLOW, stripe_settings

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

#: What a call of ``charge()`` has recorded.
COLLECTED, DECLINED, WAITS, UNPAID = "collected", "declined", "waits", "unpaid"


def collect(
    charge: StripeCharge,
    metadata: dict[str, str],
    *,
    only_pending: bool = False,
    claim: Claim | None = None,
) -> gateway.Charge | None:
    """Collect ``charge``; return Stripe's charge, or ``None`` if no money has moved (yet).

    With ``only_pending``, a row that has failed or is manual is not paid, but its outcome is
    recorded if Stripe knows one. ``claim`` is the claim of a row that was read under it.

    Raises ``StripeMethodNotAllowed`` if the row is charged or has no amount,
    ``StripeNoActiveCustomer`` if the user has no active customer, ``StripeUnknownCustomer`` if
    Stripe does not know the customer, ``StripeInTransaction`` inside a transaction,
    ``StripeInProgress`` if another process holds the claim, ``StripeInternalError`` if Stripe
    sent no usable response (the outcome stays unknown), and the SDK's own error if Stripe rejects
    the API key.
    """
    reject_open_transaction(charge)
    charge.outcome = ""
    is_declined = False
    if claim is None:
        save_changes(charge)
        claim, is_declined = _claim(charge, patience=0 if only_pending else PATIENCE)
    look_first = charge.key_may_be_forgotten() or stripe_settings.TRANSACTIONS == ALLOW
    attempt = Attempt(charge, claim, metadata, only_pending, look_first)
    if is_declined and _is_as_declined(attempt):
        claim.give_back()
        return None
    return _conclude(attempt)


# The claim


def _claim(charge: StripeCharge, patience: float) -> tuple[Claim, bool]:
    """Claim the row and read it; return the claim, and whether its last holder was declined.

    Waits up to ``patience`` seconds for another process that holds the claim.
    """
    number_before: int | None = None
    for _ in patiently(patience):
        claim = take(charge, is_charged=False)
        reread(charge)
        if claim is not None:
            is_declined = charge.charge_attempt_failed and number_before is not None
            return claim, is_declined and charge.key_number != number_before
        reject_charged(charge)
        if number_before is None:
            number_before = charge.key_number
    raise StripeInProgress


def _is_as_declined(attempt: Attempt) -> bool:
    """Return whether the row's failure was that of today's card and terms."""
    failure = attempt.charge.stripe_response.get("error", {})
    intent = failure.get("payment_intent") or {}
    if (intent.get("amount"), intent.get("currency")) != attempt.terms():
        return False
    return bool(attempt.card()) and attempt.card() == card_of(failure)


# The payment


def _pay(attempt: Attempt) -> gateway.PaymentIntent | None:
    """Return the row's intent as it is in the end; ``None`` if it has none and gets none.

    Raises Stripe's error if the payment fails.
    """
    while True:
        try:
            return _pay_once(attempt)
        except RowChanged:
            attempt.read_again()
        except gateway.StripeError as error:
            if not _may_go_on(attempt, error):
                raise
            attempt.read_again()


def _pay_once(attempt: Attempt) -> gateway.PaymentIntent | None:
    if not attempt.charge.is_unsettled:  # Stripe need not be asked about a row without terms
        if not attempt.is_wanted():
            return None
        attempt.require_terms()
    intent = find_intent(attempt)
    _raise_lost_failure(attempt, intent)
    if _is_concluded(intent) or not attempt.is_wanted():
        return intent
    attempt.require_terms()
    intent = prepare_intent(attempt, intent)
    is_passed_over = _raise_lost_failure(attempt, intent)
    if _is_concluded(intent):
        return intent
    if is_passed_over:
        attempt.use_up_key()
    return confirm_intent(attempt, intent)


def _is_concluded(intent: gateway.PaymentIntent | None) -> bool:
    """Return whether the intent is paid, or waits for a bank or a manual capture."""
    return intent is not None and intent.status in {"succeeded", *WAITING}


def _raise_lost_failure(attempt: Attempt, intent: gateway.PaymentIntent | None) -> bool:
    """Raise the failure of the intent if it is not recorded: its response was lost.

    If the row is to be paid by another card or on other terms now, these are tried instead: return
    whether there is a failure that is passed over. Stripe has stored a response for its key.
    """
    charge = attempt.charge
    failure = failure_of(charge, intent) if intent is not None else None
    if intent is None or failure is None:
        return False
    if intent.status == "canceled":
        is_passed_over = charge.charge_attempt_failed and not attempt.is_wanted()
    else:
        is_passed_over = attempt.is_wanted() and not _is_of_today(attempt, intent, failure)
    if not is_passed_over:
        raise failure
    return True


def _is_of_today(
    attempt: Attempt, intent: gateway.PaymentIntent, failure: gateway.StripeError
) -> bool:
    """Return whether the failure was that of today's amount, currency and card."""
    if (intent.amount, intent.currency) != attempt.terms():
        return False
    failed = card_of(gateway.error_body(failure).get("error", {})) or intent.payment_method
    return not failed or not attempt.card() or failed == attempt.card()


def _may_go_on(attempt: Attempt, error: gateway.StripeError) -> bool:
    """Return whether the payment may succeed once the row, or its payer, is read again."""
    meaning = gateway.meaning_of(error)
    if meaning in {Meaning.UNKNOWN, Meaning.MISCONFIGURED}:
        return False
    if attempt.has_other_payer(error) or attempt.has_other_card(error):
        return True
    is_outdated = meaning is Meaning.OUTDATED and not gateway.lacks_payment_method(error)
    if attempt.is_outdated or not is_outdated:
        return False
    # Another process was faster, or an earlier attempt used the key with other parameters.
    attempt.is_outdated = attempt.look_first = True
    attempt.use_up_key()
    return True


# The outcome


def _conclude(attempt: Attempt) -> gateway.Charge | None:
    """Try to collect the row, and record the outcome; the claim ends in any case."""
    try:
        with checked_requests(attempt.claim):
            intent = _pay(attempt)
    except gateway.StripeError as error:
        _record_error(attempt, error)
        return None
    except StripeMethodNotAllowed:
        leave_unpaid(attempt, None)
        raise
    except BaseException as error:
        leave_unknown(attempt, error)
        raise
    return _record(attempt, intent)


def _record(attempt: Attempt, intent: gateway.PaymentIntent | None) -> gateway.Charge | None:
    charge = attempt.charge
    if intent is None or not _is_concluded(intent):
        charge.outcome = UNPAID
        leave_unpaid(attempt, intent)
        return None
    if intent.status in WAITING:
        charge.outcome = WAITS
        leave_waiting(attempt, intent)
        return None
    if write_success(charge, intent):
        charge.outcome = COLLECTED
    charge.send_due_signals()
    return cast("gateway.Charge", intent.latest_charge)


def _record_error(attempt: Attempt, error: gateway.StripeError) -> None:
    """Record a refusal by Stripe; raise any error that leaves the outcome unknown."""
    charge, meaning = attempt.charge, gateway.meaning_of(error)
    if meaning is Meaning.MISCONFIGURED:
        leave_unknown(attempt, error)
        raise error
    if _is_final(attempt, error):
        if write_failure(charge, error, attempt):
            charge.outcome = DECLINED
            announce_failure(charge, error)
            return
        if charge.is_charged:
            return
    else:
        leave_unknown(attempt, error)
    raise StripeInternalError from error


def _is_final(attempt: Attempt, error: gateway.StripeError) -> bool:
    """Return whether the payment has failed.

    A refusal of a request that an earlier attempt may have sent as well says nothing about that
    one, unless Stripe repeats what it has stored.
    """
    if gateway.meaning_of(error) is Meaning.DECLINED:
        return True
    if not gateway.is_failed_payment(error):
        return False
    return gateway.is_replayed(error) or not (attempt.has_sent and attempt.may_arrive())
