"""The authentication (3-D Secure) that the payment of an invoice needs, and its signal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.db import models, transaction

from aa_stripe import gateway
from aa_stripe.exceptions import StripeError
from aa_stripe.models.rows import database_of, reread, root_model, write_if
from aa_stripe.models.subscription.subscribe import OWING
from aa_stripe.signals import stripe_subscription_requires_action

if TYPE_CHECKING:
    from aa_stripe.models.subscription.model import StripeSubscription

logger = logging.getLogger("aa-stripe")


def needs_action(subscription: gateway.Subscription) -> bool:
    """Return whether the customer has to authenticate the payment of the latest invoice.

    Only a subscription with an open invoice takes a request: an invoice does not show the state of
    its payments, and they are too deep in a subscription to be expanded.
    https://docs.stripe.com/api/invoice-payment
    """
    if subscription.status not in OWING or not subscription.latest_invoice:
        return False
    invoice_id = str(subscription.latest_invoice)
    return any(_waits(intent) for intent in gateway.payment_intents_of_invoice(invoice_id))


def _waits(intent: gateway.PaymentIntent) -> bool:
    """Return whether the payment waits for the customer, or was declined off session for that."""
    if intent.status != "requires_payment_method":
        return intent.status == "requires_action"
    failure = intent.last_payment_error
    return failure is not None and failure.code == "authentication_required"


def learn_action(row: StripeSubscription) -> None:
    """Update a new subscription whose first payment is open: it may need authentication.

    The subscription exists, and its events lead to the same. So an error of Stripe's is logged.
    """
    if row.status not in OWING:
        return
    try:
        row.refresh_from_stripe()
    except (gateway.StripeError, StripeError):
        logger.warning("%s was created, but not refreshed.", row, exc_info=True)


def announce_action(row: StripeSubscription) -> None:
    """See ``StripeSubscription.send_due_signals``."""
    invoice_id, announced = row.latest_invoice_id, row.announced_invoice_id
    if not row.requires_action or invoice_id == announced:
        return
    try:
        with transaction.atomic(using=database_of(row)):
            is_new = ~models.Q(announced_invoice_id=invoice_id)
            now = {"requires_action": True, "latest_invoice_id": invoice_id}
            is_ours = write_if(row, now, {"announced_invoice_id": invoice_id}, is_new)
            reread(row)
            if is_ours:
                stripe_subscription_requires_action.send(sender=root_model(row), instance=row)
    except BaseException:
        row.announced_invoice_id = announced  # the rollback has restored it in the row
        row.keep_as_stored(["announced_invoice_id"])
        raise
