import json

from django.core import mail

from aa_stripe.exceptions import StripeWebhookAlreadyParsed
from aa_stripe.models import StripeCoupon, StripeWebhook
from club import billing
from club.models import Member, Payout, Ping
from club.tests.base import BarnTestCase


class EventTests(BarnTestCase):
    def payout(self, currency="usd", **more):
        return dict({"id": "po_1", "object": "payout", "amount": 5000, "currency": currency}, **more)

    def test_an_event_is_stored(self):
        response = self.send_event(self.event("balance.available"))

        self.assertEqual(response.status_code, 201)
        self.assertEqual(json.loads(response.content), {"id": "evt_barn"})
        self.assertEqual(response["X-Served-By"], "barn")
        webhook = StripeWebhook.objects.get()
        self.assertTrue(webhook.is_parsed)
        self.assertEqual(webhook.raw_data["type"], "balance.available")

    def test_the_old_address_works(self):
        response = self.send_event(self.event("balance.available"), "/aa-stripe/webhooks")

        self.assertEqual(response.status_code, 201)
        self.assertEqual(response.data["id"], "evt_barn")
        self.assertIn("balance.available", str(response.data["raw_data"]))

    def test_an_event_of_somebody_else_is_refused(self):
        response = self.send_event(self.event("balance.available"), secret="whsec_wrong")

        self.assertEqual(response.status_code, 400)
        self.assertFalse(StripeWebhook.objects.exists())

    def test_an_event_that_comes_again_is_refused(self):
        self.send_event(self.event("ping"))

        response = self.send_event(self.event("ping"))

        self.assertEqual(response.status_code, 400)
        self.assertEqual(Ping.objects.count(), 1)

    def test_a_ping_is_noted(self):
        self.send_event(self.event("ping"))

        self.assertEqual(Ping.objects.get().event_id, "evt_barn")

    def test_a_payout_is_noted(self):
        self.send_event(self.event("payout.created", self.payout(), "evt_1"))
        self.send_event(self.event("payout.paid", self.payout(bank="Peak Bank"), "evt_2"))

        payout = Payout.objects.get()
        self.assertTrue(payout.arrived)
        self.assertEqual(payout.amount, 5000)
        self.assertEqual(payout.stripe_response["bank"], "Peak Bank")

    def test_a_payout_that_we_do_not_understand(self):
        response = self.send_event(self.event("payout.paid", self.payout("eur")))

        self.assertEqual(response.status_code, 201)
        webhook = StripeWebhook.objects.get()
        self.assertEqual(webhook.parse_error, "Payouts are in dollars, not in eur")
        self.assertFalse(webhook.is_parsed)

    def test_a_payment_that_failed(self):
        user = self.make_user()
        customer = user.stripe_customers.get()

        self.send_event(
            self.event("invoice.payment_failed", {"customer": customer.stripe_customer_id})
        )

        self.assertTrue(Member.objects.get(user=user).owes_money)

    def test_a_membership_that_was_canceled_at_stripe(self):
        user = self.make_user()
        subscription = billing.join(user, self.make_membership())
        event = self.stripe.cancel_by_hand(subscription.stripe_subscription_id)

        response = self.send_event(event)

        self.assertEqual(response.status_code, 201)
        subscription.refresh_from_db()
        self.assertEqual(subscription.status, "canceled")
        self.assertIsNone(Member.objects.get(user=user).subscription)

    def test_a_membership_that_we_do_not_know(self):
        event = self.event("customer.subscription.updated", {"id": "sub_x", "object": "subscription"})

        self.assertEqual(self.send_event(event).status_code, 201)

    def test_a_voucher_that_was_made_at_stripe(self):
        self.send_event(self.stripe.add_coupon("HAND", 15))

        self.assertEqual(StripeCoupon.objects.get().percent_off, 15)

    def test_a_voucher_that_we_have_made(self):
        voucher = billing.make_voucher("SPRING", percent=20)
        about = {"id": "SPRING", "object": "coupon", "created": voucher.stripe_response["created"]}

        self.send_event(self.event("coupon.created", about))

        self.assertEqual(
            StripeWebhook.objects.get().parse_error,
            "Coupon with this coupon_id and creation date already exists",
        )

    def test_an_event_is_parsed_when_it_is_created(self):
        webhook = StripeWebhook.objects.create(id="evt_1", raw_data=self.event("ping"))

        self.assertTrue(webhook.is_parsed)
        with self.assertRaises(StripeWebhookAlreadyParsed):
            webhook.parse()
        self.assertEqual(Ping.objects.count(), 1)
        self.assertEqual(mail.outbox, [])
