from django.urls import reverse

from aa_stripe.models import StripeCustomer
from club import billing
from club.models import Member
from club.tests.base import BarnTestCase


class SaveCardTests(BarnTestCase):
    def test_the_card_is_at_stripe(self):
        user = self.make_user()

        customer = user.stripe_customers.get()
        self.assertTrue(customer.is_created_at_stripe)
        self.assertTrue(customer.stripe_customer_id.startswith("cus_"))
        self.assertEqual(user.member.card["last4"], "4242")
        self.assertEqual(user.member.card["brand"], "Visa")

    def test_without_a_card(self):
        self.assertIsNone(self.make_user(card=None).member.card)

    def test_the_latest_customer_pays(self):
        user = self.make_user()
        billing.save_card(user, self.stripe.card("mastercard"))

        order = billing.buy(user, "Day ticket", 2200)

        self.assertEqual(order.charges.get().stripe_response["source"]["last4"], "4444")

    def test_the_card_of_the_account_page(self):
        self.client.force_login(self.make_user())

        response = self.client.get("/account")

        self.assertContains(response, "Visa ending in 4242")

    def test_the_account_page_without_a_card(self):
        self.client.force_login(self.make_user(card=None))

        self.assertContains(self.client.get("/account"), "No card")


class CardsApiTests(BarnTestCase):
    def setUp(self):
        super().setUp()
        self.user = self.make_user(card=None)
        self.client.force_authenticate(self.user)

    def post(self, url="/api/cards", card="visa"):
        return self.client.post(url, {"stripe_js_response": self.stripe.card(card)}, format="json")

    def test_a_card_is_saved(self):
        response = self.post()

        self.assertEqual(response.status_code, 201)
        member = Member.objects.get(user=self.user)
        self.assertEqual(member.billing_customer, StripeCustomer.objects.get(user=self.user))
        self.assertEqual(member.card["last4"], "4242")

    def test_the_old_address_works(self):
        response = self.post("/aa-stripe/customers")

        self.assertEqual(response.status_code, 201)
        self.assertEqual(reverse("stripe-customers"), "/aa-stripe/customers")

    def test_a_card_that_is_refused(self):
        response = self.post(card="chargeDeclined")

        self.assertEqual(response.status_code, 400)
        self.assertEqual(response.data, {"stripe_error": "Your card was declined."})

    def test_a_card_has_to_be_sent(self):
        response = self.client.post("/api/cards", {}, format="json")

        self.assertEqual(response.status_code, 400)
        self.assertEqual(response.data, {"stripe_js_response": ["This field is required."]})

    def test_a_card_needs_an_account(self):
        self.client.force_authenticate(None)

        self.assertIn(self.post().status_code, (401, 403))

    def test_a_card_is_shown(self):
        self.post()
        customer = self.user.stripe_customers.get()

        response = self.client.get("/api/cards/" + customer.stripe_customer_id)

        self.assertEqual(set(response.data), {"stripe_customer_id", "default_source_data"})
        self.assertEqual(response.data["default_source_data"]["exp_year"], 2035)

    def test_a_card_is_replaced(self):
        self.post()
        customer = self.user.stripe_customers.get()

        response = self.client.patch(
            "/api/cards/" + customer.stripe_customer_id,
            {"stripe_js_response": self.stripe.card("mastercard")},
            format="json",
        )

        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.data["default_source_data"]["last4"], "4444")

    def test_a_card_is_not_replaced_with_nothing(self):
        self.post()
        customer = self.user.stripe_customers.get()

        response = self.client.patch(
            "/api/cards/" + customer.stripe_customer_id,
            {"stripe_js_response": {"object": "token"}},
            format="json",
        )

        self.assertEqual(
            response.data,
            {"stripe_js_response": ["This field must contain JSON data from Stripe JS."]},
        )

    def test_the_cards_of_others_are_not_shown(self):
        customer = self.make_user("bob").stripe_customers.get()

        response = self.client.get("/api/cards/" + customer.stripe_customer_id)

        self.assertEqual(response.status_code, 404)

    def test_a_customer_that_is_not_used_any_more_is_not_shown(self):
        self.post()
        customer = self.user.stripe_customers.get()
        StripeCustomer.objects.filter(pk=customer.pk).update(is_active=False)

        response = self.client.get("/api/cards/" + customer.stripe_customer_id)

        self.assertEqual(response.status_code, 404)

    def test_the_desk_sees_the_card_of_a_member(self):
        self.post()
        self.client.force_authenticate(self.make_staff())

        response = self.client.get("/api/desk/cards/{}".format(self.user.pk))

        self.assertEqual(response.data["default_source_data"]["last4"], "4242")

    def test_members_do_not_see_what_the_desk_sees(self):
        self.post()

        response = self.client.get("/api/desk/cards/{}".format(self.user.pk))

        self.assertEqual(response.status_code, 404)


class RegisterTests(BarnTestCase):
    data = {"email": "cy@climbers.example", "password": "chalk bag"}

    def test_an_account_with_its_card_in_one_call(self):
        response = self.client.post(
            "/api/register",
            dict(self.data, stripe_js_response=self.stripe.card()),
            format="json",
        )

        self.assertEqual(response.status_code, 201)
        self.assertTrue(response.data["has_card"])
        member = Member.objects.get(pk=response.data["id"])
        self.assertEqual(member.card["last4"], "4242")

    def test_an_account_without_a_card(self):
        response = self.client.post("/api/register", self.data, format="json")

        self.assertEqual(response.status_code, 201)
        self.assertFalse(response.data["has_card"])
