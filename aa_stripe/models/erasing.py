"""Erasing what may identify a user: in the user's rows, and in the stored events about them.

The rows are marked first, so that what Stripe reports meanwhile is stored without it. Each step
does only what is left to do, so a call after a crash goes on where the last one stopped.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from django.db import models
from django.utils import timezone

from aa_stripe.exceptions import StripeInProgress
from aa_stripe.models import closing
from aa_stripe.models.charge import StripeCharge, StripeRefund
from aa_stripe.models.claims import PATIENCE, patiently
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.customer.lookups import owned
from aa_stripe.models.erasable import emptied, reduced
from aa_stripe.models.now import DatabaseNow
from aa_stripe.models.rows import (
    database_of,
    in_order,
    stored,
    update_one,
)
from aa_stripe.models.statements import read_all
from aa_stripe.models.subscription import StripeSubscription
from aa_stripe.models.webhook import StripeWebhook

#: The models whose rows are a user's.
OWNED: tuple[type[Any], ...] = (StripeSubscription, StripeCharge, StripeCustomer)

#: The columns with ids at Stripe, and with those that Stripe's objects have in their metadata.
IDS: dict[type[Any], tuple[str, ...]] = {
    StripeCustomer: ("stripe_customer_id", "uuid"),
    StripeSubscription: (
        *("stripe_subscription_id", "latest_invoice_id", "announced_invoice_id", "uuid"),
    ),
    StripeCharge: ("stripe_charge_id", "stripe_payment_intent_id", "stripe_refund_id", "uuid"),
    StripeRefund: ("stripe_refund_id", "uuid"),
}

#: The objects whose own id other objects of the same customer have: refunds, disputes, mandates.
NAMED = frozenset({"charge", "payment_intent", "invoice", "payment_method"})

#: The error of an event that had one: it still counts as failed.
ERASED = "The error was erased."

#: How often rows are reduced that other processes write at the same time.
ROUNDS = 5

Ids: TypeAlias = set[str]


def close(user: models.Model, *, refund: bool) -> None:
    """See ``StripeCustomer.close``, with ``erase``."""
    closing.require_closable(user)
    _mark(user)
    refusals = closing.end_all(user, refund=refund)
    _wait_for_claims(user)
    for model in OWNED:
        _empty(owned(model, user))
    _empty(_refunds(user))
    _erase_events(_ids_of(user))
    if refusals:
        raise refusals[0]


def _refunds(user: models.Model) -> models.QuerySet[StripeRefund]:
    return stored(StripeRefund).filter(charge__in=owned(StripeCharge, user))


# Rows


def _mark(user: models.Model) -> None:
    now = timezone.now()
    for model in OWNED:
        owned(model, user).filter(erased=None).update(erased=now, updated=now)


def _wait_for_claims(user: models.Model) -> None:
    """Wait for the processes that have read a row before it was marked, and will write it.

    Raises ``StripeInProgress`` if they are not done after ten seconds.
    """
    for _ in patiently(PATIENCE):
        if not any(_is_claimed(rows) for rows in (owned(StripeCharge, user), _refunds(user))):
            return


def _is_claimed(rows: models.QuerySet[Any]) -> bool:
    return rows.filter(claimed_until__gt=DatabaseNow()).exists()


def _empty(rows: models.QuerySet[Any]) -> None:
    """Empty the personal fields of the rows, and reduce what they have of Stripe's responses."""
    names: Any = rows.model.PERSONAL
    if names:
        rows.update(**emptied(rows.model, names), updated=timezone.now())
    for _ in range(ROUNDS):
        if _reduce_responses(rows):
            return
    raise StripeInProgress


def _reduce_responses(rows: models.QuerySet[Any]) -> bool:
    """Reduce the responses; return whether no other process has written one of the rows."""
    is_done = True
    for key, version, response in in_order(rows, "updated", "stripe_response"):
        values = {"stripe_response": reduced(response), "updated": timezone.now()}
        if values["stripe_response"] != response:
            row = stored(rows.model).filter(pk=key, updated=version)
            is_done &= update_one(row, values)
    return is_done


# Events


def _ids_of(user: models.Model) -> Ids:
    """Return the ids of what the user has at Stripe, and the ``uuid`` of each row."""
    found: Ids = set()
    for model, names in IDS.items():
        rows = _refunds(user) if model is StripeRefund else owned(model, user)
        for _key, *values in in_order(rows, *names):
            found.update(str(it) for it in values if it)
    return found


def _erase_events(ids: Ids) -> None:
    """Reduce the stored events that name one of the ids, and those about a payment in these.

    A refund and a dispute name their payment, and a mandate its payment method, but no customer.
    Each stored event is read, a chunk at a time.
    """
    known = set(ids)
    while ids:
        found: Ids = set()
        for key, event, error in in_order(stored(StripeWebhook), "raw_data", "parse_error"):
            data = _object(event if isinstance(event, dict) else {}, "data")
            if _names(data, known):
                found |= _payments_in(data)
                _erase_event(key, event, error)
        ids = found - known
        known |= ids


def _names(value: Any, ids: Ids) -> bool:
    if isinstance(value, str):
        return value in ids
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return any(_names(it, ids) for it in value)


def _payments_in(data: dict[str, Any]) -> Ids:
    """Return the ids of the payment, and its method, that the event's object is or belongs to."""
    its = _object(data, "object")
    names = ["charge", "payment_intent", "latest_charge", "payment_method"]
    if its.get("object") in NAMED:
        names.append("id")
    return {_id(its, name) for name in names} - {""}


def _erase_event(key: str, event: Any, error: str) -> None:
    values: dict[str, Any] = {"raw_data": reduced(event)}
    if error:
        values["parse_error"] = ERASED
    if values != {"raw_data": event, **({"parse_error": error} if error else {})}:
        update_one(stored(StripeWebhook).filter(pk=key), {**values, "updated": timezone.now()})


# Events that arrive later


def reduced_if_erased(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event as it is to be stored: reduced if it is about what was erased.

    It is, if it names a customer that was erased or, without the row of one, such a payment.
    """
    data = _object(event, "data")
    its, before = _object(data, "object"), _object(data, "previous_attributes")
    customers = {_id(its, "customer"), _id(before, "customer")}
    charges, intents = {_id(its, "charge")}, {_id(its, "payment_intent")}
    own = {"customer": customers, "charge": charges, "payment_intent": intents}
    own.get(str(its.get("object")), set()).add(_id(its, "id"))
    rows = (
        _rows(StripeCustomer, "stripe_customer_id", customers)
        or _rows(StripeCharge, "stripe_charge_id", charges)
        or _rows(StripeCharge, "stripe_payment_intent_id", intents)
    )
    return reduced(event) if any(row.erased for row in rows) else event


def _rows(model: type[Any], column: str, ids: Ids) -> list[Any]:
    using, names = database_of(model), ["id", "erased"]
    found = (read_all(model, using, {column: it}, only=names) for it in ids if it)
    return [row for rows in found for row in rows]


def _object(values: dict[str, Any], key: str) -> dict[str, Any]:
    part = values.get(key)
    return part if isinstance(part, dict) else {}


def _id(values: dict[str, Any], key: str) -> str:
    """Return the id of another object, which may be expanded; ``""`` if there is none."""
    found = values.get(key)
    found = found.get("id") if isinstance(found, dict) else found
    return found if isinstance(found, str) else ""
