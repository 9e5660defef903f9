"""The benchmark of ``make bench``: ``charge_stripe`` against a loop around the SDK, and webhooks.

Both charge the same number of rows, in one process, on SQLite, from the same offline Stripe. The
loop is the usual code without this package: one request that creates and confirms a payment, then
one UPDATE. It does not distinguish a lost response from a decline, and after a crash between the
request and the UPDATE a paid row stays unpaid. The benchmark measures the cost of preventing both.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")
django.setup()

import stripe  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402

from aa_stripe import gateway, jobs  # noqa: E402
from aa_stripe.models import StripeCharge, StripeCustomer  # noqa: E402
from aa_stripe.testing import FakeStripe, Fault  # noqa: E402
from bench import webhooks  # noqa: E402

#: The number of rows that each variant charges, by the latency of Stripe (seconds).
SIZES = {0: 200, 0.1: 20}
UNLIMITED = 1_000_000  # requests per second


@dataclass(frozen=True)
class Measurement:
    seconds: float  # per charge
    requests: float  # per charge


def main() -> None:
    call_command("migrate", verbosity=0)
    for latency, rows in SIZES.items():
        by_hand = measure(charge_by_hand, rows, latency)
        by_job = measure(charge_by_job, rows, latency)
        print(f"{rows} charges, Stripe responds after {latency * 1000:.0f} ms:")
        print(f"  the SDK in a loop   {describe(by_hand)}")
        print(f"  charge_stripe       {describe(by_job)}")
        print(f"  ratio               {by_job.seconds / by_hand.seconds:7.2f}")
    webhooks.compare()


def describe(measured: Measurement) -> str:
    return f"{measured.seconds * 1000:7.2f} ms and {measured.requests:.2f} requests a charge"


def measure(charge_all: Callable[[], None], rows: int, latency: float) -> Measurement:
    with FakeStripe() as fake:
        customer = make_customer()
        StripeCharge.objects.bulk_create(
            StripeCharge(user=customer.user, customer=customer, amount=1000, is_manual_charge=False)
            for _ in range(rows)
        )
        if latency:
            fake.fail_next("*", Fault.SLOW, times=None, seconds=latency)
        requests_before = len(fake.requests)
        start = time.perf_counter()
        charge_all()
        seconds = time.perf_counter() - start
        requests = len(fake.requests) - requests_before
    if StripeCharge.objects.filter(user=customer.user, is_charged=True).count() != rows:
        sys.exit("Not every row was charged; there is nothing to compare.")
    return Measurement(seconds / rows, requests / rows)


def make_customer() -> StripeCustomer:
    user_model = get_user_model()
    user = user_model.objects.create_user(f"payer{user_model.objects.count()}")
    customer = StripeCustomer.objects.create(user=user, stripe_js_response={"id": "tok_visa"})
    return customer.create_at_stripe()


def charge_by_hand() -> None:
    client = stripe.StripeClient("sk_test_fake", http_client=gateway.http_client)
    for charge in StripeCharge.objects.filter(is_charged=False).select_related("customer"):
        intent = client.v1.payment_intents.create(
            {
                "amount": charge.amount,
                "currency": charge.currency,
                "customer": charge.customer.stripe_customer_id,
                "payment_method": charge.customer.default_source,
                "confirm": True,
                "off_session": True,
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            }
        )
        StripeCharge.objects.filter(pk=charge.pk).update(
            is_charged=True, stripe_charge_id=intent.latest_charge
        )


def charge_by_job() -> None:
    jobs.charge_pending(rate=UNLIMITED)


if __name__ == "__main__":
    main()
