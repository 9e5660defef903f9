"""The parameters that creating and updating a subscription share."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base import refusals
from aa_stripe.testing.base.refusals import bad_parameter, invalid
from aa_stripe.testing.billing import trials
from aa_stripe.testing.payments import payment_methods

UNSUPPORTED = {
    "add_invoice_items",
    "application_fee_percent",
    "automatic_tax",
    "backdate_start_date",
    "billing_cycle_anchor",
    "billing_cycle_anchor_config",
    "billing_mode",
    "billing_schedules",
    "billing_thresholds",
    "customer_account",
    "days_until_due",
    "on_behalf_of",
    "pending_invoice_item_interval",
    "proration_date",
    "transfer_data",
}
"""Parameters that change Stripe's behaviour, and that the fake does not support."""


def check_supported(params: dict[str, Any]) -> None:
    """Raise an error if the fake does not support one of the parameters."""
    refusals.reject_unsupported(params, UNSUPPORTED)
    if params.get("collection_method") == "send_invoice":
        raise bad_parameter(
            "FakeStripe does not support collection_method=send_invoice.",
            param="collection_method",
        )


def read(account: Account, customer: str, params: dict[str, Any]) -> JSON:
    """Return the subscription fields in ``params``, checked for ``customer``."""
    fields: JSON = {}
    if "description" in params:
        fields["description"] = params["description"] or None
    if "default_payment_method" in params:
        fields["default_payment_method"] = _method(account, customer, params)
    if "default_source" in params:
        fields["default_source"] = _source(account, customer, params)
    if "default_tax_rates" in params:
        fields["default_tax_rates"] = _tax_rates(account, params["default_tax_rates"] or [])
    if "trial_settings" in params:
        fields["trial_settings"] = trials.read_settings(params)
    return fields


def _method(account: Account, customer: str, params: dict[str, Any]) -> str | None:
    id = params["default_payment_method"]
    if not id:
        return None
    method = payment_methods.resolve(account, id, param="default_payment_method")
    if method["customer"] != customer:
        # Unverified: Stripe's error text.
        raise invalid(
            f"The customer does not have a payment method with the ID {id}. The payment method "
            "must be attached to the customer.",
            code="resource_missing",
            param="default_payment_method",
        )
    return str(method["id"])


def _source(account: Account, customer: str, params: dict[str, Any]) -> str | None:
    id = params["default_source"]
    if not id:
        return None
    card = account.find("card", id)
    if card is None or card["customer"] != customer:
        raise refusals.no_such("source", id, param="default_source")
    return str(id)


def _tax_rates(account: Account, ids: list[str]) -> list[JSON]:
    rates = [account.get("tax_rate", id, param="default_tax_rates") for id in ids]
    for rate in rates:
        if not rate["active"]:
            # Unverified: Stripe's error text.
            raise invalid(
                f"The tax rate {rate['id']} is inactive and cannot be used.",
                param="default_tax_rates",
            )
    return rates
