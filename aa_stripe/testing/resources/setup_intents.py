"""``/v1/setup_intents``: saving cards for later payments."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.payments import confirmation, intents
from aa_stripe.testing.payments.intents import unexpected_state
from aa_stripe.testing.payments.setup_attempt import attempt


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Create a SetupIntent; with ``confirm``, confirm it immediately."""
    confirmation.reject_unsupported(params)
    confirmation.reject_without_confirm(params)
    fields = {
        "metadata": merge({}, params.get("metadata")),
        "description": params.get("description"),
        "usage": params.get("usage", "off_session"),
        **confirmation.ways_to_pay(params),
        **confirmation.chosen(account, "setup_intent", None, params),
    }

    intent = intents.create(account, "setup_intent", fields)
    if not params.get("confirm"):
        return intent
    # Use the intent's payment method: resolving pm_card_visa again would create another one.
    return _confirm(account, intent, {**params, "payment_method": intent["payment_method"]})


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one SetupIntent."""
    return account.get("setup_intent", id)


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List SetupIntents, optionally by customer or payment method."""
    intents.check_listed_customer(account, params)
    found = account.matching("setup_intent", params, by=("customer", "payment_method"))
    return page("/v1/setup_intents", found, params)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change a SetupIntent."""
    intent = account.get("setup_intent", id)
    confirmation.reject_unsupported(params)
    metadata = merge(intent["metadata"], params.get("metadata"))
    chosen = confirmation.chosen(account, "setup_intent", intent, params)
    intent.update(chosen, metadata=metadata)
    intent["description"] = params.get("description", intent["description"])
    if "payment_method" in params:
        intent["status"] = intents.status_before_confirmation(intent)
    return intent


def confirm(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Confirm a SetupIntent."""
    intent = account.get("setup_intent", id)
    confirmation.reject_unsupported(params)
    return _confirm(account, intent, params)


def cancel(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Cancel a SetupIntent."""
    intent = account.get("setup_intent", id)
    if intent["status"] not in intents.OPEN:
        raise unexpected_state(
            intent,
            "You cannot cancel this SetupIntent because it has a status of "
            f"{intent['status']}. Only a SetupIntent with one of the following statuses may be "
            f"canceled: {', '.join(intents.OPEN)}.",
        )
    intent.update(
        status="canceled", cancellation_reason=params.get("cancellation_reason"), next_action=None
    )
    account.emit("setup_intent.canceled", intent)
    return intent


def _confirm(account: Account, intent: JSON, params: dict[str, Any]) -> JSON:
    chosen = params.get("payment_method") or intent["payment_method"]
    if chosen is None:
        raise unexpected_state(
            intent,
            "You cannot confirm this SetupIntent because it's missing a payment method. You can "
            "either update the SetupIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method or ConfirmationToken.",
        )
    if intent["status"] not in intents.OPEN:
        raise unexpected_state(
            intent,
            f"You cannot confirm this SetupIntent because it has a status of {intent['status']}.",
        )
    method = confirmation.usable(account, intent, chosen)
    confirmation.reject_without_return_url(intent, params)

    refusal = attempt(account, intent, method)
    if refusal is not None:
        raise refusal
    return intent
