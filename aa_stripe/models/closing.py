"""Ending all that a user has at Stripe: subscriptions, cards, customers.

Each step does only what is left to do, so a call after a crash goes on where the last one stopped.
https://docs.stripe.com/api/customers/delete
"""

from __future__ import annotations

from typing import Any, TypeAlias
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

#: The refunds that Stripe has refused.
Refusals: TypeAlias = list[gateway.InvalidRequestError]


def close(user: models.Model, *, refund: bool) -> None:
    """See ``StripeCustomer.close``."""
    require_closable(user)
    refusals = end_all(user, refund=refund)
    if refusals:
        raise refusals[0]


def require_closable(user: models.Model) -> None:
    """Raise what ``StripeCustomer.close`` raises before it changes anything."""
    reject_open_transaction(StripeCustomer)
    for customer_id in StripeCustomer.of_user(user):
        _is_deleted(customer_id)


def end_all(user: models.Model, *, refund: bool) -> Refusals:
    """End what the user has, and return the refunds that Stripe has refused."""
    refusals: Refusals = []
    refused = refusals if refund else None
    _stop(user)
    customers = StripeCustomer.of_user(user)
    for customer_id in customers:
        _end_customer(customer_id, refused)
    for row in owned(StripeSubscription, user).order_by("pk"):
        _end_row(row, refused)
    for customer_id in customers:
        StripeCustomer.refresh_rows(StripeCustomer.all_of_stripe(customer_id))
    owned(StripeCustomer, user).update(sources=[], default_source="", updated=timezone.now())
    return refusals


def _stop(user: models.Model) -> None:
    """Make sure that nothing more begins here: without an active customer there is no payer."""
    now = timezone.now()
    owned(StripeCustomer, user).update(is_active=False, updated=now)
    unpaid = owned(StripeCharge, user).filter(is_charged=False, is_manual_charge=False)
    unpaid.update(is_manual_charge=True, updated=now)


# At Stripe


def _is_deleted(customer_id: str) -> bool:
    """Return whether the customer is deleted at Stripe.

    Raises ``StripeUnknownCustomer`` if Stripe does not know it: the API key may be that of another
    account, in which the subscriptions are not.
    """
    customer = gateway.find_customer(customer_id)
    if customer is None:
        raise StripeUnknownCustomer
    return bool(gateway.to_json(customer).get("deleted"))


def _end_customer(customer_id: str, refusals: Refusals | None) -> None:
    """End the customer's subscriptions, detach the cards, and delete the customer."""
    if _is_deleted(customer_id):
        return
    try:
        for subscription in list(gateway.subscriptions(customer_id)):
            if subscription.status not in ENDED:
                _end_subscription(subscription, refusals)
        for method in list(gateway.payment_methods(customer_id)):
            gateway.detach_payment_method(method["id"])
    except gateway.InvalidRequestError:
        if not _is_deleted(customer_id):  # else another process has closed the account
            raise
    gateway.delete_customer(customer_id)


def _end_subscription(subscription: gateway.Subscription, refusals: Refusals | None) -> None:
    """Cancel it and update its rows. ``refusals``: refund its last payment, and add errors."""
    if subscription.status not in ENDED:
        if refusals is not None:  # first: one that has ended would not be found after a crash
            _refund_last_payment(subscription, refusals)
        cancel_at_stripe(subscription.id, at_period_end=False)
    rows = list(StripeSubscription.of_stripe(gateway.to_json(subscription)))
    if rows:
        StripeSubscription.refresh_rows(rows, subscription.id)


def _refund_last_payment(subscription: gateway.Subscription, refusals: Refusals) -> None:
    """Refund what is left of it. Repeating that is safe: Stripe refunds a charge only once."""
    invoice = subscription.latest_invoice
    for intent in gateway.payment_intents_of_invoice(str(invoice)) if invoice else ():
        if intent.status == "succeeded":
            _refund(intent, refusals)


def _refund(intent: gateway.PaymentIntent, refusals: Refusals) -> None:
    """Refund what is left. A refusal, as for a disputed payment, must not keep it billing."""
    params: Any = {"payment_intent": intent.id, "reason": "requested_by_customer"}
    try:
        gateway.create_refund(params, idempotency_key=str(uuid4()))
    except gateway.InvalidRequestError as error:
        if error.code != "charge_already_refunded":
            refusals.append(error)


# Here


def _end_row(row: StripeSubscription, refusals: Refusals | None) -> None:
    """End a subscription that no customer of the user's has, or record its end.

    Nothing can be created for a deleted customer any more.
    """
    if not row.is_created_at_stripe and (row.is_unsettled or row.claim):
        _settle(row)
    if row.is_created_at_stripe and row.status not in ENDED:
        subscription = gateway.retrieve_subscription(row.stripe_subscription_id)
        _end_subscription(subscription, refusals)


def _settle(row: StripeSubscription) -> None:
    for _ in patiently(PATIENCE):
        claim = take(row, is_created_at_stripe=False)
        reread(row)
        if claim is not None:
            claim.conclude({"updated": timezone.now()})
            return
        if row.is_created_at_stripe:
            return
