"""A process that charges all pending rows in one of several ways, and measures itself.

``python -m bench.charger charge_stripe --workers 4`` runs the command; the other ways are the usual
code without this package: ``one_request``, ``two_requests`` and ``pool``. They do not distinguish
a lost response from a decline, and after a crash between the request and the UPDATE a paid row
stays unpaid. Each process first loads and connects what it needs, which is not measured.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")
django.setup()

import stripe  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from aa_stripe.models import StripeCharge  # noqa: E402

Row = dict[str, Any]

READY = "ready"
POOL_SIZE = 16  # threads


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count-statements", action="store_true")
    parser.add_argument("way", choices=["charge_stripe", *BY_HAND])
    arguments, options = parser.parse_known_args()
    warm_up(arguments.way, options)
    print(READY, flush=True)
    input()  # the benchmark starts several processes at the same moment
    run = count_statements if arguments.count_statements else measure
    print(json.dumps(run(arguments.way, options)), flush=True)


def warm_up(way: str, options: list[str]) -> None:
    """Load what is loaded at the first use; there are no rows yet."""
    charge_all(way, options)
    terms = {"amount": 1, "currency": "usd", "customer": "cus_warm_up"}
    request_twice(new_client(), terms, {"payment_method": "pm_warm_up"})


def measure(way: str, options: list[str]) -> dict[str, float]:
    """Return the rows that were charged, and what they cost; the times in seconds."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak of the memory begins anew
    cpu_before, start = cpu_seconds(), time.perf_counter()
    rows = charge_all(way, options)
    return {
        "rows": rows,
        "start": start,  # of a clock that all processes share
        "end": time.perf_counter(),
        "cpu": cpu_seconds() - cpu_before,
        "peak": peak_memory(),
    }


def count_statements(way: str, options: list[str]) -> dict[str, float]:
    """Return the rows and the SQL statements, BEGIN and COMMIT included, of this thread."""
    with CaptureQueriesContext(connection) as captured:
        rows = charge_all(way, options)
    return {"rows": rows, "statements": len(captured)}


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_memory() -> int:
    """Return the largest resident size since the last ``clear_refs``, in KiB."""
    found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


# The ways. Each returns how many rows it has charged.


def charge_all(way: str, options: list[str]) -> int:
    return BY_HAND[way]() if way in BY_HAND else charge_stripe(options)


def charge_stripe(options: list[str]) -> int:
    output = io.StringIO()
    try:
        call_command("charge_stripe", *options, stdout=output, stderr=output)
    except SystemExit:
        sys.exit(output.getvalue())
    found = re.search(r"^collected: (\d+)", output.getvalue(), re.MULTILINE)
    return int(found[1]) if found else 0


def loop_of_one_request() -> int:
    client, charges = new_client(), pending()
    for charge in charges:
        terms, card = params_of(charge)
        intent = client.v1.payment_intents.create({**terms, **card, "confirm": True})
        save(charge, intent)
    return len(charges)


def loop_of_two_requests() -> int:
    client, charges = new_client(), pending()
    for charge in charges:
        save(charge, request_twice(client, *params_of(charge)))
    return len(charges)


def pool_of_two_requests() -> int:
    client, charges = new_client(), pending()

    def pay(charge: Row) -> None:
        save(charge, request_twice(client, *params_of(charge)))

    with ThreadPoolExecutor(POOL_SIZE) as pool:
        list(pool.map(pay, charges))
    return len(charges)


BY_HAND = {
    "one_request": loop_of_one_request,
    "two_requests": loop_of_two_requests,
    "pool": pool_of_two_requests,
}


# The usual code


def new_client() -> stripe.StripeClient:
    base: Any = {"api": settings.STRIPE_API_BASE}
    return stripe.StripeClient(settings.STRIPE_API_KEY, base_addresses=base)


def pending() -> list[Row]:
    """Return plain values: a model's instances would cost what aa_stripe adds to them."""
    customer = ("customer__stripe_customer_id", "customer__default_source")
    rows = StripeCharge.objects.filter(is_charged=False)
    return list(rows.values("pk", "amount", "currency", *customer))


def params_of(charge: Row) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters of the creation, and those of the confirmation."""
    terms = {
        "amount": charge["amount"],
        "currency": charge["currency"],
        "customer": charge["customer__stripe_customer_id"],
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    }
    return terms, {"payment_method": charge["customer__default_source"], "off_session": True}


def request_twice(
    client: stripe.StripeClient, terms: dict[str, Any], card: dict[str, Any]
) -> stripe.PaymentIntent:
    created = client.v1.payment_intents.create(terms)
    return client.v1.payment_intents.confirm(created.id, card)


def save(charge: Row, intent: stripe.PaymentIntent) -> None:
    StripeCharge.objects.filter(pk=charge["pk"]).update(
        is_charged=True, stripe_charge_id=intent.latest_charge
    )


if __name__ == "__main__":
    main()
