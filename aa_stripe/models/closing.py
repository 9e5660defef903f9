"""Ending all that a user has at Stripe: subscriptions, cards, customers.

Each step does only what is left to do, so a call after a crash goes on where the last one stopped.
https://docs.stripe.com/api/customers/delete
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.db import models
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.exceptions import StripeUnknownCustomer
from aa_stripe.models.charge import StripeCharge
from aa_stripe.models.claims import PATIENCE, patiently, take
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.customer.lookups import owned
from aa_stripe.models.rows import reject_open_transaction, reread
from aa_stripe.models.subscription import ENDED, StripeSubscription
from aa_stripe.models.subscription.cancel import cancel_at_stripe


def close(user: models.Model, *, refund: bool) -> None:
    """See ``StripeCustomer.close``."""
    reject_open_transaction(StripeCustomer)
    _stop(user)
    customers = StripeCustomer.of_user(user)
    for customer_id in customers:
        _end_customer(customer_id, refund=refund)
    for row in owned(StripeSubscription, user).order_by("pk"):
        _end_row(row)
    for customer_id in customers:
        StripeCustomer.refresh_rows(StripeCustomer.all_of_stripe(customer_id))
    owned(StripeCustomer, user).update(sources=[], default_source="", updated=timezone.now())


def _stop(user: models.Model) -> None:
    """Make sure that nothing more begins here: without an active customer there is no payer."""
    now = timezone.now()
    owned(StripeCustomer, user).update(is_active=False, updated=now)
    unpaid = owned(StripeCharge, user).filter(is_charged=False, is_manual_charge=False)
    unpaid.update(is_manual_charge=True, updated=now)


# At Stripe


def _end_customer(customer_id: str, *, refund: bool) -> None:
    """End the customer's subscriptions, detach the cards, and delete the customer.

    Raises ``StripeUnknownCustomer`` if Stripe does not know it: the API key may be that of another
    account, in which the subscriptions are not.
    """
    customer = gateway.find_customer(customer_id)
    if customer is None:
        raise StripeUnknownCustomer
    if gateway.to_json(customer).get("deleted"):
        return
    for subscription in list(gateway.subscriptions(customer_id)):
        _end_subscription(subscription, refund=refund)
    for method in list(gateway.payment_methods(customer_id)):
        gateway.detach_payment_method(method["id"])
    gateway.delete_customer(customer_id)


def _end_subscription(subscription: gateway.Subscription, *, refund: bool) -> None:
    if subscription.status in ENDED:
        return
    if refund:  # first: a subscription that has ended would not be found after a crash
        _refund_last_payment(subscription)
    cancel_at_stripe(subscription.id, at_period_end=False)
    rows = list(StripeSubscription.of_stripe(gateway.to_json(subscription)))
    if rows:
        StripeSubscription.refresh_rows(rows, subscription.id)


def _refund_last_payment(subscription: gateway.Subscription) -> None:
    """Refund what is left of it. Repeating that is safe: Stripe refunds a charge only once."""
    invoice = subscription.latest_invoice
    for intent in gateway.payment_intents_of_invoice(str(invoice)) if invoice else ():
        if intent.status == "succeeded":
            _refund(intent)


def _refund(intent: gateway.PaymentIntent) -> None:
    params: Any = {"payment_intent": intent.id, "reason": "requested_by_customer"}
    try:
        gateway.create_refund(params, idempotency_key=str(uuid4()))
    except gateway.InvalidRequestError as error:
        if error.code != "charge_already_refunded":
            raise


# Here


def _end_row(row: StripeSubscription) -> None:
    """Record the end of a subscription; nothing can be created for a deleted customer any more."""
    if row.is_created_at_stripe:
        if row.status not in ENDED:
            row.cancel()
    elif row.is_unsettled or row.claim:
        _settle(row)


def _settle(row: StripeSubscription) -> None:
    for _ in patiently(PATIENCE):
        claim = take(row, is_created_at_stripe=False)
        reread(row)
        if claim is not None:
            claim.conclude({"updated": timezone.now()})
            return
        if row.is_created_at_stripe:
            row.cancel()
            return
