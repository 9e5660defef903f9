"""The payment intent of a charge: finding, creating, replacing and confirming it.

https://docs.stripe.com/api/payment_intents
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError
from aa_stripe.models.charge.attempt import Attempt
from aa_stripe.models.charge.search import UUID_KEY, search
from aa_stripe.models.claims import is_late, numbered_key

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

#: In the metadata of an intent that we cancel in order to replace it.
REPLACED_KEY = "aa_stripe_replaced"

#: In these states an intent waits for a bank, or for a manual capture.
WAITING = frozenset({"processing", "requires_capture"})

#: In these states an update or a confirmation has no effect.
FIXED = frozenset({"succeeded", "canceled", *WAITING})


def find_intent(attempt: Attempt) -> gateway.PaymentIntent | None:
    """Return the row's intent as it is at Stripe; ``None`` if the row has none."""
    charge = attempt.charge
    intent = None
    if charge.stripe_payment_intent_id:
        with _reading(attempt):
            intent = gateway.retrieve_payment_intent(charge.stripe_payment_intent_id)
    if attempt.look_first and (intent is None or intent.status == "canceled"):
        return _search(attempt) or intent
    return intent


def prepare_intent(attempt: Attempt, intent: gateway.PaymentIntent | None) -> gateway.PaymentIntent:
    """Return the intent to confirm.

    It is created if there is none, and replaced if it was canceled or cannot be made to match the
    row. Its id is committed; if no payment was tried yet, only when the claim is renewed.
    """
    charge = attempt.charge
    known: str = charge.stripe_payment_intent_id
    if intent is not None:
        intent = _fitting(attempt, intent)
    while intent is None or _may_be_replaced(charge, intent):
        intent = _create(attempt, intent)
    if intent.id != known:
        found = {"stripe_payment_intent_id": intent.id, "key_number": attempt.key_number}
        # The failure was that of the previous intent.
        attempt.new_intent = {**found, "failure_code": ""}
        if not _is_untried(intent):
            attempt.write_intent()
    return intent


def confirm_intent(attempt: Attempt, intent: gateway.PaymentIntent) -> gateway.PaymentIntent:
    """Confirm the intent with the row's current values; return it as it is then.

    The claim is renewed just before: if another process holds it by now, or the row has changed
    since it was read, ``RowChanged`` is raised and nothing is confirmed.
    """
    with attempt.keeping_intent():
        payment_method = attempt.payment_method_params()
        _update(attempt, intent, payment_method)
        attempt.renew()
    key = f"{_creation_key(attempt)}-confirm"
    with attempt.using_key():
        intent = gateway.confirm_payment_intent(intent.id, payment_method, idempotency_key=key)
    if intent.status == "requires_action":
        raise gateway.needs_authentication(intent)
    return intent


def _update(
    attempt: Attempt,
    intent: gateway.PaymentIntent,
    payment_method: gateway.PaymentIntentConfirmParams,
) -> None:
    """Make the intent match the row."""
    changes = _changes(attempt, intent)
    if not changes:
        return
    if "customer" in changes:
        # An intent in requires_action keeps the old customer's card: send the new one's too.
        changes |= payment_method  # type: ignore[typeddict-item]
    attempt.write_intent()
    attempt.has_sent = True
    gateway.update_payment_intent(intent.id, changes)


def _is_untried(intent: gateway.PaymentIntent) -> bool:
    """Return whether no payment of the intent was tried yet."""
    is_open = intent.status in {"requires_payment_method", "requires_confirmation"}
    return is_open and intent.last_payment_error is None


def is_replaced(intent: gateway.PaymentIntent) -> bool:
    """Return whether we canceled the intent in order to replace it, or were about to."""
    return REPLACED_KEY in gateway.metadata_of(intent)


# Finding the intent


@contextmanager
def _reading(attempt: Attempt) -> Iterator[None]:
    """Raise ``StripeInternalError`` for a failed read: it does not mean a failed payment."""
    try:
        yield
    except gateway.InvalidRequestError as error:
        if gateway.meaning_of(error) is gateway.Meaning.MISCONFIGURED:
            raise
        attempt.reject_unknown_customer(error)
        raise StripeInternalError from error


def _search(attempt: Attempt) -> gateway.PaymentIntent | None:
    with _reading(attempt):
        return search(attempt.charge)


# Creating and replacing it


def _create(attempt: Attempt, replaced: gateway.PaymentIntent | None) -> gateway.PaymentIntent:
    """Create an intent; if Stripe replays one that was canceled, return its successor if any."""
    if replaced is not None:
        attempt.key_number += 1
    created = _created(attempt)
    if created.status != "canceled":
        return created
    # An earlier attempt created and canceled it, and the row has lost the id of its successor.
    found = _search(attempt)
    return created if found is None or found.status == "canceled" else _fitting(attempt, found)


def _created(attempt: Attempt) -> gateway.PaymentIntent:
    """Create an intent, or find that of an earlier attempt with other parameters.

    Stripe keeps the parameters of a key for a day. If nothing is found and no request can be on
    its way any more, other keys are used: an unconfirmed intent moves no money.
    """
    try:
        return _send(attempt)
    except gateway.IdempotencyError as error:
        found = _search(attempt)
        if found is not None:
            return _fitting(attempt, found)
        next_number = attempt.key_number + 1
        if not attempt.claim.write({"key_number": next_number}, is_late()):
            raise StripeInternalError from error
    attempt.key_number = next_number
    return _send(attempt)


def _send(attempt: Attempt) -> gateway.PaymentIntent:
    params, key = _create_params(attempt), _creation_key(attempt)
    with attempt.using_key():
        return gateway.create_payment_intent(params, idempotency_key=key)


def _creation_key(attempt: Attempt) -> str:
    return numbered_key(attempt.charge.uuid, attempt.key_number)


def _fitting(attempt: Attempt, intent: gateway.PaymentIntent) -> gateway.PaymentIntent:
    """Return an earlier attempt's intent; cancel it first if it cannot be made to match the row.

    An intent that this attempt has created is not checked. Unverified: that Stripe stores each text
    as it was sent. If it does not, such an intent never matches, and would be replaced without end.
    """
    return _withdraw(attempt, intent) if _has_to_be_replaced(attempt, intent) else intent


def _has_to_be_replaced(attempt: Attempt, intent: gateway.PaymentIntent) -> bool:
    """Return whether the intent can still be paid, but an update cannot make it match the row.

    An update has no idempotency key. If an earlier one may still arrive, it could undo this one.

    Stripe rejects an empty statement descriptor. Unverified: that it also rejects an empty
    description, and a change of the currency.
    """
    charge = attempt.charge
    if intent.status in FIXED:
        return False
    if attempt.may_arrive() and _changes(attempt, intent):
        return True
    loses_text = (intent.description and not charge.description) or (
        intent.statement_descriptor_suffix and not charge.statement_descriptor
    )
    return bool(loses_text) or intent.currency != charge.currency.lower()


def _withdraw(attempt: Attempt, intent: gateway.PaymentIntent) -> gateway.PaymentIntent:
    """Cancel the intent, after marking it so that a later run knows that we canceled it."""
    attempt.has_sent = True
    gateway.update_payment_intent(intent.id, {"metadata": {REPLACED_KEY: "true"}})
    return gateway.cancel_payment_intent(intent.id)


def _may_be_replaced(charge: StripeCharge, intent: gateway.PaymentIntent) -> bool:
    """Return whether a canceled intent gets a successor.

    It does if we canceled it. If it was canceled at Stripe, it does once that failure is
    recorded on the row and the row is collected again.
    """
    if intent.status != "canceled":
        return False
    return is_replaced(intent) or charge.failure_code == "canceled"


# The intent's parameters


def _create_params(attempt: Attempt) -> gateway.PaymentIntentCreateParams:
    charge = attempt.charge
    params: gateway.PaymentIntentCreateParams = {
        "amount": attempt.amount(),
        "currency": charge.currency.lower(),
        "customer": attempt.payer().stripe_customer_id,
        "metadata": {**attempt.metadata, UUID_KEY: str(charge.uuid)},
        # Off session there is no page to return to, so redirecting methods cannot be confirmed.
        # https://docs.stripe.com/api/payment_intents/create
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    }
    if charge.description:
        params["description"] = charge.description
    if charge.statement_descriptor:
        params["statement_descriptor_suffix"] = charge.statement_descriptor
    if charge.receipt_email:
        params["receipt_email"] = charge.receipt_email
    return params


def _update_params(attempt: Attempt) -> gateway.PaymentIntentUpdateParams:
    """Return everything that can be changed while the intent is unpaid.

    Stripe rejects the full statement descriptor for cards; only the suffix can be chosen.
    https://docs.stripe.com/get-started/account/statement-descriptors
    """
    return {
        "amount": attempt.amount(),
        "customer": attempt.payer().stripe_customer_id,
        "description": attempt.charge.description,
        "statement_descriptor_suffix": attempt.charge.statement_descriptor,
        "receipt_email": attempt.charge.receipt_email,
    }


def _changes(attempt: Attempt, intent: gateway.PaymentIntent) -> gateway.PaymentIntentUpdateParams:
    """Return the parameters in which the row differs from the intent."""
    changes: Any = {
        name: value
        for name, value in _update_params(attempt).items()
        if (getattr(intent, name, None) or "") != value
    }
    if is_replaced(intent):
        changes["metadata"] = {REPLACED_KEY: ""}
    return cast("gateway.PaymentIntentUpdateParams", changes)
