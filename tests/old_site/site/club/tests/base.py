import hashlib
import hmac
import json
import time

from django.contrib.auth import get_user_model
from rest_framework.test import APITestCase

from aa_stripe.settings import stripe_settings
from club import billing
from club.models import Member, Membership
from club.tests.stripe_mock import StripeMock


class BarnTestCase(APITestCase):
    def setUp(self):
        self.stripe = StripeMock()
        self.stripe.start(self)

    def make_user(self, name="ada", card="visa"):
        """A member, with a card unless card is None."""
        email = "{}@climbers.example".format(name)
        user = get_user_model().objects.create_user(email, email, "chalk bag")
        Member.objects.create(user=user, phone="555-{}".format(user.pk))
        if card:
            billing.save_card(user, self.stripe.card(card))
        return get_user_model().objects.get(pk=user.pk)

    def make_staff(self):
        user = get_user_model().objects.create_superuser("desk", "desk@barn.example", "desk")
        Member.objects.create(user=user)
        return user

    def make_membership(self, name="Basic"):
        """One of the memberships that the migrations make, with its plan at Stripe."""
        membership = Membership.objects.get(name=name)
        if membership.plan.is_created_at_stripe:
            self.stripe.add_plan(membership.plan.pk, membership.plan.amount)
        else:
            membership.plan.create_at_stripe()
        return membership

    def send_event(self, event, url="/stripe/events", secret=None):
        """Post an event as Stripe does."""
        payload = json.dumps(event)
        timestamp = int(time.time())
        signature = hmac.new(
            (secret or stripe_settings.WEBHOOK_ENDPOINT_SECRET).encode(),
            "{}.{}".format(timestamp, payload).encode(),
            hashlib.sha256,
        ).hexdigest()
        return self.client.post(
            url,
            payload,
            content_type="application/json",
            HTTP_STRIPE_SIGNATURE="t={},v1={}".format(timestamp, signature),
        )

    def event(self, event_type, about=None, event_id="evt_barn"):
        return {
            "id": event_id,
            "object": "event",
            "type": event_type,
            "created": int(time.time()),
            "data": {"object": about or {}},
        }
