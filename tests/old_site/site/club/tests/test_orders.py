from unittest import mock

import stripe
from django.core import mail

from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models import StripeCharge
from club import billing
from club.models import Order
from club.tests.base import BarnTestCase


class OrderTests(BarnTestCase):
    def setUp(self):
        super().setUp()
        self.user = self.make_user()

    def test_an_order_is_paid_at_once(self):
        order = billing.buy(self.user, "Day ticket", 2200)

        self.assertEqual(order.status, Order.PAID)
        self.assertIsNotNone(order.paid_at)
        self.assertEqual(self.stripe.collected(), [2200])

    def test_the_charge_belongs_to_the_order(self):
        order = billing.buy(self.user, "Day ticket", 2200)

        charge = order.charges.get()
        self.assertEqual(charge.source, order)
        self.assertTrue(charge.is_charged)
        self.assertEqual(charge.stripe_response["source"]["last4"], "4242")
        self.assertEqual(charge.stripe_response["amount"], 2200)
        self.assertEqual(charge.customer, self.user.member.billing_customer)

    def test_stripe_knows_what_the_charge_is_for(self):
        order = billing.buy(self.user, "Day ticket", 2200)

        metadata = self.stripe.metadata_of(order.charges.get())
        self.assertEqual(metadata["payment_uuid"], str(order.uuid))
        self.assertEqual(int(metadata["object_id"]), order.pk)
        self.assertEqual(metadata["origin"], "climbing-barn")

    def test_the_climber_gets_a_receipt(self):
        order = billing.buy(self.user, "Day ticket", 2200)

        [message] = mail.outbox
        self.assertEqual(message.to, ["ada@climbers.example"])
        self.assertIn("$22.00 to your card ending in 4242", message.body)
        self.assertIn(order.charges.get().stripe_charge_id, message.body)

    def test_a_paid_order_is_not_charged_again(self):
        order = billing.buy(self.user, "Day ticket", 2200)

        with self.assertRaisesMessage(StripeMethodNotAllowed, "Already charged."):
            order.charges.get().charge()
        self.assertEqual(self.stripe.collected(), [2200])

    def test_a_declined_card_is_written_down(self):
        user = self.make_user("bob", card="chargeCustomerFail")

        order = billing.buy(user, "Day ticket", 2200)

        self.assertEqual(order.status, Order.DECLINED)
        self.assertEqual(order.failure, "card_declined")
        charge = order.charges.get()
        self.assertTrue(charge.charge_attempt_failed)
        self.assertEqual(charge.stripe_response["error"]["decline_code"], "generic_decline")
        [message] = mail.outbox
        self.assertEqual(message.body, "Your card was declined.")

    def test_without_a_card_nothing_is_ordered(self):
        user = self.make_user("bob", card=None)

        with self.assertRaises(billing.NoCard):
            billing.buy(user, "Day ticket", 2200)
        self.assertFalse(Order.objects.exists())
        self.assertFalse(StripeCharge.objects.exists())

    def test_when_stripe_is_down_the_order_waits_for_the_night(self):
        self.stripe.break_down()

        order = billing.buy(self.user, "Day ticket", 2200)

        self.assertEqual(order.status, Order.NEW)
        charge = order.charges.get()
        self.assertFalse(charge.is_charged)
        self.assertFalse(charge.charge_attempt_failed)

    def test_an_order_that_is_not_paid_can_be_deleted(self):
        order = billing.place_order(self.user, "Day ticket", 2200)

        order.delete()

        self.assertFalse(StripeCharge.objects.exists())


class RefundTests(BarnTestCase):
    def setUp(self):
        super().setUp()
        self.order = billing.buy(self.make_user(), "Shoes", 9000)
        self.charge = self.order.charges.get()

    def test_an_order_is_given_back(self):
        text = billing.give_back(self.order)

        self.assertEqual(text, "Refunded 9000 of 9000")
        self.order.refresh_from_db()
        self.assertEqual(self.order.status, Order.REFUNDED)
        self.charge.refresh_from_db()
        self.assertTrue(self.charge.is_refunded)
        self.assertTrue(self.charge.stripe_refund_id.startswith("re_"))

    def test_a_part_is_given_back(self):
        text = billing.give_back(self.order, 1000)

        self.assertEqual(text, "Refunded 1000 of 9000")
        self.order.refresh_from_db()
        self.assertEqual(self.order.status, Order.PAID)

    def test_two_parts_are_given_back(self):
        billing.give_back(self.order, 1000)
        billing.give_back(self.order, 1000)

        self.charge.refresh_from_db()
        self.assertEqual(self.charge.amount_refunded, 2000)
        self.assertEqual([refund["amount"] for refund in self.stripe.refunds], [1000, 1000])

    def test_no_more_is_given_back_than_was_paid(self):
        self.assertEqual(billing.give_back(self.order, 9001), "Refunds exceed charge")

    def test_nothing_is_given_back_twice(self):
        billing.give_back(self.order)

        self.assertEqual(billing.give_back(self.order), "Already refunded.")

    def test_what_was_given_back_by_hand_counts(self):
        self.stripe.refund_by_hand(self.charge.stripe_charge_id, 1000)

        self.assertEqual(billing.give_back(self.order, 9000), "Refunded 9000 of 9000")

    def test_all_was_given_back_by_hand(self):
        self.stripe.refund_by_hand(self.charge.stripe_charge_id, 9000)

        billing.give_back(self.order)

        self.order.refresh_from_db()
        self.assertEqual(self.order.status, Order.REFUNDED)

    def test_what_is_not_charged_is_not_given_back(self):
        charge = StripeCharge.objects.create(user=self.order.user, amount=100, description="x")

        with self.assertRaisesMessage(
            StripeMethodNotAllowed, "Cannot refund not charged transaction."
        ):
            charge.refund()


class OrdersApiTests(BarnTestCase):
    def order(self, user, **data):
        self.client.force_authenticate(user)
        return self.client.post("/api/orders", dict({"text": "Chalk", "total": 1200}, **data))

    def test_an_order_is_placed_and_paid(self):
        response = self.order(self.make_user())

        self.assertEqual(response.status_code, 201)
        self.assertEqual(response.data["status"], "paid")

    def test_a_decline_is_a_402(self):
        response = self.order(self.make_user(card="chargeCustomerFail"))

        self.assertEqual(response.status_code, 402)
        self.assertEqual(response.data["failure"], "card_declined")

    def test_no_card_is_a_409(self):
        response = self.order(self.make_user(card=None))

        self.assertEqual(response.status_code, 409)

    def test_only_the_own_orders_are_listed(self):
        self.order(self.make_user())
        self.client.force_authenticate(self.make_user("bob"))

        self.assertEqual(self.client.get("/api/orders").data, [])


class PlainMockTests(BarnTestCase):
    """The first tests that we wrote, before there was StripeMock."""

    @mock.patch("stripe.Charge.create")
    def test_what_is_sent(self, create):
        create.return_value = stripe.Charge.construct_from(
            {"id": "ch_plain", "amount": 500, "source": {"last4": "4242"}}, "sk_test_barn"
        )
        order = billing.place_order(self.make_user(), "Tape", 500)

        self.assertTrue(billing.collect(order))

        sent = create.call_args[1]
        self.assertEqual(sent["amount"], 500)
        self.assertEqual(sent["currency"], "usd")
        self.assertEqual(sent["description"], "Tape")
        self.assertEqual(sent["statement_descriptor"], "Climbing Barn")
        self.assertIn("order-{}".format(order.pk), sent["idempotency_key"])

    @mock.patch("stripe.Charge.create")
    def test_a_charge_that_stripe_does_not_accept(self, create):
        create.side_effect = stripe.error.InvalidRequestError(
            "Amount must be at least 50 cents",
            "amount",
            json_body={"error": {"type": "invalid_request_error", "code": "amount_too_small"}},
        )
        order = billing.place_order(self.make_user(), "Tape", 20)

        self.assertFalse(billing.collect(order))

        order.refresh_from_db()
        self.assertEqual(order.failure, "amount_too_small")
