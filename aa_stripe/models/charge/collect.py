"""Collecting a charge exactly once, whatever crashes in between.

A row has at most one payment intent that can still be paid. An intent that was not confirmed
moves no money, and a confirmed one succeeds only once; so the intent's id is committed before
it is confirmed, and whoever comes later asks Stripe about it before anything else.
https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.exceptions import (
    StripeInternalError,
    StripeMethodNotAllowed,
    StripeNoActiveCustomer,
)
from aa_stripe.gateway import Meaning
from aa_stripe.models.customer.model import StripeCustomer
from aa_stripe.models.rows import locked, reread, write_if
from aa_stripe.signals import stripe_charge_card_exception, stripe_charge_requires_action

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

#: How far Stripe's clock and ours may differ.
CLOCK_SKEW = timedelta(hours=1)

#: In the metadata of every intent: the ``uuid`` of the row it is paid for.
UUID_KEY = "aa_stripe_charge_uuid"

#: In the metadata of an intent that we cancel to make another in its place.
REPLACED_KEY = "aa_stripe_replaced"

#: In these states an intent waits for somebody else: a bank, or a capture by hand.
WAITING = frozenset({"processing", "requires_capture"})


def collect(
    charge: StripeCharge, metadata: dict[str, str], *, only_pending: bool = False
) -> gateway.Charge | None:
    """Collect ``charge``; return Stripe's charge, or ``None`` when no money has moved (yet).

    With ``only_pending`` a row that failed or was kept for a person meanwhile is left alone
    (``None``).

    Raises ``StripeMethodNotAllowed`` when the row is charged or has no amount,
    ``StripeNoActiveCustomer`` when there is nobody to collect from, ``StripeInternalError`` when
    Stripe gave no usable answer (nothing is concluded then), and the SDK's own error when our
    key is refused.
    """
    _save_changes(charge)
    if not _begin(charge, only_pending):
        return None
    try:
        intent = _pay(charge, metadata)
    except gateway.StripeError as error:
        _conclude(charge, error)
        return None
    return record_success(charge, intent) if intent.status == "succeeded" else None


def _save_changes(charge: StripeCharge) -> None:
    """Save what was changed on the object in hand, unless the row is charged by now."""
    if charge._state.adding:
        charge.save()
    changed = charge.changed_fields()
    if not changed:
        return
    values = {name: getattr(charge, name) for name in changed}
    if not _write(charge, {"is_charged": False}, values):
        _refuse_charged(charge)


def _begin(charge: StripeCharge, only_pending: bool) -> bool:
    """Choose who pays; commit that a failed row is tried again, so that a crash leaves it to
    the command. Return whether there is anything to collect."""
    with locked(charge):
        _refuse_charged(charge)
        _amount(charge)
        if only_pending and (charge.charge_attempt_failed or charge.is_manual_charge):
            return False
        customer = StripeCustomer.latest_active(charge.user_id)
        if customer is None and not charge.stripe_payment_intent_id:
            raise StripeNoActiveCustomer
        charge.customer = customer or charge.customer
        charge.charge_attempt_failed = False
        if charge.changed_fields():
            charge.save()
    return True


def _payer(charge: StripeCharge) -> StripeCustomer:
    """The customer chosen when collecting began, unless it may not be charged (any more)."""
    if charge.customer is None or not charge.customer.is_active:
        raise StripeNoActiveCustomer
    return charge.customer


def _amount(charge: StripeCharge) -> int:
    if charge.amount is None:
        raise StripeMethodNotAllowed("The charge has no amount.")
    return charge.amount


def _refuse_charged(charge: StripeCharge) -> None:
    if charge.is_charged:
        raise StripeMethodNotAllowed("Already charged.")


def _pay(charge: StripeCharge, metadata: dict[str, str]) -> gateway.PaymentIntent:
    """The row's intent: paid, or waiting for somebody else. Raises what Stripe refused."""
    try:
        return _try(charge, metadata, look_first=charge.key_may_be_forgotten())
    except gateway.StripeError as error:
        if gateway.meaning_of(error) is not Meaning.OUTDATED:
            raise
    # Another worker was faster, or an earlier try said something else: see what there is now.
    return _try(charge, metadata, look_first=True)


def _try(
    charge: StripeCharge, metadata: dict[str, str], *, look_first: bool
) -> gateway.PaymentIntent:
    paid = None
    while paid is None:  # somebody changed the currency in between: begin again
        intent = _open(charge, metadata, look_first=look_first)
        if intent.status == "succeeded" or intent.status in WAITING:
            return intent
        if intent.status == "canceled":
            raise gateway.canceled_at_stripe(intent)
        failure = intent.last_payment_error
        if failure is not None and is_news(charge, failure):
            raise gateway.declined_as(failure)
        paid = _confirm(charge, intent)
    return paid


# The intent


def _open(
    charge: StripeCharge, metadata: dict[str, str], *, look_first: bool
) -> gateway.PaymentIntent:
    """The row's intent, its id committed to the row before anything can be paid with it."""
    with locked(charge):
        _refuse_charged(charge)
        intent = _find(charge, look_first=look_first)
        if intent is not None and _is_in_other_currency(charge, intent):
            intent = _withdraw(intent)
        while intent is None or _may_be_replaced(charge, intent):
            intent = _made(charge, metadata, intent)
        if charge.stripe_payment_intent_id != intent.id:
            charge.stripe_payment_intent_id = intent.id
            charge.failure_code = ""  # it was the other intent's
            charge.save()
        return intent


def _made(
    charge: StripeCharge, metadata: dict[str, str], replaced: gateway.PaymentIntent | None
) -> gateway.PaymentIntent:
    """A new intent, or what became of the one that its key has made before."""
    made = gateway.create_payment_intent(
        _terms_of_new(charge, metadata), idempotency_key=_key(charge, replaced)
    )
    if made.status != "canceled":
        return made
    # An earlier try has made and canceled it, and the row has lost what came after.
    with _reading():
        found = _search(charge)
    return made if found is None or found.status == "canceled" else found


def _find(charge: StripeCharge, *, look_first: bool) -> gateway.PaymentIntent | None:
    """The row's intent by its id; with ``look_first`` also one whose id the row has lost."""
    intent = None
    with _reading():
        if charge.stripe_payment_intent_id:
            intent = gateway.retrieve_payment_intent(charge.stripe_payment_intent_id)
        if look_first and (intent is None or intent.status == "canceled"):
            return _search(charge) or intent
    return intent


@contextmanager
def _reading() -> Iterator[None]:
    """Whatever Stripe refuses to show, the payment is not refused by that."""
    try:
        yield
    except gateway.InvalidRequestError as error:
        raise StripeInternalError from error


def _search(charge: StripeCharge) -> gateway.PaymentIntent | None:
    """The intent that names the row in its metadata; one that is paid before any other, and one
    that can be before one that is canceled."""
    found = [
        intent
        for customer_id in StripeCustomer.stripe_ids_of(charge.user_id)
        for intent in _intents_of(customer_id, since=charge.created - CLOCK_SKEW)
        if gateway.metadata_of(intent).get(UUID_KEY) == str(charge.uuid)
    ]
    return min(found, key=_rank, default=None)


def _intents_of(customer_id: str, since: datetime) -> Iterator[gateway.PaymentIntent]:
    """The customer's intents; none for a customer of another account, or of the other mode."""
    try:
        yield from gateway.payment_intents(customer_id, int(since.timestamp()))
    except gateway.InvalidRequestError as error:
        if error.code != "resource_missing":
            raise


def _rank(intent: gateway.PaymentIntent) -> int:
    if intent.status == "succeeded":
        return 0
    return 2 if intent.status == "canceled" else 1


def _is_in_other_currency(charge: StripeCharge, intent: gateway.PaymentIntent) -> bool:
    is_open = intent.status not in {"succeeded", "canceled", *WAITING}
    return is_open and intent.currency != charge.currency.lower()


def _withdraw(intent: gateway.PaymentIntent) -> gateway.PaymentIntent:
    """Cancel the intent, marked first, so that the next run knows who did it."""
    gateway.update_payment_intent(intent.id, {"metadata": {REPLACED_KEY: "true"}})
    return gateway.cancel_payment_intent(intent.id)


def _may_be_replaced(charge: StripeCharge, intent: gateway.PaymentIntent) -> bool:
    """Canceled by us, or by somebody else and somebody asked for the money again since."""
    if intent.status != "canceled":
        return False
    return is_replaced(intent) or charge.failure_code == "canceled"


def is_replaced(intent: gateway.PaymentIntent) -> bool:
    """Whether it was us who canceled it, or were about to."""
    return REPLACED_KEY in gateway.metadata_of(intent)


def _key(charge: StripeCharge, replaced: gateway.PaymentIntent | None) -> str:
    return str(charge.uuid) if replaced is None else f"{charge.uuid}-{replaced.id}"


def _terms_of_new(
    charge: StripeCharge, metadata: dict[str, str]
) -> gateway.PaymentIntentCreateParams:
    params: gateway.PaymentIntentCreateParams = {
        "amount": _amount(charge),
        "currency": charge.currency.lower(),
        "customer": _payer(charge).stripe_customer_id,
        "metadata": {**metadata, UUID_KEY: str(charge.uuid)},
        # Without a page to come back to, only methods that need none can be confirmed.
        # https://docs.stripe.com/api/payment_intents/create
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    }
    if charge.description:
        params["description"] = charge.description
    if charge.statement_descriptor:
        params["statement_descriptor_suffix"] = charge.statement_descriptor
    return params


def _terms(charge: StripeCharge) -> gateway.PaymentIntentUpdateParams:
    """What may change while the intent is unpaid.

    The whole statement descriptor is refused for cards, which leaves the suffix to choose.
    https://docs.stripe.com/get-started/account/statement-descriptors
    """
    return {
        "amount": _amount(charge),
        "customer": _payer(charge).stripe_customer_id,
        "description": charge.description,
        "statement_descriptor_suffix": charge.statement_descriptor,
    }


def is_news(charge: StripeCharge, failure: gateway.StripeObject) -> bool:
    """Whether the intent's last failure is one that the row does not tell of yet.

    A declined payment has a charge of its own to be known by; one that lacks authentication has
    none, so its code and its card have to do.
    """
    reported = gateway.to_json(failure)
    if reported.get("charge"):
        return bool(reported["charge"] != charge.stripe_charge_id)
    recorded = charge.stripe_response.get("error", {}) if charge.failure_code else {}
    return _cause(reported) != _cause(recorded)


def _cause(failure: dict[str, Any]) -> tuple[str | None, str | None]:
    return failure.get("code"), (failure.get("payment_method") or {}).get("id")


def _confirm(charge: StripeCharge, intent: gateway.PaymentIntent) -> gateway.PaymentIntent | None:
    """The intent, confirmed on the row's terms; ``None`` if it cannot take these any more."""
    with locked(charge):
        _refuse_charged(charge)
        if _is_in_other_currency(charge, intent):
            return None
        payment_method = _payer(charge).payment_method_params()
        changes = _changes(charge, intent)
        if "customer" in changes:
            # An intent that waits for its customer holds a card, which the new one must bring.
            changes |= payment_method  # type: ignore[typeddict-item]
        if changes:
            gateway.update_payment_intent(intent.id, changes)
        intent = gateway.confirm_payment_intent(intent.id, payment_method)
    if intent.status == "requires_action":
        raise gateway.needs_authentication(intent)
    return intent


def _changes(
    charge: StripeCharge, intent: gateway.PaymentIntent
) -> gateway.PaymentIntentUpdateParams:
    """What the row says differently now than the intent."""
    known = gateway.to_json(intent)
    changes: Any = {
        name: value for name, value in _terms(charge).items() if (known.get(name) or "") != value
    }
    if is_replaced(intent):
        changes["metadata"] = {REPLACED_KEY: ""}
    return cast("gateway.PaymentIntentUpdateParams", changes)


# What comes of it


def _conclude(charge: StripeCharge, error: gateway.StripeError) -> None:
    """Record a refusal; raise what says nothing about the payment."""
    meaning = gateway.meaning_of(error)
    if meaning is Meaning.MISCONFIGURED:
        raise error
    if meaning in {Meaning.DECLINED, Meaning.REFUSED} or gateway.lacks_payment_method(error):
        record_failure(charge, error)
        return
    raise StripeInternalError from error


def record_failure(charge: StripeCharge, error: gateway.StripeError) -> None:
    """Mark the row as failed and say so once, unless the money was collected meanwhile."""
    if write_failure(charge, error):
        announce_failure(charge, error)


def write_failure(charge: StripeCharge, error: gateway.StripeError) -> bool:
    """Mark the row as failed; whether it had not changed since it was read."""
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
    about = {"sender": type(charge), "instance": charge, "exception": error}
    try:
        stripe_charge_card_exception.send(**about)
    finally:
        if gateway.error_code(error) == "authentication_required":
            stripe_charge_requires_action.send(**about)


def record_success(charge: StripeCharge, intent: gateway.PaymentIntent) -> gateway.Charge:
    """Mark the row as charged and say so, each once, whoever else is doing the same."""
    collected = write_success(charge, intent)
    charge.send_due_signals()
    return collected


def write_success(charge: StripeCharge, intent: gateway.PaymentIntent) -> gateway.Charge:
    """Mark the row as charged, once; the signals stay due."""
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
    payer = _who_paid(charge, intent)
    if payer is not None:
        charged["customer"] = payer
    _write(charge, {"is_charged": False}, charged)
    return collected


def _who_paid(charge: StripeCharge, intent: gateway.PaymentIntent) -> StripeCustomer | None:
    """The intent's customer; the user's latest may be another one by now."""
    if charge.customer is not None and charge.customer.stripe_customer_id == intent.customer:
        return charge.customer
    known = StripeCustomer.objects.filter(user_id=charge.user_id)
    return known.filter(stripe_customer_id=intent.customer).last()


def _write(charge: StripeCharge, expected: dict[str, Any], values: dict[str, Any]) -> bool:
    """``write_if``, the object in hand being as the row is afterwards."""
    is_written = write_if(charge, expected, {**values, "updated": timezone.now()})
    reread(charge)
    return is_written
