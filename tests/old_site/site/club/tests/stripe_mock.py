"""Stripe without the network: what the Barn calls, replaced with mock.patch."""

import itertools
import time
from unittest import mock

import stripe

MONTH = 30 * 24 * 3600


class StripeMock:
    """An account of Stripe with what the tests look at."""

    def __init__(self):
        self.customers, self.plans, self.subscriptions, self.coupons = {}, {}, {}, {}
        self.charges, self.refunds, self.events, self.keys = [], [], [], []
        self.is_down = False
        self._numbers = itertools.count(1)

    def start(self, test):
        """Replace the calls of Stripe's library until the end of the test."""
        for name in (
            "Customer.create", "Customer.retrieve", "Customer.list",
            "Charge.create", "Charge.retrieve", "Refund.create",
            "Plan.create", "Subscription.create", "Subscription.retrieve",
            "Coupon.create", "Coupon.retrieve", "Coupon.list",
            "Event.list", "Event.retrieve",
        ):  # fmt: skip
            function = getattr(self, "_" + name.lower().replace(".", "_"))
            self._patch(test, name, function)
        for name in ("Customer.save", "Coupon.save", "Coupon.delete", "Subscription.delete"):
            function = getattr(self, "_" + name.lower().replace(".", "_"))
            self._patch(test, name, lambda obj, *args, f=function, **kw: f(obj, *args, **kw))

    def _patch(self, test, name, function):
        patcher = mock.patch("stripe." + name, function)
        patcher.start()
        test.addCleanup(patcher.stop)

    # For the tests

    def card(self, name="visa"):
        """What Stripe.js gives to the front-end for a card of Stripe's test cards."""
        return {"id": "tok_" + name, "object": "token", "type": "card", "livemode": False}

    def collected(self):
        """The amounts of the charges that went through."""
        return [charge["amount"] for charge in self.charges]

    def break_down(self):
        """Stripe fails from now on."""
        self.is_down = True

    def refund_by_hand(self, charge_id, amount):
        charge = next(charge for charge in self.charges if charge["id"] == charge_id)
        charge["amount_refunded"] += amount

    def cancel_by_hand(self, subscription_id):
        """Returns the event that Stripe sends."""
        self.subscriptions[subscription_id]["status"] = "canceled"
        return self._event("customer.subscription.deleted", self.subscriptions[subscription_id])

    def add_plan(self, plan_id, amount):
        self.plans[str(plan_id)] = self._plan_create(
            id=plan_id, amount=amount, currency="usd", interval="month", name="by hand"
        )

    def add_coupon(self, code, percent):
        """Returns the event that Stripe sends."""
        coupon = self._coupon_create(id=code, percent_off=percent, duration="once")
        return self._event("coupon.created", coupon)

    def live_coupons(self):
        return sorted(self.coupons)

    def status_of(self, subscription):
        return self.subscriptions[subscription.stripe_subscription_id]["status"]

    def discount_of(self, subscription):
        """The code of the coupon that the subscription was made with, or None."""
        return self.subscriptions[subscription.stripe_subscription_id].get("coupon")

    def metadata_of(self, charge):
        charges = {each["id"]: each for each in self.charges}
        return charges[charge.stripe_charge_id]["metadata"]

    def something_happens(self, times):
        """Events of an hour ago, which did not arrive here."""
        for _ in range(times):
            self.events.append(self._event("balance.available", {"object": "balance"}))

    def last_account(self):
        """The key that was used last."""
        return self.keys[-1]

    # Helpers

    def _id(self, prefix):
        return "{}_{}".format(prefix, next(self._numbers))

    def _event(self, event_type, about):
        return {
            "id": self._id("evt"),
            "object": "event",
            "type": event_type,
            "created": int(time.time()) - 3600,
            "data": {"object": dict(about)},
        }

    def _object(self, kind, **data):
        self.keys.append(stripe.api_key)
        return kind.construct_from(data, stripe.api_key)

    # Customers

    def _source(self, customer_id, token):
        return {
            "id": self._id("card"),
            "object": "card",
            "customer": customer_id,
            "brand": "MasterCard" if token == "tok_mastercard" else "Visa",
            "last4": {"tok_visa": "4242", "tok_mastercard": "4444"}.get(token, "0341"),
            "exp_month": 8,
            "exp_year": 2035,
            "funding": "credit",
            "country": "US",
            "name": None,
            "fingerprint": "Xt5EWLLDS7FJjR1c",
            "pays": token != "tok_chargeCustomerFail",
        }

    def _customer_create(self, source, description):
        if source == "tok_chargeDeclined":
            raise self._card_error()
        customer_id = self._id("cus")
        card = self._source(customer_id, source)
        self.customers[customer_id] = {
            "id": customer_id,
            "object": "customer",
            "description": description,
            "sources": {"object": "list", "data": [card]},
            "default_source": card["id"],
        }
        return self._object(stripe.Customer, **self.customers[customer_id])

    def _customer_retrieve(self, customer_id):
        return self._object(stripe.Customer, **self.customers[customer_id])

    def _customer_save(self, customer):
        card = self._source(customer.id, customer.source)
        kept = self.customers[customer.id]
        kept["sources"]["data"] = [card]
        kept["default_source"] = card["id"]
        customer.refresh_from(kept, stripe.api_key)

    def _customer_list(self, limit=100, starting_after=None):
        return {"data": list(self.customers.values()), "has_more": False}

    # Charges

    def _card_error(self, charge_id=""):
        body = {
            "error": {
                "type": "card_error",
                "code": "card_declined",
                "decline_code": "generic_decline",
                "message": "Your card was declined.",
                "charge": charge_id,
            }
        }
        return stripe.error.CardError(
            "Your card was declined.", None, "card_declined", json_body=body
        )

    def _charge_create(self, idempotency_key, customer, amount, currency, **params):
        if self.is_down:
            raise stripe.error.APIError("Sorry", json_body={"error": {"type": "api_error"}})
        card = self.customers[customer]["sources"]["data"][0]
        charge_id = self._id("ch")
        if not card["pays"]:
            raise self._card_error(charge_id)
        charge = self._object(
            stripe.Charge,
            id=charge_id,
            object="charge",
            amount=amount,
            amount_refunded=0,
            currency=currency,
            customer=customer,
            source=card,
            **params
        )
        self.charges.append(charge)
        return charge

    def _charge_retrieve(self, charge_id):
        return next(charge for charge in self.charges if charge["id"] == charge_id)

    def _refund_create(self, idempotency_key, charge, amount):
        kept = self._charge_retrieve(charge)
        left = kept["amount"] - kept["amount_refunded"]
        if amount > left:
            code = None if left else "charge_already_refunded"
            raise stripe.error.InvalidRequestError("Too much", "amount", code=code)
        kept["amount_refunded"] += amount
        refund = self._object(stripe.Refund, id=self._id("re"), charge=charge, amount=amount)
        self.refunds.append(refund)
        return refund

    # Plans and subscriptions

    def _plan_create(self, id, amount, currency, interval, name, **params):
        if amount < 0:
            raise stripe.error.InvalidRequestError("Invalid integer", "amount")
        plan = self._object(
            stripe.Plan, id=str(id), object="plan", amount=amount, currency=currency,
            interval=interval,
        )  # fmt: skip
        self.plans[str(id)] = plan
        return plan

    def _subscription_create(self, customer, plan, metadata, tax_percent, coupon=None):
        now = int(time.time())
        subscription = self._object(
            stripe.Subscription,
            id=self._id("sub"),
            object="subscription",
            customer=customer,
            plan=self.plans[str(plan)],
            quantity=1,
            status="active",
            current_period_start=now,
            current_period_end=now + MONTH,
            cancel_at_period_end=False,
            metadata=metadata,
            coupon=coupon,
        )
        self.subscriptions[subscription["id"]] = subscription
        return subscription

    def _subscription_retrieve(self, subscription_id):
        return self.subscriptions[subscription_id]

    def _subscription_delete(self, subscription, at_period_end=False):
        if at_period_end:
            subscription["cancel_at_period_end"] = True
        else:
            subscription["status"] = "canceled"
        return subscription

    # Coupons

    def _coupon_create(self, id, duration, **params):
        data = {
            "amount_off": None, "currency": None, "percent_off": None, "duration_in_months": None,
            "max_redemptions": None, "redeem_by": None, "metadata": {}, "livemode": False,
            "times_redeemed": 0, "valid": True, "object": "coupon", "created": int(time.time()),
        }  # fmt: skip
        data.update(params, id=id, duration=duration)
        self.coupons[id] = self._object(stripe.Coupon, **data)
        return self.coupons[id]

    def _coupon_retrieve(self, coupon_id):
        if coupon_id not in self.coupons:
            raise stripe.error.InvalidRequestError("No such coupon", "coupon")
        return self.coupons[coupon_id]

    def _coupon_save(self, coupon):
        self.coupons[coupon["id"]] = coupon

    def _coupon_delete(self, coupon):
        del self.coupons[coupon["id"]]

    def _coupon_list(self, starting_after=None):
        return {"data": list(self.coupons.values()), "has_more": False}

    # Events

    def _event_list(self, ending_before=None, limit=100):
        return {"data": self.events, "has_more": False}

    def _event_retrieve(self, event_id):
        return self._object(stripe.Event, id=event_id)
