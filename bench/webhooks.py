"""Webhooks per second, through gunicorn, next to sites that do less or the same; of ``make bench``.

The sites take turns, so that whatever else the machine does affects all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from bench import arena, databases, deliveries
from bench.arena import Arena
from bench.deliveries import JSON, Row
from bench.results import Figure, table_of_figures
from bench.site import Site
from bench.webhook_sites import (
    AA_STRIPE,
    CONSTRUCT_EVENT,
    DJ_STRIPE,
    DJ_STRIPE_VERSION,
    LIMIT,
    OLD_COMMIT,
)

EXPLANATION = f"""\
Each site is a gunicorn of its own with one synchronous worker, without middleware and with a
persistent connection to PostgreSQL; 4 clients at a time deliver signed events to it. `limit` is a
view by hand that verifies the signature and stores the event with one INSERT, and nothing else;
`construct_event` does the same with the SDK's function of that name. Both are in
`bench/site_urls.py`. dj-stripe is version {DJ_STRIPE_VERSION}, and `{OLD_COMMIT}` is aa_stripe at
that commit. No site has a handler for the new event, which has about 3 kB. Stripe responds at once,
and its stand-in counts the requests. A duplicate and the payment of a charged row are compared with
`limit` when it receives a new event. A ratio is the median of the ratios of each round.
""".splitlines()

# What is delivered
NEW = "new event"
DUPLICATE = "duplicate"
CHARGED = "payment of a charged row"
PENDING = "payment of a pending row"
CUSTOMER = "customer.updated"

#: How many times fewer events are delivered where one takes long.
FEWER = 5


def compare(database: str, events: int, repeat: int, *, alone: bool) -> Iterator[str]:
    """Yield the lines of the results; ``alone``: without dj-stripe and the old code."""
    with arena.opened(database, alone=alone) as found:
        for _ in range(repeat):
            measure_new_events(found, events)
            measure_charges(found, events)
    yield from ["", "## Webhooks", "", *EXPLANATION]
    for note in found.notes:
        yield from ["", f"Not measured: {note}"]
    yield from table_of_figures(figures(found))


# What is measured


def measure_new_events(found: Arena, events: int) -> None:
    for site in found.sites(LIMIT, CONSTRUCT_EVENT, AA_STRIPE):
        sent = requests(site, deliveries.unheard(events))
        found.deliver(NEW, site, sent, site.created)
        if site.name == AA_STRIPE:
            found.deliver(DUPLICATE, site, sent, 200)
    for site in found.sites(DJ_STRIPE):
        sent = requests(site, deliveries.unheard(events // FEWER))
        found.deliver(NEW, site, sent, site.created)


def measure_charges(found: Arena, events: int) -> None:
    for site in found.sites(AA_STRIPE):
        charged = charges(site, "charged", FEWER * events)[:events]
        sent = requests(site, map(deliveries.succeeded, charged))
        found.deliver(CHARGED, site, sent, site.created)
    for site in found.sites(AA_STRIPE, OLD_COMMIT):
        pending = charges(site, "pending", events)[: events // FEWER]
        for load, event_of in (
            (PENDING, deliveries.succeeded),
            (CUSTOMER, deliveries.customer_updated),
        ):
            sent = requests(site, map(event_of, pending))
            found.deliver(load, site, sent, site.created)


def requests(site: Site, events: Iterable[JSON]) -> list[bytes]:
    """Empty the site's table of events; return the requests that deliver the new ones."""
    databases.execute(site.database, f"TRUNCATE {site.table}")
    return [deliveries.request(site.path, event) for event in events]


def charges(site: Site, state: str, number: int) -> list[Row]:
    """Replace the charges of the site."""
    rows: list[Row] = json.loads(site.run("bench.webhook_rows", state, str(number)))
    return rows


# The results


def figures(found: Arena) -> Iterator[Figure]:
    for load, site in found.speeds:
        yield Figure(f"{load}: {site}", found.speed(load, site), "events/s")
    for load, at_most in ((CHARGED, 0), (PENDING, None), (CUSTOMER, None)):
        asked = found.requests_to_stripe(load, AA_STRIPE)
        yield Figure(f"{load}: requests to Stripe", asked, "an event", at_most=at_most)
    yield from ratios(found)


def ratios(found: Arena) -> Iterator[Figure]:
    """Yield aa_stripe's speed by that of each other site, where it was measured."""
    for load, other, at_least in (
        (NEW, (NEW, LIMIT), 0.75),
        (NEW, (NEW, CONSTRUCT_EVENT), 1),
        (NEW, (NEW, DJ_STRIPE), 8),
        (DUPLICATE, (NEW, LIMIT), 0.75),
        (CHARGED, (NEW, LIMIT), 0.4),
        (PENDING, (PENDING, OLD_COMMIT), 3),
        (CUSTOMER, (CUSTOMER, OLD_COMMIT), 3),
    ):
        if other in found.speeds:
            ratio = found.ratio((load, AA_STRIPE), other)
            yield Figure(f"{load}: {AA_STRIPE} / {other[1]}", ratio, "times", at_least=at_least)
