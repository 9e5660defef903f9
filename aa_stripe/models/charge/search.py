"""Finding the payment intent of a charge whose row has lost its id.

The lists of the customers' intents are complete, but a customer that was deleted at Stripe has no
list any more, and the user of the row may have changed. Stripe's search finds the intent in these
cases too, but not in its first minutes.
https://docs.stripe.com/search
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from aa_stripe import gateway
from aa_stripe.exceptions import StripeInternalError
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.rows import related

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

#: How far Stripe's clock and ours may differ.
CLOCK_SKEW = timedelta(hours=1)

#: In the metadata of every intent: the ``uuid`` of the charge that it pays.
UUID_KEY = "aa_stripe_charge_uuid"


def search(charge: StripeCharge) -> gateway.PaymentIntent | None:
    """Return the intent with the row's ``uuid`` in its metadata.

    Of several, prefer one that is paid, then one that can still be paid. Raises
    ``StripeInternalError`` if Stripe refuses to say whether there is one.
    """
    listings = [_listed(charge, customer_id) for customer_id in _customer_ids(charge)]
    found = {intent.id: intent for listed in listings for intent in listed or ()}
    searched = _searched(charge)
    if searched is None and None in listings:
        raise StripeInternalError("Stripe refused to list and to search the payments.")
    for intent_id in searched or ():
        if intent_id not in found:
            found[intent_id] = gateway.retrieve_payment_intent(intent_id)
    return min(found.values(), key=_rank, default=None)


def _customer_ids(charge: StripeCharge) -> Iterable[str]:
    """Return Stripe's ids of the row's customer and of all that its user has ever had."""
    ids = dict.fromkeys(StripeCustomer.stripe_ids_of(charge.user_id))
    customer = related(charge, "customer")
    if customer is not None and customer.stripe_customer_id:
        ids[customer.stripe_customer_id] = None
    return ids


def _listed(charge: StripeCharge, customer_id: str) -> list[gateway.PaymentIntent] | None:
    """Return the row's intents of that customer; ``None`` if Stripe refuses to list them.

    It does if the customer was deleted, or belongs to another account or mode.
    """
    since = int((charge.created - CLOCK_SKEW).timestamp())
    try:
        return [
            intent
            for intent in gateway.payment_intents(customer_id, since)
            if gateway.metadata_of(intent).get(UUID_KEY) == str(charge.uuid)
        ]
    except gateway.InvalidRequestError as error:
        if error.code != "resource_missing":
            raise
        return None


def _searched(charge: StripeCharge) -> list[str] | None:
    """Return the ids of the row's intents; ``None`` where Stripe has no search (in India).

    Unverified: the error in India. https://docs.stripe.com/search
    """
    try:
        return list(gateway.search_payment_intents(UUID_KEY, str(charge.uuid)))
    except gateway.InvalidRequestError as error:
        if gateway.meaning_of(error) is gateway.Meaning.MISCONFIGURED:
            raise
        return None


def _rank(intent: gateway.PaymentIntent) -> int:
    if intent.status == "succeeded":
        return 0
    return 2 if intent.status == "canceled" else 1
