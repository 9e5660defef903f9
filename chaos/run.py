"""One run: set up, chaos, calm, judgement."""

from __future__ import annotations

import socket
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from django.db import OperationalError, connection

from aa_stripe.models import StripeCharge
from aa_stripe.testing import FakeStripe
from chaos import clock, database, payers
from chaos.judge import Judge, undecided
from chaos.murder import Murderer, run_alone
from chaos.old_code import checked_out
from chaos.roles import Orders, count_refunds, finish
from chaos.stripe import BadDay
from chaos.world import World

#: How many hours may pass in the end until everything is decided.
MOST_HOURS = 40

FEW = 0.02


@dataclass(frozen=True)
class Options:
    """``seconds`` is the shortest time of the chaos, ``most_seconds`` the longest.

    It ends when few rows are pending: the retries make some pending again and again.
    """

    rows: int
    seed: int
    seconds: float
    most_seconds: float
    mutant: str
    old_code: bool = False  # whether processes of an older version charge rows as well


def run(options: Options) -> int:
    """Run; print the violations and the counts; return the exit status, 1 after a violation."""
    clock.shorten_keys()
    begun = time.monotonic()
    with database.created(), FakeStripe() as fake:
        payers.create(options.rows, Random(options.seed))
        old = checked_out() if options.old_code else nullcontext(None)
        with fake.serve() as url, old as old_code:
            violations, counts = _fire(options, fake, url, old_code)
    for violation in violations:
        print(violation)
    for name, count in sorted(counts.items()):
        print(f"{count:8} {name}")
    print(
        f"{connection.vendor}, seed {options.seed}: {options.rows} charges in "
        f"{time.monotonic() - begun:.0f} s, {len(violations)} violations."
    )
    return 1 if violations else 0


def _fire(
    options: Options, fake: FakeStripe, url: str, old_code: Path | None
) -> tuple[list[str], Counter[str]]:
    begun = time.monotonic()
    orders = Orders(url, _free_port(), options.mutant)
    murderer = Murderer(Random(options.seed + 1), old_code)
    bad_day = BadDay(fake, murderer, Random(options.seed + 2), options.mutant)
    site = f"http://127.0.0.1:{orders.port}/aa-stripe/webhooks"
    world = World(fake, url, site, Random(options.seed + 3))
    with world.turning():
        try:
            _rage(options, murderer, orders)
        finally:
            murderer.end()
            bad_day.end()
    seconds, pending = time.monotonic() - begun, StripeCharge.objects.pending().count()
    print(f"Calm after {seconds:.0f} s, with {pending} pending charges", flush=True)
    _calm_down(fake, world, orders)
    judge = Judge(fake, options.old_code)
    found = [*bad_day.seen, *judge.violations()]
    counts = murderer.counts + bad_day.counts + world.counts
    found += [name for name in counts if name.endswith("ended by itself")]
    return found, counts + Counter(charged=StripeCharge.objects.filter(is_charged=True).count())


def _rage(options: Options, murderer: Murderer, orders: Orders) -> None:
    begun = looked = time.monotonic()
    murderer.start(orders)
    while time.monotonic() < begun + options.most_seconds:
        murderer.act()
        time.sleep(0.02)
        if time.monotonic() < max(looked + 1, begun + options.seconds):
            continue
        looked = time.monotonic()
        if not _is_busy(options.rows):
            break


def _is_busy(rows: int) -> bool:
    try:
        return StripeCharge.objects.pending().count() > rows * FEW
    except OperationalError:  # SQLite is locked
        return True


def _calm_down(fake: FakeStripe, world: World, orders: Orders) -> None:
    """Let hours pass and the jobs run until everything is decided."""
    for hour in range(MOST_HOURS):
        world.settle_all()
        fake.advance(timedelta(hours=1).total_seconds())
        clock.let_pass(timedelta(hours=1))
        run_alone(finish, orders)
        print(f"{undecided()} undecided after {hour + 1} hours", flush=True)
        if not undecided():
            break
    run_alone(count_refunds, orders)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
