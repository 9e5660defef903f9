"""The benchmark of ``make bench``; prints the results, and writes them to ``bench/RESULTS.md``.

All figures are of one run, on PostgreSQL, with a stand-in for Stripe in another process. It needs
Linux, PostgreSQL and Redis; dj-stripe, which webhooks are compared with, is installed for the run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")
django.setup()

from redis import Redis, RedisError  # noqa: E402

from bench import charges, jobs, rows, webhooks  # noqa: E402
from bench.results import table, versions  # noqa: E402

REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
RESULTS = Path(__file__).with_name("RESULTS.md")

CHARGES, WEBHOOKS, JOBS = PARTS = ("charges", "webhooks", "jobs")


def main() -> None:
    options = parse()
    if CHARGES in options.parts:
        require_redis()
    with rows.database() as name:
        os.environ["BENCH_DATABASE"] = name
        text = "\n".join(results(options)) + "\n"
    print(text)
    if not options.quick and options.parts == PARTS:
        RESULTS.write_text(text, encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500, help="charges that 16 workers collect")
    parser.add_argument("--events", type=int, default=1000, help="webhooks of a measurement")
    parser.add_argument("--stored", type=int, default=20_000, help="webhooks that a job works on")
    parser.add_argument("--repeat", type=int, default=5, help="how often; the median counts")
    parser.add_argument("--quick", action="store_true", help="few rows, once; write no results")
    parser.add_argument("--only", choices=PARTS, help="only this part; write no results")
    options = parser.parse_args()
    options.parts = (options.only,) if options.only else PARTS
    if options.quick:
        options.rows, options.events, options.stored, options.repeat = 24, 20, 100, 1
    return options


def require_redis() -> None:
    """Exit without Redis: each process would have the whole rate for itself."""
    try:
        Redis.from_url(REDIS_URL).ping()
    except RedisError as error:
        sys.exit(f"The benchmark needs Redis at {REDIS_URL}: {error}")


def results(options: argparse.Namespace) -> Iterator[str]:
    database = os.environ["BENCH_DATABASE"]
    yield "# Results of `make bench`"
    yield from table(["of", ""], versions())
    yield ""
    yield f"Each figure is the median of {options.repeat}."
    if options.quick:
        yield "With so few rows the figures mean nothing: this run shows that the benchmark works."
    if CHARGES in options.parts:
        yield from charges.compare(options.rows, options.repeat, REDIS_URL)
    if WEBHOOKS in options.parts:
        yield from webhooks.compare(database, options.events, options.repeat, alone=options.quick)
    if JOBS in options.parts:
        yield from jobs.compare(database, options.stored, alone=options.quick)


if __name__ == "__main__":
    main()
