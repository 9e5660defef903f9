"""Recording the outcome of a charge's payment, and the signals of a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.models.charge.attempt import NEEDS_AUTHENTICATION, Attempt
from aa_stripe.models.claims import (
    FREE,
    SETTLED,
    after,
    ending,
    is_free,
    is_late,
)
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.erasable import kept
from aa_stripe.models.latest import reread_latest
from aa_stripe.models.legacy import with_source
from aa_stripe.models.now import DatabaseNow
from aa_stripe.models.rows import related, reread, root_model, store_if, stored
from aa_stripe.signals import (
    stripe_charge_card_exception,
    stripe_charge_refunded,
    stripe_charge_requires_action,
    stripe_charge_succeeded,
)

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

#: The values of a failed row that a job compares with Stripe again.
STILL_OPEN = {"is_unsettled": True, "attempts": 1, "retry_at": after(0, slow=True)}


def write_success(charge: StripeCharge, intent: gateway.PaymentIntent) -> bool:
    """Mark the row as charged, once, whichever process finds it; return whether it was marked.

    The signals become due, but are not sent.
    """
    collected = cast("gateway.Charge", intent.latest_charge)
    charged: dict[str, Any] = {
        **SETTLED,
        "is_charged": True,
        "charge_attempt_failed": False,
        "failure_code": "",
        "amount": intent.amount_received,
        "currency": intent.currency,
        "stripe_payment_intent_id": intent.id,
        "stripe_charge_id": collected.id,
        "stripe_response": with_source(gateway.to_json(collected)),
        "amount_refunded": collected.amount_refunded,
        "is_refunded": collected.refunded,
        "signal_due": _due(charge, collected),
        "updated": timezone.now(),
    }
    customer = _customer_of(charge, intent)
    if customer is not None:
        charged["customer"] = customer
    return _store(charge, {"is_charged": False}, charged)


def _store(
    charge: StripeCharge, as_read: dict[str, Any], values: dict[str, Any], *conditions: Q
) -> bool:
    """Store the values if the row is as it was read, or else refresh the object.

    If the row was erased since it was read, what is ``kept`` of them is stored.
    """
    for _ in range(2):  # a row is erased once
        erased = charge.erased
        expected = {**as_read, "erased": erased}
        if store_if(charge, expected, kept(charge, values), *conditions):
            return True
        reread_latest(charge)
        if charge.erased == erased:
            break
    return False


def _due(charge: StripeCharge, collected: gateway.Charge) -> str:
    """Return the names of the signals to send; none is due if it has no receiver."""
    due = {"succeeded": stripe_charge_succeeded}
    if collected.amount_refunded:
        due["refunded"] = stripe_charge_refunded
    sender = root_model(charge)
    return " ".join(sorted(name for name, it in due.items() if it.has_listeners(sender)))


def _customer_of(charge: StripeCharge, intent: gateway.PaymentIntent) -> StripeCustomer | None:
    """Return the intent's customer, which need not be the user's latest any more."""
    customer: StripeCustomer | None = related(charge, "customer")
    if customer is not None and customer.stripe_customer_id == intent.customer:
        return customer
    known = stored(StripeCustomer).filter(stripe_customer_id=intent.customer)
    return known.filter(user=charge.user_id).last() or known.last()


def write_failure(
    charge: StripeCharge, error: gateway.StripeError, attempt: Attempt | None = None
) -> bool:
    """Mark the row as failed; return whether it was marked.

    Without an ``attempt`` it is marked only if no process holds the claim: the holder's outcome is
    newer. The row stays unsettled if the customer may still complete the payment in a browser, or
    if Stripe may still carry out an earlier request.
    """
    failed = _failed(error)
    if attempt is None:
        as_read = {
            "is_charged": False,
            "charge_attempt_failed": False,
            "failure_code": charge.failure_code,
            "stripe_charge_id": charge.stripe_charge_id,
        }
        return _store(charge, as_read, failed, is_free())
    if attempt.may_arrive():
        failed |= STILL_OPEN
    is_written = attempt.claim.write(kept(charge, failed), is_charged=False)
    if not is_written:
        reread(charge)
    return is_written


def _failed(error: gateway.StripeError) -> dict[str, Any]:
    body = gateway.error_body(error)
    code = gateway.error_code(error)
    failed: dict[str, Any] = {
        **SETTLED,
        "charge_attempt_failed": True,
        "failure_code": code,
        "stripe_response": body,
        "key_number": F("key_number") + 1,  # Stripe has stored a response for this one
        "updated": timezone.now(),
    }
    failed_charge = body.get("error", {}).get("charge")
    if failed_charge:
        failed["stripe_charge_id"] = failed_charge
    if code == NEEDS_AUTHENTICATION:
        failed |= STILL_OPEN
    return failed


def announce_failure(charge: StripeCharge, error: gateway.StripeError) -> None:
    """Send the signals of a failed charge, the second even if a receiver of the first raises."""
    arguments = {"sender": root_model(charge), "instance": charge, "exception": error}
    try:
        stripe_charge_card_exception.send(**arguments)
    finally:
        if gateway.error_code(error) == NEEDS_AUTHENTICATION:
            stripe_charge_requires_action.send(**arguments)


# The end of a claim without an outcome


def leave_unknown(attempt: Attempt, error: BaseException) -> None:
    """End the claim without an outcome. A payment that may have been made stays unsettled."""
    with ending(attempt.claim):
        _write_unknown(attempt, error)


def _write_unknown(attempt: Attempt, error: BaseException) -> None:
    charge, claim = attempt.charge, attempt.claim
    values: dict[str, Any] = {}
    if isinstance(error.__cause__, gateway.IdempotencyError):  # Stripe has carried out nothing now
        values["sent_at"] = Coalesce("sent_at", DatabaseNow())
    elif attempt.has_sent:
        values["is_unsettled"] = charge.is_unsettled or bool(charge.stripe_payment_intent_id)
        values["sent_at"] = DatabaseNow()
    if attempt.is_key_used:
        values["key_number"] = attempt.key_number + 1
    if not isinstance(error, Exception):  # interrupted: the next run goes on at once
        claim.write({**values, **FREE})
    elif gateway.is_about_our_key(error):  # other rows are tried first next time
        claim.write({**values, **FREE, "attempts": charge.attempts + 1})
    else:
        if charge.charge_attempt_failed and not attempt.only_pending:
            values["charge_attempt_failed"] = False  # its owner wants it to be tried again
        claim.postpone(values)


def leave_waiting(attempt: Attempt, intent: gateway.PaymentIntent) -> None:
    """End the claim of a payment that a bank decides, or that is captured later."""
    known = {"stripe_payment_intent_id": intent.id, "is_unsettled": True}
    sent_at = Coalesce("sent_at", DatabaseNow())
    attempt.claim.postpone({**known, "sent_at": sent_at}, slow=True)


def leave_unpaid(attempt: Attempt, intent: gateway.PaymentIntent | None) -> None:
    """End the claim of a row that is not paid, and is not to be paid now.

    Stripe is asked again while a customer may still complete the payment in a browser, or an
    earlier request may still be carried out.
    """
    charge, claim = attempt.charge, attempt.claim
    known = {"stripe_payment_intent_id": intent.id} if intent is not None else {}
    if not charge.is_unsettled:
        claim.give_back()
    elif intent is not None and intent.status == "canceled":
        claim.conclude(known)
    elif charge.charge_attempt_failed and charge.failure_code == NEEDS_AUTHENTICATION:
        claim.postpone(known, slow=True)
    elif not claim.conclude(known, Q(sent_at=None) | is_late()):
        claim.write({**known, **FREE, "retry_at": after(0, slow=True)})
