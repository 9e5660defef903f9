"""What Stripe's events change here.

An event is a hint that something has changed: events come late, twice, and out of order. So each
handler takes the row's lock, then asks Stripe how things are now, then writes.
https://docs.stripe.com/webhooks#event-ordering
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db.models import Q

from aa_stripe import gateway
from aa_stripe.exceptions import StripeCouponAlreadyExists, StripeInternalError
from aa_stripe.exceptions import StripeWebhookParseError as ParseError
from aa_stripe.gateway import Meaning
from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeCustomer,
    StripeSubscription,
    StripeWebhook,
)
from aa_stripe.models.charge.collect import announce_failure
from aa_stripe.models.charge.intent import UUID_KEY as CHARGE_KEY
from aa_stripe.models.coupon.terms import to_datetime
from aa_stripe.models.rows import locked, stored
from aa_stripe.models.subscription.subscribe import UUID_KEY as SUBSCRIPTION_KEY
from aa_stripe.money import StripeMoneyError
from aa_stripe.settings import stripe_settings
from aa_stripe.utils import uuid_in
from aa_stripe.webhooks import on

logger = logging.getLogger("aa-stripe")


# Charges: https://docs.stripe.com/payments/payment-intents/verifying-status


@on(
    "payment_intent.succeeded",
    "payment_intent.processing",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.requires_action",
)
def settle_charge(webhook: StripeWebhook) -> None:
    """Let the row say what became of its payment: finished in a browser, or its answer lost."""
    intent = _about(webhook)
    charges = _charges_of(intent)
    for charge in charges:
        _settle(charge, intent["id"], webhook)
    if not charges and webhook.event_type == "payment_intent.succeeded":
        _refuse_unknown_payment(intent)


@on(
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
)
def count_refunds(webhook: StripeWebhook) -> None:
    """Let the row say how much was given back, by whomever."""
    about = _about(webhook)
    charge_id = about["id"] if about.get("object") == "charge" else about.get("charge")
    intent_id = about.get("payment_intent")
    for charge in _charges_with(charge_id, intent_id):
        if not charge.is_charged and intent_id:
            _settle(charge, intent_id, webhook)
        if charge.is_charged:
            with _answers():
                charge.take_over_refunds()
            webhook.after_commit(charge.send_due_signals)


@on("charge.dispute.*")
def log_dispute(webhook: StripeWebhook) -> None:
    """Somebody has to answer it in the Dashboard, or has."""
    dispute = webhook.stripe_object
    logger.warning(
        "%s: dispute %s of charge %s, %s",
        webhook.event_type,
        dispute.get("id"),
        dispute.get("charge"),
        dispute.get("status"),
    )


def _settle(charge: StripeCharge, intent_id: str, webhook: StripeWebhook) -> None:
    with _answers():
        refused = charge.settle(intent_id)
    if refused is not None:
        webhook.after_commit(partial(announce_failure, charge, refused))
    webhook.after_commit(charge.send_due_signals)


def _charges_of(intent: dict[str, Any]) -> list[StripeCharge]:
    """The row whose payment it is; by the row's ``uuid`` if it has lost the intent's id."""
    is_payer = Q(stripe_payment_intent_id=intent["id"])
    if uuid := uuid_in(intent.get("metadata"), CHARGE_KEY):
        is_payer |= Q(uuid=uuid)
    found = list(stored(StripeCharge).filter(is_payer).order_by("pk"))
    return [it for it in found if it.stripe_payment_intent_id == intent["id"]] or found


def _charges_with(charge_id: str | None, intent_id: str | None) -> list[StripeCharge]:
    is_it = Q(stripe_charge_id=charge_id or None)
    if intent_id:
        is_it |= Q(stripe_payment_intent_id=intent_id)
    return list(stored(StripeCharge).filter(is_it).order_by("pk"))


def _refuse_unknown_payment(intent: dict[str, Any]) -> None:
    """Money was collected for a row of ours that is not here: its transaction was rolled back."""
    metadata = intent.get("metadata") or {}
    uuid = uuid_in(intent.get("metadata"), CHARGE_KEY)
    # Metadata holds texts, and no empty ones.
    is_of_another_site = metadata.get("origin", "") != str(stripe_settings.PAYMENT_ORIGIN or "")
    if uuid is None or is_of_another_site:
        return
    said = (
        f"{intent['id']} was paid for the charge {uuid}, which is not here: the transaction that "
        "created it was rolled back, or it was deleted."
    )
    logger.error(said)  # somebody has to give the money back, or to deliver
    raise ParseError(said)


# Customers: https://docs.stripe.com/api/customers


@on(
    "customer.updated",
    "customer.deleted",
    "customer.source.*",
    "payment_method.attached",
    "payment_method.automatically_updated",
    "payment_method.detached",
    "payment_method.updated",
)
def refresh_customer(webhook: StripeWebhook) -> None:
    """Let the rows of the customer say what it can pay with, and whether it is there at all."""
    for customer in stored(StripeCustomer).filter(stripe_customer_id__in=_customers_in(webhook)):
        with locked(customer), _answers():
            customer.refresh_from_stripe()


def _customers_in(webhook: StripeWebhook) -> set[str]:
    """The customer that the event is about; of a detached card, the one that it was detached of."""
    about = _about(webhook)
    if about.get("object") == "customer":
        return {about["id"]}
    before = webhook.raw_data["data"].get("previous_attributes") or {}
    return {it for it in (about.get("customer"), before.get("customer")) if isinstance(it, str)}


# Subscriptions: https://docs.stripe.com/billing/subscriptions/webhooks


@on("customer.subscription.*")
def refresh_subscription(webhook: StripeWebhook) -> None:
    """Let the row say how the subscription stands; one whose answer was lost gets its id."""
    subscription = _about(webhook)
    is_it = Q(stripe_subscription_id=subscription["id"])
    if uuid := uuid_in(subscription.get("metadata"), SUBSCRIPTION_KEY):
        is_it |= Q(uuid=uuid, stripe_subscription_id="")
    _refresh_subscriptions(is_it, subscription["id"])


@on(
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.marked_uncollectible",
    "invoice.voided",
)
def refresh_invoiced_subscription(webhook: StripeWebhook) -> None:
    """What becomes of its invoice decides what a subscription's status is."""
    subscription_id = _subscription_of(_about(webhook))
    if subscription_id:
        _refresh_subscriptions(Q(stripe_subscription_id=subscription_id), subscription_id)


def _subscription_of(invoice: dict[str, Any]) -> str | None:
    """The subscription's id. API versions before 2025-03-31.basil have it elsewhere."""
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    found = details.get("subscription") or invoice.get("subscription")
    return found if isinstance(found, str) else None


def _refresh_subscriptions(is_it: Q, subscription_id: str) -> None:
    for row in stored(StripeSubscription).filter(is_it).order_by("pk"):
        with locked(row), _answers():
            subscription = gateway.retrieve_subscription(subscription_id)
            if row.customer_id is None:
                row.customer = _subscriber(row, subscription)
            row.set_stripe_data(subscription)


def _subscriber(
    row: StripeSubscription, subscription: gateway.Subscription
) -> StripeCustomer | None:
    """The user's customer that it is billed to."""
    known = stored(StripeCustomer).filter(user_id=row.user_id)
    return known.filter(stripe_customer_id=subscription.customer).last()


# Coupons: https://docs.stripe.com/api/coupons


@on("coupon.created")
def store_coupon(webhook: StripeWebhook) -> None:
    """Store a coupon that was made in the Dashboard."""
    coupon = StripeCoupon(coupon_id=_about(webhook)["id"])
    try:
        with _answers():
            coupon.save(force_retrieve=True)
    except StripeCouponAlreadyExists as error:  # made here, or the event came after another one
        raise ParseError(str(error)) from error


@on("coupon.updated", "coupon.deleted")
def refresh_coupon(webhook: StripeWebhook) -> None:
    """Let the row say what the coupon is now, or that it is deleted."""
    about = _about(webhook)
    same = stored(StripeCoupon).filter(
        coupon_id=about["id"],
        created=to_datetime(about["created"]),
        livemode=gateway.is_live(),
    )
    for coupon in same:
        with _answers():
            coupon.refresh_from_stripe()


# What all have in common


def _about(webhook: StripeWebhook) -> dict[str, Any]:
    """What the event is about; raises ``StripeWebhookParseError`` if it does not say so."""
    about = webhook.stripe_object
    if not isinstance(about.get("id"), str):
        raise ParseError("The event does not say what it is about.")
    return about


@contextmanager
def _answers() -> Iterator[None]:
    """Tell what will be refused again from what may be answered the next time.

    Raises ``StripeWebhookParseError`` for the one, ``StripeInternalError`` for the other.
    """
    try:
        yield
    except gateway.StripeError as error:
        meaning = gateway.meaning_of(error)
        if meaning is Meaning.MISCONFIGURED:
            raise
        if meaning is Meaning.UNKNOWN:
            raise StripeInternalError from error
        raise ParseError(f"Stripe refused the request: {error}") from error
    except StripeMoneyError as error:  # a currency that we cannot count
        raise ParseError(str(error)) from error
