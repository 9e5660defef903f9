"""A process that stores rows, runs a command over them, and measures itself.

``python -m bench.job process_webhooks 20000`` prints what the command took. The first row is not
measured: at the first use, modules are loaded and the database is connected.
"""

from __future__ import annotations

import io
import json
import sys
import time

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from aa_stripe.models import StripeWebhook  # noqa: E402
from bench import deliveries, rows  # noqa: E402
from bench.charger import cpu_seconds  # noqa: E402

BATCH = 1000  # rows of one INSERT
RATE = "--rate=100000"  # requests per second: no pause


def main(job: str, number: int) -> None:
    print(json.dumps({"process_webhooks": process_webhooks}[job](number)))


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


def store_events(number: int) -> None:
    """Replace all events by new ones, as the endpoint stores them if it defers them."""
    StripeWebhook.objects.all().delete()
    for first in range(0, number, BATCH):
        events = deliveries.unheard(min(BATCH, number - first))
        StripeWebhook.objects.bulk_create(
            StripeWebhook(id=event["id"], raw_data=event) for event in events
        )
    rows.analyze()


def run(command: str, *options: str) -> None:
    output = io.StringIO()
    try:
        call_command(command, *options, stdout=output, stderr=output)
    except SystemExit:
        sys.exit(output.getvalue())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
