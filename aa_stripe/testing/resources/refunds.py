"""``/v1/refunds``."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.currencies import written
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import bad_parameter, invalid, no_such
from aa_stripe.testing.payments import refunds


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Refund ``amount`` (smallest unit) of a charge; by default the unrefunded amount."""
    charge = _charge(account, params)
    _check_amount(params.get("amount"), charge)
    left = charge["amount_captured"] - charge["amount_refunded"]
    amount = params.get("amount", left)
    metadata = merge({}, params.get("metadata"))
    return refunds.make(account, charge, amount, metadata=metadata, reason=params.get("reason"))


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one refund."""
    return account.get("refund", id)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change the metadata."""
    refund = account.get("refund", id)
    before = dict(refund)
    refund["metadata"] = merge(refund["metadata"], params.get("metadata"))
    account.emit("refund.updated", refund, before=before)
    return refund


def cancel(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Cancel a refund that requires an action; raise a refusal for other statuses."""
    refund = account.get("refund", id)
    if refund["status"] != "requires_action":
        raise invalid(
            f"Refund {id} cannot be canceled because it has a status of {refund['status']}. Only "
            "refunds with a status of requires_action can be canceled."
        )
    return refunds.settle(account, refund, "canceled")


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List refunds, optionally by charge or PaymentIntent."""
    found = account.matching("refund", params, by=("charge", "payment_intent"))
    return page("/v1/refunds", found, params)


def list_of_charge(account: Account, params: dict[str, Any], charge: str) -> JSON:
    """List the refunds of the charge in the path."""
    account.get("charge", charge)
    return page(f"/v1/charges/{charge}/refunds", refunds.of(account, charge), params)


def retrieve_of_charge(account: Account, params: dict[str, Any], charge: str, id: str) -> JSON:
    """Return one refund of a charge."""
    refund = account.get("refund", id)
    if refund["charge"] != charge:
        raise no_such("refund", id)
    return refund


def _charge(account: Account, params: dict[str, Any]) -> JSON:
    if "charge" in params:
        # An unknown charge is a 404, as if it were in the path.
        # https://github.com/stripe/stripe-node/issues/639
        return _refundable(account, account.get("charge", params["charge"]))
    if "payment_intent" not in params:
        raise bad_parameter(
            "One of the following params should be provided for this request: payment_intent or "
            "charge.",
            code="parameter_missing",
        )
    intent = account.get("payment_intent", params["payment_intent"], param="payment_intent")
    latest = account.find("charge", intent["latest_charge"] or "")
    if latest is None:
        raise invalid(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        )
    return _refundable(account, latest)


def _refundable(account: Account, charge: JSON) -> JSON:
    if charge["status"] != "succeeded" or not charge["captured"]:
        # Unverified: Stripe's wording for a legacy charge without a PaymentIntent.
        raise invalid(
            f"This PaymentIntent ({charge['payment_intent']}) does not have a successful charge "
            "to refund."
        )
    if charge["refunded"]:
        raise invalid(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    return charge


def _check_amount(amount: int | None, charge: JSON) -> None:
    if amount is None:
        return
    if amount < 1:
        raise bad_parameter(
            "This value must be greater than or equal to 1.",
            param="amount",
            code="parameter_invalid_integer",
        )
    left = charge["amount_captured"] - charge["amount_refunded"]
    if amount > left:
        requested, remaining = (
            written(amount, charge["currency"]),
            written(left, charge["currency"]),
        )
        raise invalid(
            f"Refund amount ({requested}) is greater than unrefunded amount on charge "
            f"({remaining})",
            param="amount",
        )
