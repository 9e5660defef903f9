"""Erased rows: what stays of them, and of Stripe's objects in them.

A row stays erased: what Stripe says about it later is reduced before it is written.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar
from uuid import UUID

from django.db import models

from aa_stripe.settings import stripe_settings

#: The keys of Stripe's objects that stay, at any depth: they identify an object, a payment or a
#: state, and no person. What is not listed is erased, also a key that Stripe adds one day.
KEPT = frozenset(
    {
        # objects at Stripe
        *("id", "object", "type", "customer", "charge", "payment_intent", "latest_charge"),
        *("balance_transaction", "failure_balance_transaction", "payment_method", "invoice"),
        *("latest_invoice", "subscription", "refund", "dispute", "setup_intent", "transfer"),
        *("plan", "price", "product", "account", "api_version"),
        # amounts
        *("amount", "amount_captured", "amount_refunded", "amount_received", "amount_capturable"),
        *("amount_due", "amount_paid", "amount_remaining", "application_fee_amount", "balance"),
        *("subtotal", "tax", "total", "unit_amount", "quantity", "currency"),
        # states and their reasons, which are Stripe's codes
        *("status", "livemode", "paid", "captured", "refunded", "disputed", "deleted", "reason"),
        *("failure_code", "failure_reason", "code", "decline_code", "cancel_at_period_end"),
        *("collection_method", "pause_collection", "behavior", "interval", "interval_count"),
        # times, in seconds since 1970
        *("created", "cancel_at", "canceled_at", "ended_at", "start_date", "trial_start"),
        *("trial_end", "billing_cycle_anchor", "current_period_start", "current_period_end"),
        # what contains them
        *("data", "items", "refunds", "error", "previous_attributes", "metadata"),
        *("parent", "subscription_details"),
        "erased",
    }
)

#: A code, a number or an id of Stripe's; other texts may have been written by a person.
_IS_CODE = re.compile(r"[\w.-]{1,255}", re.ASCII)

#: Our keys in metadata, whose values are the ``uuid`` of a row.
_UUID_KEY = re.compile(r"aa_stripe_[a-z]+_uuid")


class Erasable(models.Model):
    """A model whose rows ``StripeCustomer.close(user, erase=True)`` empties."""

    #: The fields that are emptied, apart from ``stripe_response``, which is reduced.
    PERSONAL: ClassVar[tuple[str, ...]] = ()

    #: When ``close()`` began to erase what may identify the user; ``None`` if it did not.
    erased = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True


def emptied(model: type[models.Model], names: Any) -> dict[str, Any]:
    """Return the empty value of each of the fields."""
    return {name: model._meta.get_field(name).get_default() for name in names}  # type: ignore[union-attr]


def kept(row: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values to write to the row: of an erased one, without what may identify a person.

    ``row`` is an ``Erasable``, or a refund.
    """
    if row.erased is None:
        return values
    written = values | emptied(type(row), [name for name in row.PERSONAL if name in values])
    if "stripe_response" in values:
        written["stripe_response"] = reduced(values["stripe_response"])
    return written


def reduced(value: Any) -> dict[str, Any]:
    """Return one of Stripe's objects, or an event, with the ``KEPT`` keys and ``erased``: true.

    Our handlers can apply what stays of an event. An empty value stays empty.
    """
    if not value:
        return {}
    return {**(_part(value) if isinstance(value, dict) else {}), "erased": True}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    return {key: _value(key, it) for key, it in part.items() if key in KEPT}


def _value(key: str, value: Any) -> Any:
    if key == "metadata":
        return _metadata(value)
    if isinstance(value, dict):
        return _part(value)
    if isinstance(value, list):
        return [_part(it) for it in value if isinstance(it, dict)]
    if isinstance(value, str) and not _IS_CODE.fullmatch(value):
        return None
    return value


def _metadata(value: Any) -> dict[str, str]:
    """Return what our handlers find a row by, and the name of the site that has made the object."""
    metadata = value if isinstance(value, dict) else {}
    return {key: it for key, it in metadata.items() if _is_ours(key, it)}


def _is_ours(key: str, value: Any) -> bool:
    if key == "origin":
        return bool(value == str(stripe_settings.PAYMENT_ORIGIN or ""))
    return bool(_UUID_KEY.fullmatch(key)) and _is_uuid(value)


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False
