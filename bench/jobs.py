"""The cost of the commands for webhooks, over many rows; part of ``make bench``."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.results import Figure, table_of_figures
from bench.webhook_sites import aa_stripe_site

EXPLANATION = """\
`process_webhooks` applies {rows:,} events that the endpoint has stored with
`STRIPE_WEBHOOK_PROCESSOR = "deferred"` and that nobody listens to, in one run, once.
"""


def compare(database: str, rows: int) -> Iterator[str]:
    """Yield the lines of the results; ``rows`` is how many events are stored."""
    yield from ["", "## Jobs", "", *EXPLANATION.format(rows=rows).splitlines()]
    yield from table_of_figures(process_webhooks(database, rows))


def process_webhooks(database: str, rows: int) -> list[Figure]:
    print(f"process_webhooks: {rows} events", flush=True)
    site = aa_stripe_site(database, stripe_url="")
    taken = json.loads(site.run("bench.job", "process_webhooks", str(rows)))
    return [
        Figure("process_webhooks: CPU", taken["cpu"] * 1000, "ms an event", at_most=1.5),
        Figure("process_webhooks: time", taken["seconds"] * 1000, "ms an event"),
    ]
