"""The sites that are up, and what was measured of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median

from bench import client, deliveries, stripe_stub, webhook_sites
from bench.site import Site, serving
from bench.webhook_sites import Unavailable

WARM_UP = 50  # events


@dataclass
class Arena:
    """Sites with their ports; the measurements by load (what is delivered) and site."""

    stub: stripe_stub.StripeStub
    ports: dict[Site, int] = field(default_factory=dict)
    #: Why sites are missing.
    notes: list[str] = field(default_factory=list)
    speeds: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    requests: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def sites(self, *names: str) -> list[Site]:
        """Return those of the sites that are up."""
        return [site for site in self.ports if site.name in names]

    def deliver(self, load: str, site: Site, sent: list[bytes], status: int) -> None:
        """Deliver the events and measure that; each response has to have the status."""
        print(f"{load}: {len(sent)} to {site.name}", flush=True)
        self.stub.counts()  # begins to count anew
        seconds = client.send(self.ports[site], sent, status)
        self.speeds[load, site.name].append(len(sent) / seconds)
        self.requests[load, site.name].append(self.stub.counts().requests.total() / len(sent))

    def speed(self, load: str, site: str) -> float:
        """Return the median of the events per second."""
        return median(self.speeds[load, site])

    def ratio(self, one: tuple[str, str], other: tuple[str, str]) -> float:
        """Return the median of the ratios of two speeds, each of the same round."""
        rounds = zip(self.speeds[one], self.speeds[other], strict=True)
        return median(speed / other_speed for speed, other_speed in rounds)

    def requests_to_stripe(self, load: str, site: str) -> float:
        """Return the median of the requests to Stripe for each event."""
        return median(self.requests[load, site])


@contextmanager
def opened(database: str, *, alone: bool) -> Iterator[Arena]:
    """Run all sites for the block; ``alone``: without dj-stripe and the old code."""
    with ExitStack() as stack:
        arena = Arena(stack.enter_context(stripe_stub.running(latency=0)))
        url = arena.stub.url
        for site in webhook_sites.own(database, url):
            add(arena, stack, site)
        others = () if alone else (webhook_sites.dj_stripe_site, webhook_sites.old_site)
        for other in others:
            add_if_available(arena, stack, other(database, url))
        yield arena


def add_if_available(arena: Arena, stack: ExitStack, making: AbstractContextManager[Site]) -> None:
    try:
        site = stack.enter_context(making)
    except Unavailable as error:
        arena.notes.append(str(error))
    else:
        add(arena, stack, site)


def add(arena: Arena, stack: ExitStack, site: Site) -> None:
    arena.ports[site] = stack.enter_context(serving(site))
    sent = [deliveries.request(site.path, event) for event in deliveries.unheard(WARM_UP)]
    client.send(arena.ports[site], sent, site.created)
