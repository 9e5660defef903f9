"""Models that a site derives from ``StripeCharge``: a proxy, and one with its own table."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils import timezone

from aa_stripe.models import StripeCharge
from tests.support.builders import make_customer
from tests.support.signals import collected_signals

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fake")]


@pytest.fixture(params=["proxy", "own table", "two parents"])
def derived(request):
    """A model that is derived from ``StripeCharge``."""
    is_proxy = request.param == "proxy"
    bases = (Session, StripeCharge) if request.param == "two parents" else (StripeCharge,)
    with isolate_apps("aa_stripe"):

        class Order(*bases):
            class Meta:
                app_label = "aa_stripe"
                proxy = is_proxy

        if is_proxy:
            yield Order
            return
        with connection.schema_editor() as editor:
            editor.create_model(Order)
        yield Order
        with connection.schema_editor() as editor:
            editor.delete_model(Order)


@pytest.fixture
def heard():
    """The signals that receivers with ``sender=StripeCharge`` hear."""
    with collected_signals(lambda name, instance: name, sender=StripeCharge) as names:
        yield names


def of(derived, card="tok_visa"):
    customer = make_customer(card=card)
    session = {"session_key": "a", "expire_date": timezone.now()}
    others = session if issubclass(derived, Session) else {}
    return derived.objects.create(user=customer.user, amount=1000, **others)


def test_a_success_and_a_refund_are_heard_once(derived, heard):
    order = of(derived)

    order.charge()
    order.refund()

    assert heard == ["succeeded", "refunded"]


def test_a_decline_is_heard_once(derived, heard):
    order = of(derived, "tok_chargeCustomerFail")

    order.charge()

    assert heard == ["card_exception"]
    assert StripeCharge.objects.get().charge_attempt_failed


def test_a_queue_gets_the_key_of_the_charge(derived, settings):
    order, keys = of(derived), []
    settings.STRIPE_CHARGE_PROCESSOR = keys.append

    order.charge_later()

    assert keys == [StripeCharge.objects.get().pk]


def test_the_flip_is_one_statement_with_its_condition(derived):
    order = of(derived)

    with CaptureQueriesContext(connection) as statements:
        order.charge()

    flips = [
        it["sql"]
        for it in statements.captured_queries
        if it["sql"].startswith("UPDATE") and "stripe_response" in it["sql"]
    ]
    assert [flip for flip in flips if "is_charged" in flip.partition("WHERE")[2]] == flips
    assert len(flips) == 1
