"""``charge_stripe`` against the usual code, and against itself with more workers and rows.

The setups take turns, so that whatever else the machine does affects all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from statistics import median

from bench import stripe_stub
from bench.measuring import Measurement, Setup, measure, statements_per_row
from bench.results import Figure, table, table_of_figures

LATENCY = 0.1  # seconds that Stripe takes to respond
UNLIMITED = 100_000  # requests per second
MIB = 1024  # KiB

EXPLANATION = """\
`one_request`, `two_requests` and `pool` (16 threads) are the usual code without aa_stripe, in
`bench/charger.py`: they save once, and neither a crash nor a lost response is dealt with. A process
is measured from the moment when it has loaded its modules and connected to the database. "CPU" is
its time in user and system mode, of all its threads. "pending" is the number of rows in the table
at the start, "requests" and "errors" are what the stand-in for Stripe has counted, and "the stub's"
is the CPU time that this stand-in has taken from the same cores. Statements include BEGIN and
COMMIT. In each measurement all rows were charged, and the reports of the processes add up to that.
""".splitlines()


def charge_stripe(workers: int, rate: int = UNLIMITED) -> str:
    return f"charge_stripe --workers {workers} --rate {rate}"


def compare(rows: int, repeat: int, redis: str) -> Iterator[str]:
    """Yield the lines of the results; ``rows`` is how many the fast setups charge."""
    busy, waiting = setups(rows, redis), backlogs(rows)
    with stripe_stub.running(LATENCY) as stub:
        found = medians(busy, stub, repeat)
    with stripe_stub.running(latency=0) as stub:
        found |= medians(waiting, stub, repeat)
        statements = {
            name: statements_per_row(replace(busy[name], rows=100), stub)
            for name in ("loop, two requests", "1 worker")
        }
    yield from ["", *EXPLANATION]
    yield from ["", f"## Charges, Stripe responds after {LATENCY * 1000:.0f} ms"]
    yield from table_of_measurements(busy, found)
    yield from ["", "## Charges of a long backlog, Stripe responds at once"]
    yield from table_of_measurements(waiting, found)
    yield from ["", "## Ratios and targets"]
    yield from table_of_figures([*speed(found), *cost(found, statements), *growth(found)])


# What is measured


def setups(rows: int, redis: str) -> dict[str, Setup]:
    few = max(rows // 16, 2)  # one after the other: about as long as all rows with 16 workers
    return {
        "loop, one request": Setup("one_request", few),
        "loop, two requests": Setup("two_requests", few),
        "pool of 16": Setup("pool", rows),
        "1 worker": Setup(charge_stripe(1), few),
        "2 processes": Setup(charge_stripe(1), 2 * few, processes=2),
        "4 processes": Setup(charge_stripe(1), 4 * few, processes=4),
        "16 workers": Setup(charge_stripe(16, rate=100), rows),
        "16 workers, no limit": Setup(charge_stripe(16), rows),
        "shared rate": Setup(charge_stripe(4, rate=100), rows * 4 // 5, processes=4, redis=redis),
    }


def backlogs(rows: int) -> dict[str, Setup]:
    command = f"{charge_stripe(1)} --limit {rows}"
    return {
        "short backlog": Setup(command, rows, pending=2 * rows),
        "long backlog": Setup(command, rows, pending=200 * rows),
    }


def medians(
    setups: dict[str, Setup], stub: stripe_stub.StripeStub, repeat: int
) -> dict[str, Measurement]:
    found: dict[str, list[Measurement]] = {name: [] for name in setups}
    for number in range(repeat):
        for name, setup in setups.items():
            print(f"{number + 1}/{repeat}: {setup}", flush=True)
            found[name].append(measure(setup, stub))
    return {name: median_of(several) for name, several in found.items()}


def median_of(several: list[Measurement]) -> Measurement:
    names = [field.name for field in fields(Measurement)]
    return Measurement(**{name: median(getattr(each, name) for each in several) for name in names})


# The results


def table_of_measurements(setups: dict[str, Setup], found: dict[str, Measurement]) -> Iterator[str]:
    heads = [
        "",
        "command",
        "rows",
        "pending",
        "rows/s",
        "requests a row",
        "errors a row",
        "CPU a row (ms)",
        "the stub's (ms)",
        "peak memory (MiB)",
    ]
    return table(heads, ([name, *cells(setup, found[name])] for name, setup in setups.items()))


def cells(setup: Setup, found: Measurement) -> list[str]:
    return [
        f"`{setup}`",
        f"{setup.rows:,}",
        f"{setup.pending or setup.rows:,}",
        f"{found.rows_per_second:.1f}",
        f"{found.requests:.2f}",
        f"{found.errors:.2f}",
        f"{found.cpu * 1000:.2f}",
        f"{found.stub_cpu * 1000:.2f}",
        f"{found.peak / MIB:.1f}",
    ]


def speed(found: dict[str, Measurement]) -> list[Figure]:
    rate = {name: each.rows_per_second for name, each in found.items()}
    shared, free = found["shared rate"], rate["16 workers, no limit"]
    return [
        Figure("16 workers", rate["16 workers"], "rows/s", at_least=45),
        Figure("16 workers / 1 worker", rate["16 workers"] / rate["1 worker"], "times", at_least=9),
        Figure("shared rate", shared.rows_per_second, "rows/s", at_least=45),
        Figure("shared rate: requests", shared.requests, "a row", at_most=2.1),
        Figure("2 processes / 1", rate["2 processes"] / rate["1 worker"], "times", at_least=1.8),
        Figure("4 processes / 1", rate["4 processes"] / rate["1 worker"], "times", at_least=3.4),
        Figure("16 workers, no limit / pool of 16", free / rate["pool of 16"], "times"),
    ]


def cost(found: dict[str, Measurement], statements: dict[str, float]) -> list[Figure]:
    one, two = found["loop, one request"].cpu, found["loop, two requests"].cpu
    ours = found["1 worker"].cpu
    return [
        Figure("1 worker / loop, two requests: CPU", ours / two, "times", at_most=2),
        Figure("1 worker / loop, one request: CPU", ours / one, "times"),
        *(Figure(f"{name}: statements", each, "a row") for name, each in statements.items()),
    ]


def growth(found: dict[str, Measurement]) -> list[Figure]:
    short, long = found["short backlog"], found["long backlog"]
    memory, seconds = (long.peak - short.peak) / MIB, short.rows_per_second / long.rows_per_second
    return [
        Figure("long backlog - short backlog: peak memory", memory, "MiB", at_most=20),
        Figure("long backlog / short backlog: time a row", seconds, "times", at_most=1.1),
    ]
