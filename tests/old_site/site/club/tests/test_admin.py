from aa_stripe.models import StripeCharge, StripeCoupon, StripeWebhook
from club import billing
from club.models import Payout
from club.tests.base import BarnTestCase


class AdminTests(BarnTestCase):
    def setUp(self):
        super().setUp()
        self.user = self.make_user()
        self.order = billing.buy(self.user, "Shoes", 9000)
        self.charge = self.order.charges.get()
        self.client.force_login(self.make_staff())

    def test_customers_are_found_by_their_email(self):
        self.make_user("bob")

        page = self.client.get("/admin/aa_stripe/stripecustomer/?q=ada@climbers")

        self.assertContains(page, self.user.member.phone)
        self.assertNotContains(page, "bob@climbers")

    def test_the_customers_after_a_climber_was_forgotten(self):
        billing.delete_account(self.user)

        page = self.client.get("/admin/aa_stripe/stripecustomer/")

        self.assertEqual(page.status_code, 200)

    def test_charges_are_found_by_email_customer_and_text(self):
        customer = self.user.stripe_customers.get()
        bob = self.make_user("bob")
        billing.buy(bob, "Chalk", 1200)
        for text in ("ada@climbers", customer.stripe_customer_id, "Shoes"):
            page = self.client.get("/admin/aa_stripe/stripecharge/", {"q": text})
            self.assertContains(page, customer.stripe_customer_id, msg_prefix=text)
            self.assertNotContains(page, bob.stripe_customers.get().stripe_customer_id)

    def test_the_comment_of_a_charge_can_be_changed(self):
        url = "/admin/aa_stripe/stripecharge/{}/change/".format(self.charge.pk)
        self.assertEqual(self.client.get(url).status_code, 200)

        response = self.client.post(url, {"comment": "for the book", "amount": 1})

        self.assertEqual(response.status_code, 302)
        charge = StripeCharge.objects.get()
        self.assertEqual((charge.comment, charge.amount), ("for the book", 9000))

    def test_an_order_shows_its_charges(self):
        page = self.client.get("/admin/club/order/{}/change/".format(self.order.pk))

        self.assertContains(page, self.charge.stripe_charge_id)

    def test_the_money_is_given_back(self):
        self.client.post(
            "/admin/club/order/", {"action": "give_back", "_selected_action": [self.order.pk]}
        )

        self.charge.refresh_from_db()
        self.assertTrue(self.charge.is_refunded)

    def test_a_voucher_is_made(self):
        url = "/admin/aa_stripe/stripecoupon/add/"
        self.assertContains(self.client.get(url), "Capital letters, digits and hyphens")

        response = self.client.post(
            url,
            {
                "coupon_id": "SPRING",
                "percent_off": 20,
                "duration": "once",
                "metadata": "{}",
                "times_redeemed": 0,
            },
        )

        self.assertEqual(response.status_code, 302)
        self.assertEqual(StripeCoupon.objects.get().coupon_id, "SPRING")
        self.assertEqual(self.stripe.live_coupons(), ["SPRING"])

    def test_withdrawn_vouchers_are_listed(self):
        billing.make_voucher("SPRING", percent=20)
        billing.withdraw_voucher("SPRING")

        self.assertContains(self.client.get("/admin/aa_stripe/stripecoupon/"), "SPRING")

    def test_a_note_is_written_on_a_payout(self):
        payout = Payout.objects.create(payout_id="po_1", amount=5000)
        url = "/admin/club/payout/{}/change/".format(payout.pk)
        self.assertContains(self.client.get(url), "$50.00")

        self.client.post(url, {"note": "seen", "amount": 1})

        payout.refresh_from_db()
        self.assertEqual((payout.note, payout.amount), ("seen", 5000))

    def test_events_are_listed(self):
        StripeWebhook.objects.create(id="evt_1", raw_data=self.event("ping"))

        self.assertContains(self.client.get("/admin/aa_stripe/stripewebhook/"), "evt_1")
        self.assertEqual(
            self.client.get("/admin/aa_stripe/stripewebhook/evt_1/change/").status_code, 200
        )
