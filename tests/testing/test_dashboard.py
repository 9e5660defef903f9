from __future__ import annotations

import pytest

from aa_stripe.testing import Refusal


def test_staff_can_refund_a_charge_in_parts(fake, api, paid):
    part = fake.dashboard_refund(paid.latest_charge, 300)
    rest = fake.dashboard_refund(paid.latest_charge)

    assert (part["amount"], rest["amount"]) == (300, 700)
    assert api.charges.retrieve(paid.latest_charge).refunded
    assert fake.events[-1]["request"] == {"id": None, "idempotency_key": None}


def test_a_refund_that_stripe_refuses_is_refused_in_the_dashboard(fake, paid):
    with pytest.raises(Refusal, match="greater than unrefunded amount"):
        fake.dashboard_refund(paid.latest_charge, 1001)


def test_staff_can_cancel_a_payment_intent(fake, api, intent):
    assert fake.dashboard_cancel(intent.id)["status"] == "canceled"
    assert api.payment_intents.retrieve(intent.id).cancellation_reason == "requested_by_customer"


def test_staff_can_delete_a_customer(fake, api, customer):
    fake.dashboard_delete_customer(customer.id)

    assert api.customers.retrieve(customer.id).deleted
