"""The payment intent of a charge: finding, creating, replacing and confirming it.

https://docs.stripe.com/api/payment_intents
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from aa_stripe import gateway
from aa_stripe.exceptions import (
    StripeInternalError,
    StripeMethodNotAllowed,
    StripeNoActiveCustomer,
    StripeUnknownCustomer,
    StripeWrongAccount,
)
from aa_stripe.models.charge.search import UUID_KEY, search
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.rows import locked, related

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

#: In the metadata of an intent that we cancel in order to replace it.
REPLACED_KEY = "aa_stripe_replaced"

#: In these states an intent waits for a bank, or for a manual capture.
WAITING = frozenset({"processing", "requires_capture"})


def get_or_create_intent(
    charge: StripeCharge, metadata: dict[str, str], *, look_first: bool
) -> gateway.PaymentIntent:
    """Return the charge's intent, its id committed to the row before it can be paid.

    With ``look_first``, also search Stripe for an intent whose id the row has lost.
    """
    with locked(charge):
        reject_charged(charge)
        intent = _find(charge, look_first=look_first)
        if intent is not None and _has_to_be_replaced(charge, intent):
            intent = _withdraw(intent)
        while intent is None or _may_be_replaced(charge, intent):
            intent = _create(charge, metadata, intent)
        if charge.stripe_payment_intent_id != intent.id:
            charge.stripe_payment_intent_id = intent.id
            charge.failure_code = ""  # of the previous intent
            charge.save()
        return intent


def confirm_intent(
    charge: StripeCharge, intent: gateway.PaymentIntent
) -> gateway.PaymentIntent | None:
    """Confirm the intent with the row's current values; return it as it is then.

    Returns ``None`` if the row has changed so that the intent has to be replaced.
    """
    with locked(charge):
        reject_charged(charge)
        if _has_to_be_replaced(charge, intent):
            return None
        payment_method = _customer(charge).payment_method_params()
        changes = _changes(charge, intent)
        if "customer" in changes:
            # An intent in requires_action keeps the old customer's card: send the new one's too.
            changes |= payment_method  # type: ignore[typeddict-item]
        if changes:
            gateway.update_payment_intent(intent.id, changes)
        intent = gateway.confirm_payment_intent(intent.id, payment_method)
    if intent.status == "requires_action":
        raise gateway.needs_authentication(intent)
    return intent


def is_replaced(intent: gateway.PaymentIntent) -> bool:
    """Return whether we canceled the intent in order to replace it, or were about to."""
    return REPLACED_KEY in gateway.metadata_of(intent)


def is_new_failure(charge: StripeCharge, failure: gateway.StripeObject) -> bool:
    """Return whether ``failure``, the last of an intent, is not yet recorded on the row.

    A declined payment is identified by its failed charge. A payment that lacks authentication
    has no charge, so it is identified by its error code and payment method.
    """
    reported = gateway.to_json(failure)
    if reported.get("charge"):
        return bool(reported["charge"] != charge.stripe_charge_id)
    recorded = charge.stripe_response.get("error", {}) if charge.failure_code else {}
    return _cause(reported) != _cause(recorded)


def _cause(failure: dict[str, Any]) -> tuple[str | None, str | None]:
    return failure.get("code"), (failure.get("payment_method") or {}).get("id")


# What a row needs to be collected


def reject_charged(charge: StripeCharge) -> None:
    if charge.is_charged:
        raise StripeMethodNotAllowed("Already charged.")


def required_amount(charge: StripeCharge) -> int:
    amount: int | None = charge.amount
    if amount is None:
        raise StripeMethodNotAllowed("The charge has no amount.")
    return amount


def _customer(charge: StripeCharge) -> StripeCustomer:
    """Return the customer chosen when collecting began; raise if it is no longer active."""
    customer: StripeCustomer | None = related(charge, "customer")
    if customer is None or not customer.is_active:
        raise StripeNoActiveCustomer
    return customer


# Finding the intent


def _find(charge: StripeCharge, *, look_first: bool) -> gateway.PaymentIntent | None:
    intent = None
    with _reading(charge):
        if charge.stripe_payment_intent_id:
            intent = gateway.retrieve_payment_intent(charge.stripe_payment_intent_id)
        if look_first and (intent is None or intent.status == "canceled"):
            return search(charge) or intent
    return intent


@contextmanager
def _reading(charge: StripeCharge) -> Iterator[None]:
    """Raise ``StripeInternalError`` for a failed read: it does not mean a failed payment."""
    try:
        yield
    except gateway.InvalidRequestError as error:
        if gateway.meaning_of(error) is gateway.Meaning.MISCONFIGURED:
            raise
        _reject_unknown_customer(charge, error)
        raise StripeInternalError from error


def _reject_unknown_customer(charge: StripeCharge, error: gateway.StripeError) -> None:
    """Raise ``StripeUnknownCustomer`` if Stripe does not know the customer of the charge either.

    If it does not know the newest other customer, the API key is wrong: ``StripeWrongAccount``.
    """
    customer: StripeCustomer | None = related(charge, "customer")
    if error.code != "resource_missing" or customer is None:
        return
    if gateway.find_customer(customer.stripe_customer_id) is not None:
        return
    newest = StripeCustomer.newest_other_than(customer)
    if newest is not None and gateway.find_customer(newest.stripe_customer_id) is not None:
        raise StripeUnknownCustomer(
            f"Stripe does not know the customer {customer}, but it knows {newest}."
        ) from error
    raise StripeWrongAccount(
        f"Stripe does not know the customer {customer}: the API key belongs to another account or "
        "mode (live or test) than the one that created it."
    ) from error


# Creating and replacing it


def _create(
    charge: StripeCharge, metadata: dict[str, str], replaced: gateway.PaymentIntent | None
) -> gateway.PaymentIntent:
    """Create an intent; if Stripe replays one that was canceled, return its successor if any."""
    try:
        created = gateway.create_payment_intent(
            _create_params(charge, metadata), idempotency_key=_key(charge, replaced)
        )
    except gateway.InvalidRequestError as error:
        _reject_unknown_customer(charge, error)
        raise
    if created.status != "canceled":
        return created
    # An earlier attempt created and canceled it, and the row has lost the id of its successor.
    with _reading(charge):
        found = search(charge)
    return created if found is None or found.status == "canceled" else found


def _key(charge: StripeCharge, replaced: gateway.PaymentIntent | None) -> str:
    return str(charge.uuid) if replaced is None else f"{charge.uuid}-{replaced.id}"


def _has_to_be_replaced(charge: StripeCharge, intent: gateway.PaymentIntent) -> bool:
    """Return whether the intent can still be paid, but an update cannot make it match the row.

    Stripe rejects an empty statement descriptor. Unverified: that it also rejects an empty
    description, and a change of the currency.
    """
    if intent.status in {"succeeded", "canceled", *WAITING}:
        return False
    loses_text = (intent.description and not charge.description) or (
        intent.statement_descriptor_suffix and not charge.statement_descriptor
    )
    return bool(loses_text) or intent.currency != charge.currency.lower()


def _withdraw(intent: gateway.PaymentIntent) -> gateway.PaymentIntent:
    """Cancel the intent, after marking it so that a later run knows that we canceled it."""
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


def _create_params(
    charge: StripeCharge, metadata: dict[str, str]
) -> gateway.PaymentIntentCreateParams:
    params: gateway.PaymentIntentCreateParams = {
        "amount": required_amount(charge),
        "currency": charge.currency.lower(),
        "customer": _customer(charge).stripe_customer_id,
        "metadata": {**metadata, UUID_KEY: str(charge.uuid)},
        # Off session there is no page to return to, so redirecting methods cannot be confirmed.
        # https://docs.stripe.com/api/payment_intents/create
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    }
    if charge.description:
        params["description"] = charge.description
    if charge.statement_descriptor:
        params["statement_descriptor_suffix"] = charge.statement_descriptor
    return params


def _update_params(charge: StripeCharge) -> gateway.PaymentIntentUpdateParams:
    """Return everything that can be changed while the intent is unpaid.

    Stripe rejects the full statement descriptor for cards; only the suffix can be chosen.
    https://docs.stripe.com/get-started/account/statement-descriptors
    """
    return {
        "amount": required_amount(charge),
        "customer": _customer(charge).stripe_customer_id,
        "description": charge.description,
        "statement_descriptor_suffix": charge.statement_descriptor,
    }


def _changes(
    charge: StripeCharge, intent: gateway.PaymentIntent
) -> gateway.PaymentIntentUpdateParams:
    """Return the parameters in which the row differs from the intent."""
    known = gateway.to_json(intent)
    changes: Any = {
        name: value
        for name, value in _update_params(charge).items()
        if (known.get(name) or "") != value
    }
    if is_replaced(intent):
        changes["metadata"] = {REPLACED_KEY: ""}
    return cast("gateway.PaymentIntentUpdateParams", changes)
