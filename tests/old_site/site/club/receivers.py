import logging

from django.core.mail import send_mail

from aa_stripe.exceptions import StripeWebhookParseError
from aa_stripe.models import StripeSubscription, StripeWebhook, webhook_pre_parse
from aa_stripe.signals import (
    stripe_charge_card_exception,
    stripe_charge_refunded,
    stripe_charge_succeeded,
)
from club.models import Member, Order, Payout, Ping

logger = logging.getLogger("club")


def connect():
    stripe_charge_succeeded.connect(order_paid, dispatch_uid="club")
    stripe_charge_card_exception.connect(order_declined, dispatch_uid="club")
    stripe_charge_refunded.connect(order_refunded, dispatch_uid="club")
    webhook_pre_parse.connect(event_received, sender=StripeWebhook, dispatch_uid="club")


# Charges


def order_paid(sender, instance, **kwargs):
    order = instance.source
    if not isinstance(order, Order):
        return
    order.mark_paid()
    last4 = instance.stripe_response["source"]["last4"]
    send_mail(
        "Your receipt",
        "We charged ${:.2f} to your card ending in {}. Reference: {}".format(
            instance.amount / 100, last4, instance.stripe_charge_id
        ),
        None,
        [instance.user.email],
    )


def order_declined(sender, instance, exception, **kwargs):
    order = instance.source
    if not isinstance(order, Order):
        return
    error = exception.json_body["error"]
    order.mark_declined(error.get("code") or error["type"])
    send_mail("Your payment failed", exception.user_message, None, [instance.user.email])


def order_refunded(sender, instance, **kwargs):
    order = instance.source
    if isinstance(order, Order) and instance.is_refunded:
        order.status = Order.REFUNDED
        order.save()


# Events


def event_received(sender, instance, event_type, event_model, event_action, **kwargs):
    if instance.is_parsed:
        return
    if event_type == "ping":
        Ping.objects.create(event_id=instance.pk)
    elif event_model == "payout":
        payout_changed(instance.raw_data["data"]["object"], event_action)
    elif event_model == "customer.subscription":
        subscription_changed(instance.raw_data["data"]["object"])
    elif event_model == "invoice" and event_action == "payment_failed":
        member_owes(instance.raw_data["data"]["object"]["customer"])


def payout_changed(data, action):
    if data["currency"] != "usd":
        raise StripeWebhookParseError("Payouts are in dollars, not in {}".format(data["currency"]))
    Payout.objects.update_or_create(
        payout_id=data["id"],
        defaults={
            "amount": data["amount"],
            "arrived": action == "paid",
            "stripe_response": data,
        },
    )


def subscription_changed(data):
    subscription = StripeSubscription.objects.filter(stripe_subscription_id=data["id"]).first()
    if subscription is None:
        logger.warning("Unknown subscription %s", data["id"])
        return
    subscription.refresh_from_stripe()
    if subscription.status == StripeSubscription.STATUS_CANCELED:
        Member.objects.filter(subscription=subscription).update(subscription=None)


def member_owes(customer_id):
    Member.objects.filter(user__stripe_customers__stripe_customer_id=customer_id).update(
        owes_money=True
    )
