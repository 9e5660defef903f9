"""The views of the HTTP API, each with a request that succeeds, and subclasses of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rest_framework.test import APIRequestFactory, force_authenticate

from aa_stripe import api
from aa_stripe.models import StripeCoupon
from tests.support.builders import make_charge, make_customer
from tests.webhooks.deliveries import body_of, signature_of
from tests.webhooks.effects import make_event

CARD = {"stripe_js_response": {"id": "tok_mastercard"}}


@dataclass
class Endpoint:
    view: Any
    payer: Any
    method: str = "get"
    kwargs: dict[str, Any] = field(default_factory=dict)
    data: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    row: Any = None

    def derived(self, *bases, **attributes):
        """Return a subclass of the view with these attributes."""
        return type("Derived", (*bases, self.view), attributes)

    def respond(self, *bases, method=None, kwargs=None, is_signed_in=True, **attributes):
        """Return the response of a subclass with these attributes to the request."""
        request = self.request(method or self.method)
        if is_signed_in:
            force_authenticate(request, self.payer)
        view = self.derived(*bases, **attributes).as_view()
        return view(request, **(self.kwargs if kwargs is None else kwargs)).render()

    def request(self, method):
        factory = APIRequestFactory()
        if isinstance(self.data, bytes):
            return factory.generic("POST", "/", self.data, "application/json", headers=self.headers)
        return getattr(factory, method)("/", self.data, format="json" if self.data else None)


def customers(payer):
    return Endpoint(api.CustomersAPI, payer, "post", data=CARD)


def customer_details(payer):
    row = make_customer(payer)
    kwargs = {"stripe_customer_id": row.stripe_customer_id}
    return Endpoint(api.CustomerDetailsAPI, payer, "patch", kwargs, CARD, row=row)


def setup_intents(payer):
    return Endpoint(api.SetupIntentsAPI, payer, "post", data={"a": 1})


def charge_details(payer):
    row = make_charge(make_customer(payer))
    return Endpoint(api.ChargeDetailsAPI, payer, "get", {"uuid": row.uuid}, row=row)


def coupon_details(payer):
    row = StripeCoupon.objects.create(coupon_id="SALE10", percent_off=10, duration="once")
    return Endpoint(api.CouponDetailsAPI, payer, "get", {"coupon_id": "SALE10"}, row=row)


def webhooks(payer):
    body = body_of(make_event())
    headers = {"Stripe-Signature": signature_of(body)}
    return Endpoint(api.WebhookAPI, payer, "post", data=body, headers=headers)
