"""Finding the payment intent of a charge whose row has lost its id."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from aa_stripe import gateway
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.rows import related
from aa_stripe.models.search import Finder
from aa_stripe.utils import to_timestamp

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
    since = to_timestamp(charge.created) - int(CLOCK_SKEW.total_seconds())
    finder = Finder(
        UUID_KEY,
        listed=partial(gateway.payment_intents, created_since=since),
        searched=gateway.search_payment_intents,
        retrieve=gateway.retrieve_payment_intent,
    )
    return min(finder.find(charge.uuid, _customer_ids(charge)), key=_rank, default=None)


def _customer_ids(charge: StripeCharge) -> Iterable[str]:
    """Return Stripe's ids of the row's customer and of all that its user has ever had."""
    ids = dict.fromkeys(StripeCustomer.stripe_ids_of(charge))
    customer = related(charge, "customer")
    if customer is not None and customer.stripe_customer_id:
        ids[customer.stripe_customer_id] = None
    return ids


def _rank(intent: gateway.PaymentIntent) -> int:
    if intent.status == "succeeded":
        return 0
    return 2 if intent.status == "canceled" else 1
