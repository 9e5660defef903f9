"""Collecting a charge exactly once, even if the process crashes in between.

A row has at most one payment intent that can still be paid. An unconfirmed intent moves no money,
and a confirmed one succeeds only once. So the intent's id is committed before the intent is
confirmed, and every later run reads that intent from Stripe before it does anything else.
https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError, StripeNoActiveCustomer
from aa_stripe.gateway import Meaning
from aa_stripe.models.charge.intent import (
    WAITING,
    confirm_intent,
    get_or_create_intent,
    is_new_failure,
    reject_charged,
    required_amount,
)
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.rows import (
    locked,
    reject_open_transaction,
    related,
    reread,
    root_model,
    stored,
    write_if,
)
from aa_stripe.settings import ALLOW, stripe_settings
from aa_stripe.signals import stripe_charge_card_exception, stripe_charge_requires_action

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge


def collect(
    charge: StripeCharge, metadata: dict[str, str], *, only_pending: bool = False
) -> gateway.Charge | None:
    """Collect ``charge``; return Stripe's charge, or ``None`` if no money has moved (yet).

    With ``only_pending``, skip a row that has failed or become manual since it was read.

    Raises ``StripeMethodNotAllowed`` if the row is charged or has no amount,
    ``StripeNoActiveCustomer`` if the user has no active customer, ``StripeUnknownCustomer`` if
    Stripe does not know the customer, ``StripeInTransaction`` inside a transaction,
    ``StripeInternalError`` if Stripe sent no usable response (the outcome stays unknown), and the
    SDK's own error if Stripe rejects the API key.
    """
    reject_open_transaction(charge)
    _save_changes(charge)
    if not _begin(charge, only_pending):
        return None
    try:
        intent = _pay(charge, metadata)
    except gateway.StripeError as error:
        _conclude(charge, error)
        return None
    return _record_success(charge, intent) if intent.status == "succeeded" else None


def _save_changes(charge: StripeCharge) -> None:
    """Save the unsaved changes of the object, unless the row has been charged meanwhile."""
    if charge._state.adding:
        charge.save()
    changed = charge.changed_fields()
    if not changed:
        return
    values = {name: getattr(charge, name) for name in changed}
    if not _write(charge, {"is_charged": False}, values):
        reject_charged(charge)


def _begin(charge: StripeCharge, only_pending: bool) -> bool:
    """Choose the customer and make the row pending; return whether to collect it.

    A failed row is committed as pending again, so that the command retries it after a crash.
    """
    with locked(charge):
        reject_charged(charge)
        required_amount(charge)
        if only_pending and (charge.charge_attempt_failed or charge.is_manual_charge):
            return False
        customer = StripeCustomer.latest_active(charge.user_id)
        if customer is None and not charge.stripe_payment_intent_id:
            raise StripeNoActiveCustomer
        charge.customer = customer or related(charge, "customer")
        charge.charge_attempt_failed = False
        if charge.changed_fields():
            charge.save()
    return True


def _pay(charge: StripeCharge, metadata: dict[str, str]) -> gateway.PaymentIntent:
    """Return the row's intent, which is paid or in a ``WAITING`` state; raise Stripe's error."""
    try:
        return _attempt(charge, metadata, look_first=_may_have_lost_an_intent(charge))
    except gateway.StripeError as error:
        if gateway.meaning_of(error) is not Meaning.OUTDATED:
            raise
    # Another worker was faster, or an earlier attempt used the key with other parameters.
    return _attempt(charge, metadata, look_first=True)


def _may_have_lost_an_intent(charge: StripeCharge) -> bool:
    """Return whether the row may have an intent at Stripe that its idempotency key cannot find."""
    return charge.key_may_be_forgotten() or stripe_settings.TRANSACTIONS == ALLOW


def _attempt(
    charge: StripeCharge, metadata: dict[str, str], *, look_first: bool
) -> gateway.PaymentIntent:
    paid = None
    while paid is None:  # until the row stays the same between the two requests
        intent = get_or_create_intent(charge, metadata, look_first=look_first)
        if intent.status == "succeeded" or intent.status in WAITING:
            return intent
        if intent.status == "canceled":
            raise gateway.canceled_at_stripe(intent)
        failure = intent.last_payment_error
        if failure is not None and is_new_failure(charge, failure):
            raise gateway.declined_as(failure)
        paid = confirm_intent(charge, intent)
    return paid


# Recording the outcome


def _conclude(charge: StripeCharge, error: gateway.StripeError) -> None:
    """Record a refusal by Stripe; raise any error that leaves the outcome unknown."""
    meaning = gateway.meaning_of(error)
    if meaning is Meaning.MISCONFIGURED:
        raise error
    if meaning in {Meaning.DECLINED, Meaning.REFUSED} or gateway.lacks_payment_method(error):
        _record_failure(charge, error)
        return
    raise StripeInternalError from error


def _record_failure(charge: StripeCharge, error: gateway.StripeError) -> None:
    """Mark the row as failed and send the signals once, unless it was charged meanwhile."""
    if write_failure(charge, error):
        announce_failure(charge, error)


def write_failure(charge: StripeCharge, error: gateway.StripeError) -> bool:
    """Mark the row as failed unless it has changed; return whether it was marked."""
    body = gateway.error_body(error)
    failed = {
        "charge_attempt_failed": True,
        "failure_code": gateway.error_code(error),
        "stripe_response": body,
    }
    failed_charge = body.get("error", {}).get("charge")
    if failed_charge:
        failed["stripe_charge_id"] = failed_charge
    as_tried = {
        "is_charged": False,
        "charge_attempt_failed": False,
        "failure_code": charge.failure_code,
        "stripe_charge_id": charge.stripe_charge_id,
    }
    return _write(charge, as_tried, failed)


def announce_failure(charge: StripeCharge, error: gateway.StripeError) -> None:
    """Send the signals of a failed charge, the second even if a receiver of the first raises."""
    arguments = {"sender": root_model(charge), "instance": charge, "exception": error}
    try:
        stripe_charge_card_exception.send(**arguments)
    finally:
        if gateway.error_code(error) == "authentication_required":
            stripe_charge_requires_action.send(**arguments)


def _record_success(charge: StripeCharge, intent: gateway.PaymentIntent) -> gateway.Charge:
    """Mark the row as charged and send the signals, each once across all processes."""
    collected = write_success(charge, intent)
    charge.send_due_signals()
    return collected


def write_success(charge: StripeCharge, intent: gateway.PaymentIntent) -> gateway.Charge:
    """Mark the row as charged, once; the signals become due, but are not sent."""
    collected = cast("gateway.Charge", intent.latest_charge)
    charged = {
        "is_charged": True,
        "charge_attempt_failed": False,
        "failure_code": "",
        "amount": intent.amount_received,
        "currency": intent.currency,
        "stripe_payment_intent_id": intent.id,
        "stripe_charge_id": collected.id,
        "stripe_response": gateway.to_json(collected),
        "amount_refunded": collected.amount_refunded,
        "is_refunded": collected.refunded,
        "signal_due": "refunded succeeded" if collected.amount_refunded else "succeeded",
    }
    customer = _customer_of(charge, intent)
    if customer is not None:
        charged["customer"] = customer
    _write(charge, {"is_charged": False}, charged)
    return collected


def _customer_of(charge: StripeCharge, intent: gateway.PaymentIntent) -> StripeCustomer | None:
    """Return the intent's customer, which need not be the user's latest any more."""
    customer: StripeCustomer | None = related(charge, "customer")
    if customer is not None and customer.stripe_customer_id == intent.customer:
        return customer
    known = stored(StripeCustomer).filter(stripe_customer_id=intent.customer)
    return known.filter(user_id=charge.user_id).last() or known.last()


def _write(charge: StripeCharge, expected: dict[str, Any], values: dict[str, Any]) -> bool:
    """Update the row as ``write_if`` does, then refresh the object."""
    is_written = write_if(charge, expected, {**values, "updated": timezone.now()})
    reread(charge)
    return is_written
