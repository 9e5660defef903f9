from django.core.management.base import BaseCommand

from aa_stripe.models import StripeCharge, StripeCoupon, StripeCustomer, StripeSubscription
from club.models import LockerRental, Membership, Order, Payout


class Command(BaseCommand):
    help = "Everything that the accountant wants to see, one line each."

    def handle(self, *args, **options):
        for customer in StripeCustomer.objects.all():
            card = customer.default_source_data or {}
            self.line("customer", customer.user, customer.stripe_customer_id, card.get("last4"))
        for membership in Membership.objects.order_by("id"):
            plan = membership.plan
            self.line("plan", membership, plan.amount, plan.currency, plan.source["membership"])
        for order in Order.objects.all():
            for charge in order.charges.order_by("id"):
                self.line("order", order, charge.amount, charge.amount_refunded, charge.source.pk)
        for rental in LockerRental.objects.order_by("id"):
            self.line("locker", rental.number, rental.charge and rental.charge.is_charged)
        for charge in StripeCharge.objects.filter(charge_attempt_failed=True).order_by("id"):
            self.line("declined", charge.comment, charge.stripe_response["error"]["code"])
        for subscription in StripeSubscription.objects.order_by("id"):
            plan = subscription.stripe_response["plan"]
            self.line("subscription", subscription.user, subscription.status, plan["amount"])
        for coupon in StripeCoupon.objects.all_with_deleted().order_by("id"):
            off = coupon.amount_off or coupon.percent_off
            self.line("coupon", coupon, off, coupon.is_deleted, coupon.metadata["desk"])
        for payout in Payout.objects.order_by("id"):
            self.line("payout", payout, payout.stripe_response["bank"], payout.note)

    def line(self, *values):
        self.stdout.write(" ".join(str(value) for value in values))
