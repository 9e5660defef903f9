"""A process that stores rows, runs a command over them, and measures itself.

``python -m bench.job process_webhooks 20000`` prints what the command took. What the first use of
the code costs is not measured: modules are loaded then, and the database is connected.
"""

from __future__ import annotations

import io
import json
import sys
import time
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402

from aa_stripe.models import StripeCustomer, StripeWebhook  # noqa: E402
from bench import deliveries, rows, stripe_stub  # noqa: E402
from bench.charger import cpu_seconds  # noqa: E402
from bench.stub_listings import DIGITS  # noqa: E402

BATCH = 1000  # rows of one INSERT
RATE = "--rate=100000"  # requests per second: no pause


def main(job: str, number: int, *options: str) -> None:
    jobs = {
        "process_webhooks": process_webhooks,
        "check_pending_webhooks": check_pending_webhooks,
        "refresh_customers": refresh_customers,
    }
    print(json.dumps(jobs[job](number, *options)))


def process_webhooks(number: int) -> dict[str, float]:
    """Apply deferred events that nobody listens to; return what one event took."""
    store_events(number + 1)
    run("process_webhooks", RATE, "--limit=1")
    cpu_before, start = cpu_seconds(), time.perf_counter()
    run("process_webhooks", RATE)
    cpu, seconds = cpu_seconds() - cpu_before, time.perf_counter() - start
    if StripeWebhook.objects.filter(is_parsed=False).exists():
        sys.exit("Not every event was applied.")
    return {"cpu": cpu / number, "seconds": seconds / number}


def check_pending_webhooks(number: int) -> dict[str, float]:
    """Compare Stripe's events with the stored ones; return what the run took."""
    StripeWebhook.objects.all().delete()
    for first in range(1, number + 1, BATCH):
        events = (
            stripe_stub.listed_event(f"{it:0{DIGITS}}")
            for it in range(first, min(first + BATCH, number + 1))
        )
        StripeWebhook.objects.bulk_create(
            StripeWebhook(id=event["id"], raw_data=event, is_parsed=True) for event in events
        )
    rows.analyze()
    return measured(f"stored: {number}", "check_pending_webhooks", RATE)


def refresh_customers(number: int, *options: str) -> dict[str, float]:
    """Refresh customers that have not changed; return what the run took."""
    from aa_stripe.jobs.memory import remember_refresh  # the old code has no such module

    rows.clear()
    StripeCustomer.objects.all().delete()
    [user] = rows.make_users(1)
    StripeCustomer.objects.bulk_create(
        (unchanged_customer(user, f"cus_{it:0{DIGITS}}") for it in range(1, number + 1)),
        batch_size=BATCH,
    )
    rows.analyze()
    remember_refresh("refresh_customers", timezone.now())
    report = f"unchanged: {number}" if options else ""
    return measured(report, "refresh_customers", RATE, *options)


def unchanged_customer(user: Any, stripe_id: str) -> StripeCustomer:
    from aa_stripe.models.legacy import with_card_keys  # the old code has no such module

    method = stripe_stub.payment_method(stripe_id)
    return StripeCustomer(
        user=user,
        stripe_customer_id=stripe_id,
        is_created_at_stripe=True,
        stripe_response=stripe_stub.customer(stripe_id),
        default_source=method["id"],
        sources=[with_card_keys(method)],
    )


def measured(report: str, command: str, *options: str) -> dict[str, float]:
    """Run the command, which has to report that; return its time in seconds."""
    run("end_subscriptions")  # loads modules, connects
    start = time.perf_counter()
    output = run(command, *options)
    seconds = time.perf_counter() - start
    if output.strip() != report:
        sys.exit(f"{command} reported:\n{output}")
    return {"seconds": seconds}


def store_events(number: int) -> None:
    """Replace all events by new ones, as the endpoint stores them if it defers them."""
    StripeWebhook.objects.all().delete()
    for first in range(0, number, BATCH):
        events = deliveries.unheard(min(BATCH, number - first))
        StripeWebhook.objects.bulk_create(
            StripeWebhook(id=event["id"], raw_data=event) for event in events
        )
    rows.analyze()


def run(command: str, *options: str) -> str:
    output = io.StringIO()
    try:
        call_command(command, *options, stdout=output, stderr=output)
    except SystemExit:
        sys.exit(output.getvalue())
    return output.getvalue()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
