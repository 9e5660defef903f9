import io
from unittest import mock

import stripe
from django.contrib.sites.models import Site
from django.core import mail
from django.core.management import call_command
from django.test import override_settings

from aa_stripe.models import StripeCharge, StripeCoupon
from aa_stripe.settings import stripe_settings
from club import billing
from club.models import LockerRental, Order
from club.tests.base import BarnTestCase


def run(name):
    output = io.StringIO()
    call_command(name, stdout=output)
    return output.getvalue()


@mock.patch("time.sleep", mock.Mock())
class CommandTests(BarnTestCase):
    def test_the_night_collects_what_is_open(self):
        order = billing.place_order(self.make_user(), "Day ticket", 2200)

        self.assertEqual(run("nightly"), "")

        order.refresh_from_db()
        self.assertEqual(order.status, Order.PAID)
        self.assertEqual(self.stripe.collected(), [2200])

    def test_the_night_does_not_try_a_declined_card_again(self):
        order = billing.place_order(self.make_user(card="chargeCustomerFail"), "Day ticket", 2200)
        run("nightly")
        mail.outbox.clear()

        self.assertEqual(run("nightly"), "")

        self.assertEqual(mail.outbox, [])
        order.refresh_from_db()
        self.assertEqual(order.status, Order.DECLINED)

    def test_the_night_does_not_collect_what_the_desk_collects(self):
        user = self.make_user()
        StripeCharge.objects.create(
            user=user, amount=100, description="By hand", is_manual_charge=True
        )

        run("nightly")

        self.assertEqual(self.stripe.collected(), [])

    def test_the_admins_get_what_went_wrong_in_the_night(self):
        order = billing.place_order(self.make_user(), "Day ticket", 2200)
        self.stripe.break_down()

        self.assertEqual(run("nightly"), "Failed: charge_stripe\n")

        [message] = mail.outbox
        self.assertEqual(message.subject, "[Django] charge_stripe failed")
        self.assertIn("Exception happened", message.body)
        self.assertIn("Charge id: {}".format(order.charges.get().pk), message.body)

    def test_the_night_finds_the_vouchers_of_the_dashboard(self):
        self.stripe.add_coupon("HAND", 15)

        run("nightly")

        self.assertEqual(StripeCoupon.objects.get().coupon_id, "HAND")

    def test_lockers_that_are_not_paid_are_freed(self):
        paid = billing.rent_locker(self.make_user().member, 1)
        billing.rent_locker(self.make_user("bob", card="chargeCustomerFail").member, 2)

        output = run("collect_lockers")

        self.assertIn("1 lockers freed", output)
        self.assertEqual(LockerRental.objects.get(), paid)

    def test_another_account_is_used(self):
        user = self.make_user()
        order = billing.place_order(user, "Day ticket", 2200)

        with billing.account("sk_test_east"):
            billing.collect(order)

        self.assertEqual(self.stripe.last_account(), "sk_test_east")
        self.assertEqual(stripe_settings.API_KEY, "sk_test_barn")

    @override_settings(STRIPE_PENDING_WEBHOOKS_THRESHOLD=7)
    def test_settings_can_be_overridden(self):
        self.assertEqual(stripe_settings.PENDING_WEBHOOKS_THRESHOLD, 7)
        self.assertEqual(stripe_settings.USER_MODEL, "auth.User")


class CheckTests(BarnTestCase):
    def test_all_events_have_arrived(self):
        self.assertEqual(run("check_stripe"), "OK\n")

    def test_events_are_missing(self):
        Site.objects.update(domain="barn.example")
        self.stripe.something_happens(times=4)

        self.assertEqual(
            run("check_stripe"),
            "WARNING Pending webhooks threshold limit exceeded, current threshold is 3\n",
        )

        [message] = mail.outbox
        self.assertEqual(message.subject, "[Django] Stripe webhooks pending threshold exceeded")
        self.assertIn("barn.example", message.body)
        self.assertIn("evt_", message.body)
        self.assertIn("Server environment: desk", message.body)


class BooksTests(BarnTestCase):
    def test_the_books_name_everything(self):
        user = self.make_user()
        billing.buy(user, "Day ticket", 2200)
        billing.rent_locker(user.member, 7)
        billing.join(user, self.make_membership())
        billing.make_voucher("SPRING", percent=20)

        lines = run("books").splitlines()

        customer = user.stripe_customers.get().stripe_customer_id
        self.assertIn("customer ada@climbers.example {} 4242".format(customer), lines)
        self.assertIn("plan Basic 4900 USD Basic", lines)
        self.assertIn("locker 7 False", lines)
        self.assertIn("subscription ada@climbers.example active 4900", lines)
        self.assertIn("coupon SPRING 20 False main", lines)


class LibraryTests(BarnTestCase):
    """What we call at Stripe ourselves."""

    def test_a_customer_is_found_by_its_id(self):
        customer = self.make_user().stripe_customers.get()

        found = stripe.Customer.retrieve(customer.stripe_customer_id)

        self.assertEqual(found["id"], customer.stripe_customer_id)
        self.assertIn("Barn member", found.get("description"))
