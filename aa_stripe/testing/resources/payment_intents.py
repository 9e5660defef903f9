"""``/v1/payment_intents``: payments, from creation to capture."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base import searching
from aa_stripe.testing.base.currencies import check_amount, check_currency, written
from aa_stripe.testing.base.descriptors import check_descriptors
from aa_stripe.testing.base.emails import check_email
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import Refusal, bad_parameter, invalid
from aa_stripe.testing.payments import cancellation, charges, confirmation, intents
from aa_stripe.testing.payments.intents import unexpected_state
from aa_stripe.testing.payments.payment_attempt import attempt, finish

COPIED = (
    "capture_method",
    "confirmation_method",
    "description",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)
EDITABLE_WHEN_OVER = ("description", "metadata", "receipt_email", "shipping", "transfer_group")
"""The fields that can be changed after the payment."""


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Create a PaymentIntent; with ``confirm``, confirm it immediately."""
    confirmation.reject_unsupported(params)
    confirmation.reject_without_confirm(params)
    currency = check_currency(params["currency"])
    check_amount(params["amount"], currency)
    check_descriptors(params)
    check_email(params, "receipt_email")
    fields = {
        "amount": params["amount"],
        "currency": currency,
        "metadata": merge({}, params.get("metadata")),
        **confirmation.ways_to_pay(params),
        **confirmation.chosen(account, "payment_intent", None, params),
        **_copied(params),
    }
    _reject_card_descriptor(fields, confirmation.named_types(params))

    intent = intents.create(account, "payment_intent", fields)
    if not params.get("confirm"):
        return intent
    # Use the intent's payment method: resolving pm_card_visa again would create another one.
    return _confirm(account, intent, {**params, "payment_method": intent["payment_method"]})


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one PaymentIntent."""
    return account.get("payment_intent", id)


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List PaymentIntents, optionally by customer."""
    intents.check_listed_customer(account, params)
    found = account.matching("payment_intent", params, by=("customer",))
    return page("/v1/payment_intents", found, params)


def search(account: Account, params: dict[str, Any]) -> JSON:
    """Find PaymentIntents by one value of their metadata; new ones after a minute."""
    found = account.all("payment_intent")
    return searching.search("/v1/payment_intents", found, params, now=account.now)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change a PaymentIntent; once paid or canceled, only its informational fields.

    An update clears ``last_payment_error``, as Stripe's description of that field states.
    """
    intent = account.get("payment_intent", id)
    confirmation.reject_unsupported(params)
    _reject_late_changes(intent, params)
    planned = {**intent, **params}
    currency = check_currency(planned["currency"])
    if {"amount", "currency"} & set(params):
        check_amount(planned["amount"], currency)
    check_descriptors(params)
    check_email(params, "receipt_email")
    if intent["automatic_payment_methods"] is None:
        _reject_card_descriptor(planned, intent["payment_method_types"])
    changes = {
        "amount": planned["amount"],
        "currency": currency,
        "metadata": merge(intent["metadata"], params.get("metadata")),
        **confirmation.chosen(account, "payment_intent", intent, params),
        **_copied(params),
    }

    intent.update(changes, last_payment_error=None)
    if "payment_method" in params:
        intent.update(status=intents.status_before_confirmation(intent), next_action=None)
    return intent


def confirm(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Confirm a PaymentIntent."""
    intent = account.get("payment_intent", id)
    confirmation.reject_unsupported(params)
    return _confirm(account, intent, params)


def capture(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Capture the reserved amount, or a part of it."""
    intent = account.get("payment_intent", id)
    if intent["status"] != "requires_capture":
        raise unexpected_state(
            intent,
            f"This PaymentIntent could not be captured because it has a status of "
            f"{intent['status']}. Only a PaymentIntent with one of the following statuses may be "
            "captured: requires_capture.",
        )
    amount = int(params.get("amount_to_capture") or intent["amount_capturable"])
    if not 1 <= amount <= intent["amount_capturable"]:
        raise _cannot_capture(intent, amount)
    metadata = merge(intent["metadata"], params.get("metadata"))

    intent["metadata"] = metadata
    charge = account.get("charge", intent["latest_charge"])
    charges.capture(account, charge, amount)
    finish(account, intent, charge)
    return intent


def cancel(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Cancel a PaymentIntent and release the reserved amount, if any."""
    intent = account.get("payment_intent", id)
    return cancellation.cancel(account, intent, reason=params.get("cancellation_reason"))


def _confirm(account: Account, intent: JSON, params: dict[str, Any]) -> JSON:
    if intent["status"] not in intents.OPEN:
        raise _cannot_confirm(intent)
    check_descriptors(params)
    method = confirmation.usable(account, intent, _method_id(account, intent, params))
    confirmation.reject_without_return_url(intent, params)
    _reject_card_descriptor(intent, ["card"])

    intent.update(_copied(params))
    off_session = bool(params.get("off_session"))
    may_authenticate = not (off_session or params.get("error_on_requires_action"))
    refusal = attempt(
        account, intent, method, off_session=off_session, may_authenticate=may_authenticate
    )
    if refusal is not None:
        raise refusal
    return intent


def _method_id(account: Account, intent: JSON, params: dict[str, Any]) -> str:
    """Return the id sent, the intent's own, or the customer's default source.

    Unverified: Stripe may also use the customer's default payment method.
    """
    chosen: str | None = params.get("payment_method") or intent["payment_method"]
    if chosen is None and intent["customer"] is not None:
        chosen = account.get("customer", intent["customer"], param="customer")["default_source"]
    if chosen is None:
        raise _nothing_to_confirm_with(intent)
    return chosen


def _copied(params: dict[str, Any]) -> JSON:
    return {name: params[name] or None for name in COPIED if name in params}


def _reject_late_changes(intent: JSON, params: dict[str, Any]) -> None:
    if intent["status"] in intents.OPEN:
        return
    for name in params:
        if name not in (*EDITABLE_WHEN_OVER, "expand"):
            raise unexpected_state(
                intent,
                f"This PaymentIntent's {name} could not be updated because it has a status of "
                f"{intent['status']}. You may only update the {name} of a PaymentIntent with one "
                f"of the following statuses: {', '.join(intents.OPEN)}.",
            )


def _reject_card_descriptor(intent: JSON, types: list[str]) -> None:
    """Raise a refusal if a card payment has a ``statement_descriptor``.

    https://docs.stripe.com/get-started/account/statement-descriptors
    """
    if not intent.get("statement_descriptor") or "card" not in types:
        return
    # Unverified: Stripe's wording.
    raise bad_parameter(
        "The statement_descriptor parameter is not supported for the card payment method type. "
        "Use statement_descriptor_suffix instead.",
        param="statement_descriptor",
    )


def _cannot_confirm(intent: JSON) -> Refusal:
    if intent["status"] == "succeeded":
        reason = "it has already succeeded after being previously confirmed."
    else:
        reason = (
            f"it has a status of {intent['status']}. Only a PaymentIntent with one of the "
            f"following statuses may be confirmed: {', '.join(intents.OPEN)}."
        )
    return unexpected_state(intent, f"You cannot confirm this PaymentIntent because {reason}")


def _nothing_to_confirm_with(intent: JSON) -> Refusal:
    advice = (
        "You can either update the PaymentIntent with a payment method and then confirm it again, "
        "or confirm it again directly with a payment method or ConfirmationToken."
        if intent["customer"] is None
        else f"To confirm the PaymentIntent with {intent['customer']}, specify a payment method "
        "attached to this customer along with the customer ID."
    )
    return unexpected_state(
        intent,
        f"You cannot confirm this PaymentIntent because it's missing a payment method. {advice}",
    )


def _cannot_capture(intent: JSON, amount: int) -> Refusal:
    if amount < 1:
        return bad_parameter(
            "This value must be greater than or equal to 1.",
            param="amount_to_capture",
            code="parameter_invalid_integer",
        )
    limit = written(intent["amount_capturable"], intent["currency"])
    return invalid(
        f"The amount to capture must be no more than {limit}.",
        code="amount_too_large",
        param="amount_to_capture",
    )
