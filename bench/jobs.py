"""The cost of the commands for webhooks and customers, over many rows; part of ``make bench``."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench import stripe_stub
from bench.results import Figure, table_of_figures
from bench.site import Site
from bench.webhook_sites import OLD_COMMIT, Unavailable, aa_stripe_site, old_site

#: How long Stripe takes to respond, in seconds, when customers are refreshed.
LATENCY = 0.05

#: How many times fewer customers are refreshed than events are stored: by events, and all of them.
FEWER_BY_EVENTS = 2
FEWER_OF_ALL = 20

WORKERS = 16

EXPLANATION = f"""\
`process_webhooks` applies {{rows:,}} events that the endpoint has stored with
`STRIPE_WEBHOOK_PROCESSOR = "deferred"` and that nobody listens to, in one run, once.
`check_pending_webhooks` compares {{rows:,}} events of Stripe's, which responds at once, with the
same ones stored; `{OLD_COMMIT}` is aa_stripe at that commit. `refresh_customers` refreshes
customers that have not changed: {{by_events:,}} by Stripe's events since the last run, and
{{all:,}} with `--all`, by one worker and by {WORKERS}; Stripe takes {LATENCY * 1000:.0f} ms for a
response.
"""


def compare(database: str, rows: int, *, alone: bool) -> Iterator[str]:
    """Yield the lines of the results; ``rows`` is how many events are stored.

    ``alone``: without the old code.
    """
    by_events, of_all = rows // FEWER_BY_EVENTS, rows // FEWER_OF_ALL
    explanation = EXPLANATION.format(rows=rows, by_events=by_events, all=of_all)
    yield from ["", "## Jobs", "", *explanation.splitlines()]
    figures = process_webhooks(database, rows)
    figures += check_pending_webhooks(database, rows)
    if not alone:
        try:
            figures += compare_with_old(database, rows, figures[-1].value)
        except Unavailable as reason:
            yield from ["", f"Not measured: {reason}"]
    figures += refresh_by_events(database, by_events)
    figures += refresh_all(database, of_all)
    yield from table_of_figures(figures)


def process_webhooks(database: str, rows: int) -> list[Figure]:
    print(f"process_webhooks: {rows} events", flush=True)
    taken = run(aa_stripe_site(database, stripe_url=""), "process_webhooks", rows)
    return [
        Figure("process_webhooks: CPU", taken["cpu"] * 1000, "ms an event", at_most=1.5),
        Figure("process_webhooks: time", taken["seconds"] * 1000, "ms an event"),
    ]


def check_pending_webhooks(database: str, rows: int) -> list[Figure]:
    print(f"check_pending_webhooks: {rows} events", flush=True)
    with stripe_stub.running(latency=0, events=rows) as stub:
        taken = run(aa_stripe_site(database, stub.url), "check_pending_webhooks", rows)
    return [Figure("check_pending_webhooks: time", taken["seconds"], "s")]


def compare_with_old(database: str, rows: int, seconds: float) -> list[Figure]:
    print(f"check_pending_webhooks of {OLD_COMMIT}: {rows} events", flush=True)
    with (
        stripe_stub.running(latency=0, events=rows) as stub,
        old_site(database, stub.url) as site,
    ):
        taken = run(site, "check_pending_webhooks", rows)
    name = "check_pending_webhooks"
    return [
        Figure(f"{name} of {OLD_COMMIT}: time", taken["seconds"], "s"),
        Figure(f"{name}: as fast as {OLD_COMMIT}", taken["seconds"] / seconds, "times", 6),
    ]


def refresh_by_events(database: str, rows: int) -> list[Figure]:
    print(f"refresh_customers by events: {rows} customers", flush=True)
    with stripe_stub.running(LATENCY, customers=rows) as stub:
        taken = run(aa_stripe_site(database, stub.url), "refresh_customers", rows)
        requests = sum(stub.counts().requests.values())
    return [
        Figure("refresh_customers by events: requests", requests, "", at_most=3),
        Figure("refresh_customers by events: time", taken["seconds"], "s", at_most=1),
    ]


def refresh_all(database: str, rows: int) -> list[Figure]:
    print(f"refresh_customers --all: {rows} customers", flush=True)
    taken = {}
    with stripe_stub.running(LATENCY, customers=rows) as stub:
        site = aa_stripe_site(database, stub.url)
        for workers in (1, WORKERS):
            options = ("--all", f"--workers={workers}")
            taken[workers] = run(site, "refresh_customers", rows, *options)["seconds"]
    name = "refresh_customers --all"
    return [
        Figure(f"{name}, 1 worker: time", taken[1], "s"),
        Figure(f"{name}, {WORKERS} workers: time", taken[WORKERS], "s"),
        Figure(f"{name}, {WORKERS} workers: as fast as 1", taken[1] / taken[WORKERS], "times", 8),
    ]


def run(site: Site, job: str, rows: int, *options: str) -> dict[str, float]:
    """Return what the command took in the site's process."""
    taken: dict[str, float] = json.loads(site.run("bench.job", job, str(rows), *options))
    return taken
