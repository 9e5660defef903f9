"""The benchmark of ``make bench``; prints the results, and writes them to ``bench/RESULTS.md``.

All figures are of one run, on PostgreSQL, with a stand-in for Stripe in another process. It needs
Linux, PostgreSQL and Redis.
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

from bench import charges, rows, webhooks  # noqa: E402
from bench.results import table, table_of_figures, versions  # noqa: E402

REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    options = parse()
    require_redis()
    with rows.database() as name:
        os.environ["BENCH_DATABASE"] = name
        text = "\n".join(results(options)) + "\n"
    print(text)
    if not options.quick:
        RESULTS.write_text(text, encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500, help="charges that 16 workers collect")
    parser.add_argument("--repeat", type=int, default=5, help="how often; the median counts")
    parser.add_argument("--quick", action="store_true", help="few rows, once; write no results")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.repeat = 24, 1
    return options


def require_redis() -> None:
    """Exit without Redis: each process would have the whole rate for itself."""
    try:
        Redis.from_url(REDIS_URL).ping()
    except RedisError as error:
        sys.exit(f"The benchmark needs Redis at {REDIS_URL}: {error}")


def results(options: argparse.Namespace) -> Iterator[str]:
    yield "# Results of `make bench`"
    yield from table(["of", ""], versions())
    yield ""
    yield f"Each figure is the median of {options.repeat}."
    if options.quick:
        yield "With so few rows the figures mean nothing: this run shows that the benchmark works."
    yield from charges.compare(options.rows, options.repeat, REDIS_URL)
    yield from ["", "## Webhooks"]
    yield from table_of_figures(webhooks.compare(options.repeat))


if __name__ == "__main__":
    main()
