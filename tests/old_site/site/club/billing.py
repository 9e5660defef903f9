"""All that the Barn does with money."""

import logging
from contextlib import contextmanager

from django.db import transaction
from stripe.error import StripeError

from aa_stripe.exceptions import StripeInternalError, StripeMethodNotAllowed
from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeCustomer,
    StripeSubscription,
)
from aa_stripe.settings import stripe_settings
from club.models import LockerRental, Member, Membership, Order

logger = logging.getLogger("club")

LOCKER_PRICE = 1500


class NoCard(Exception):
    """The climber has not given us a card."""


# Orders


def place_order(user, text, total):
    """Write the order and its charge; collect() or the nightly run gets the money."""
    with transaction.atomic():
        order = Order.objects.create(user=user, text=text, total=total)
        StripeCharge.objects.create(
            user=user,
            amount=total,
            description=text,
            comment="order {}".format(order.pk),
            statement_descriptor="Climbing Barn",
            source=order,
        )
    return order


def collect(order):
    """Charge an order now. Returns whether it is paid."""
    charge = order.charges.latest("id")
    try:
        paid = charge.charge(
            idempotency_key="order-{}".format(order.pk), payment_uuid=order.uuid
        )
    except StripeInternalError:
        # Stripe had a bad moment: the nightly run tries it again.
        StripeCharge.objects.filter(pk=charge.pk).update(charge_attempt_failed=False)
        return False
    if paid is None and not charge.charge_attempt_failed:
        raise NoCard
    return bool(paid)


def buy(user, text, total):
    """Order and pay at once: both are there, or none."""
    with transaction.atomic():
        order = place_order(user, text, total)
        collect(order)
    order.refresh_from_db()
    return order


def give_back(order, amount=None):
    """Refund an order, or a part of it. Returns a text for the desk."""
    charge = order.charges.filter(is_charged=True).latest("id")
    try:
        charge.refund(amount)
    except StripeMethodNotAllowed as error:
        return str(error)
    return "Refunded {} of {}".format(charge.amount_refunded, charge.amount)


def rent_locker(member, number):
    """Rent a locker; the desk charges it with the nightly run."""
    charge = StripeCharge.objects.create(
        user=member.user,
        amount=LOCKER_PRICE,
        description="Locker {}".format(number),
        comment="locker",
    )
    return LockerRental.objects.create(number=number, member=member, charge=charge)


# Customers


def save_card(user, stripe_js_response):
    """Make a customer at Stripe by hand, for the forms of the desk that do not use the API."""
    customer = StripeCustomer.objects.create(user=user, stripe_js_response=stripe_js_response)
    customer.create_at_stripe(description="Barn member {}".format(user.pk))
    Member.objects.filter(user=user).update(billing_customer=customer)
    return customer


def delete_account(user):
    """Forget a climber: end the membership, then delete what we know."""
    if user.member.subscription:
        leave(user, now=True)
    user.delete()


# Memberships


def offer_memberships():
    """Create at Stripe the plans that are not there yet. Returns the names that failed."""
    failed = []
    for membership in Membership.objects.filter(is_offered=True).order_by("id"):
        if membership.plan.is_created_at_stripe:
            continue
        try:
            membership.plan.create_at_stripe()
        except StripeError as error:
            logger.error("Plan %s: %s", membership, error)
            failed.append(membership.name)
    return failed


def join(user, membership, code=None, end_date=None):
    """Start a membership; a code is that of a voucher."""
    subscription = StripeSubscription.objects.create(
        user=user,
        customer=StripeCustomer.get_latest_active_customer_for_user(user),
        plan=membership.plan,
        coupon=StripeCoupon.objects.get(coupon_id=code) if code else None,
        metadata={"membership": membership.name},
        end_date=end_date,
    )
    subscription.create_at_stripe()
    Member.objects.filter(user=user).update(subscription=subscription)
    return subscription


def leave(user, now=False):
    """End the membership of a climber, at the end of the paid time or now."""
    subscription = user.member.subscription
    subscription.cancel(at_period_end=not now)
    return subscription


def end_overdue():
    """End what has an end date that has come."""
    StripeSubscription.end_subscriptions(at_period_end=True)


# Vouchers


def make_voucher(code, dollars=None, percent=None, months=None):
    return StripeCoupon.objects.create(
        coupon_id=code,
        amount_off=dollars,
        currency="usd" if dollars else None,
        percent_off=percent,
        duration=StripeCoupon.DURATION_REPEATING if months else StripeCoupon.DURATION_ONCE,
        duration_in_months=months,
        metadata={"desk": "main"},
    )


def withdraw_voucher(code):
    coupon = StripeCoupon.objects.get(coupon_id=code)
    coupon.is_deleted = True
    coupon.save()


# The second hall has a Stripe account of its own.


@contextmanager
def account(key):
    """Everything inside uses another account of Stripe."""
    before = stripe_settings.API_KEY
    stripe_settings.API_KEY = key
    try:
        yield
    finally:
        stripe_settings.API_KEY = before
