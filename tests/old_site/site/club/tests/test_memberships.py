import datetime

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone

from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models import StripeSubscription, StripeSubscriptionPlan
from club import billing
from club.models import Member, Membership
from club.tests.base import BarnTestCase


class PlanTests(BarnTestCase):
    def test_the_memberships_of_the_migrations(self):
        plans = [(m.name, m.plan.amount, m.plan.source) for m in Membership.objects.order_by("id")]

        self.assertEqual(
            plans,
            [("Basic", 4900, {"membership": "Basic"}), ("Student", 2900, {"membership": "Student"})],
        )

    def test_the_memberships_are_offered(self):
        self.assertEqual(billing.offer_memberships(), [])

        plan = Membership.objects.get(name="Basic").plan
        self.assertTrue(plan.is_created_at_stripe)
        self.assertEqual(plan.stripe_response["amount"], 4900)
        with self.assertRaises(StripeMethodNotAllowed):
            plan.create_at_stripe()

    def test_a_membership_that_stripe_does_not_accept(self):
        plan = StripeSubscriptionPlan.objects.create(
            source={}, amount=-1, name="Gift", interval=StripeSubscriptionPlan.INTERVAL_MONTH
        )
        Membership.objects.create(name="Gift", plan=plan)

        self.assertEqual(billing.offer_memberships(), ["Gift"])


class JoinTests(BarnTestCase):
    def setUp(self):
        super().setUp()
        self.user = self.make_user()
        self.client.force_authenticate(self.user)

    def member(self):
        return Member.objects.get(user=self.user)

    def test_a_climber_joins(self):
        membership = self.make_membership()

        response = self.client.post("/api/membership", {"membership": "Basic"})

        self.assertEqual(response.status_code, 201)
        self.assertEqual(response.data["status"], StripeSubscription.STATUS_ACTIVE)
        self.assertEqual(response.data["plan"], str(membership.plan.pk))
        self.assertTrue(self.member().may_climb)

    def test_a_plan_that_was_made_in_the_dashboard(self):
        self.make_membership("Student")

        response = self.client.post("/api/membership", {"membership": "Student"})

        self.assertEqual(response.status_code, 201)
        subscription = self.member().subscription
        self.assertEqual(subscription.stripe_response["plan"]["amount"], 2900)
        self.assertEqual(subscription.stripe_response["quantity"], 1)

    def test_a_voucher_counts(self):
        self.make_membership()
        billing.make_voucher("SPRING", percent=20)

        self.client.post("/api/membership", {"membership": "Basic", "voucher": "SPRING"})

        subscription = self.member().subscription
        self.assertEqual(subscription.coupon.coupon_id, "SPRING")
        self.assertEqual(self.stripe.discount_of(subscription), "SPRING")

    def test_a_climber_leaves_at_the_end_of_the_month(self):
        billing.join(self.user, self.make_membership())

        response = self.client.delete("/api/membership")

        self.assertEqual(response.data, {"ends": True, "may_climb": True})
        subscription = self.member().subscription
        self.assertEqual(subscription.status, StripeSubscription.STATUS_CANCELED)
        self.assertTrue(subscription.at_period_end)
        self.assertEqual(self.stripe.status_of(subscription), "active")

    def test_a_climber_leaves_now(self):
        billing.join(self.user, self.make_membership())

        response = self.client.delete("/api/membership?now")

        self.assertEqual(response.data, {"ends": True, "may_climb": False})
        subscription = self.member().subscription
        self.assertEqual(subscription.status, StripeSubscription.STATUS_CANCELED)
        self.assertEqual(self.stripe.status_of(subscription), "canceled")

    def test_the_account_page_says_that_it_ends(self):
        billing.join(self.user, self.make_membership())
        billing.leave(get_user_model().objects.get(pk=self.user.pk))
        self.client.force_login(self.user)

        self.assertContains(self.client.get("/account"), "Barn Basic: canceled, ends soon")

    def test_a_climber_is_forgotten(self):
        subscription = billing.join(self.user, self.make_membership())
        billing.buy(self.user, "Day ticket", 2200)

        billing.delete_account(get_user_model().objects.get(pk=self.user.pk))

        self.assertFalse(get_user_model().objects.exists())
        self.assertEqual(self.stripe.status_of(subscription), "canceled")


class EndDateTests(BarnTestCase):
    def setUp(self):
        super().setUp()
        self.membership = self.make_membership()
        self.today = timezone.localtime(timezone.now()).date()

    def join(self, name, days):
        end_date = self.today + datetime.timedelta(days=days)
        return billing.join(self.make_user(name), self.membership, end_date=end_date)

    def test_what_is_due(self):
        due = self.join("ada", 0)
        self.join("bob", 5)

        found = StripeSubscription.get_subcriptions_for_cancel()

        self.assertEqual(list(found), [due])

    def test_what_is_due_ends(self):
        due = self.join("ada", -1)
        later = self.join("bob", 5)

        billing.end_overdue()

        due.refresh_from_db()
        later.refresh_from_db()
        self.assertTrue(due.at_period_end)
        self.assertFalse(later.at_period_end)

    def test_nothing_is_due_after_the_command(self):
        self.join("ada", -1)

        call_command("end_subscriptions")

        self.assertFalse(StripeSubscription.get_subcriptions_for_cancel().exists())
