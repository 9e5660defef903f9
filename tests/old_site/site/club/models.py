import time
import uuid

from django.conf import settings
from django.contrib.contenttypes.fields import GenericRelation
from django.db import models
from django.utils import timezone

from aa_stripe.models import (
    StripeBasicModel,
    StripeCharge,
    StripeCustomer,
    StripeSubscription,
    StripeSubscriptionPlan,
)


class Membership(models.Model):
    """What the desk sells: a name for a plan, and what belongs to it."""

    name = models.CharField(max_length=100, unique=True)
    plan = models.OneToOneField(
        StripeSubscriptionPlan, on_delete=models.PROTECT, related_name="membership"
    )
    includes_shoes = models.BooleanField(default=False)
    is_offered = models.BooleanField(default=True)

    def __str__(self):
        return self.name


class Member(models.Model):
    """A climber with an account."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="member"
    )
    phone = models.CharField(max_length=40, blank=True)
    billing_customer = models.ForeignKey(
        StripeCustomer, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    subscription = models.ForeignKey(
        StripeSubscription, null=True, blank=True, on_delete=models.SET_NULL, related_name="members"
    )
    owes_money = models.BooleanField(default=False)

    def __str__(self):
        return str(self.user)

    @property
    def card(self):
        """The card that pays, as Stripe describes it, or None."""
        customer = StripeCustomer.get_latest_active_customer_for_user(self.user)
        return customer.default_source_data if customer else None

    @property
    def may_climb(self):
        subscription = self.subscription
        if subscription is None:
            return False
        if subscription.at_period_end:
            return subscription.stripe_response["current_period_end"] > time.time()
        return subscription.status in (
            StripeSubscription.STATUS_ACTIVE,
            StripeSubscription.STATUS_TRIAL,
        )


class Order(models.Model):
    """Something bought at the desk or in the shop. Its charges have it as their source."""

    NEW, PAID, DECLINED, REFUNDED = "new", "paid", "declined", "refunded"
    STATUS_CHOICES = [(status, status) for status in (NEW, PAID, DECLINED, REFUNDED)]

    uuid = models.UUIDField(default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="orders"
    )
    text = models.CharField(max_length=200)
    total = models.IntegerField(help_text="in cents")
    status = models.CharField(max_length=10, choices=STATUS_CHOICES, default=NEW)
    paid_at = models.DateTimeField(null=True, blank=True)
    failure = models.CharField(max_length=200, blank=True)
    charges = GenericRelation(StripeCharge)

    class Meta:
        ordering = ["id"]

    def __str__(self):
        return "{} ({})".format(self.text, self.status)

    def mark_paid(self):
        self.status = self.PAID
        self.paid_at = timezone.now()
        self.failure = ""
        self.save()

    def mark_declined(self, why):
        self.status = self.DECLINED
        self.failure = why[:200]
        self.save()


class LockerRental(models.Model):
    """A locker, paid once a month by a charge that points to nothing else."""

    number = models.PositiveIntegerField()
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="lockers")
    charge = models.ForeignKey(
        StripeCharge, null=True, blank=True, on_delete=models.SET_NULL, related_name="lockers"
    )


class Payout(StripeBasicModel):
    """Money that Stripe sends to the bank of the Barn, known from its events."""

    payout_id = models.CharField(max_length=255, unique=True)
    amount = models.IntegerField(help_text="in cents")
    arrived = models.BooleanField(default=False)
    note = models.CharField(max_length=200, blank=True)

    def __str__(self):
        return self.payout_id


class Ping(models.Model):
    """The last sign of life of Stripe's events."""

    event_id = models.CharField(max_length=255)
    created = models.DateTimeField(auto_now_add=True)
