"""One measurement: processes that charge a number of rows, and what that takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

from bench import rows
from bench.stripe_stub import StripeStub


@dataclass(frozen=True)
class Setup:
    """What is measured: ``processes`` that run ``command`` and charge ``rows`` of ``pending``."""

    command: str
    rows: int
    processes: int = 1
    pending: int = 0  # 0: as many as are charged
    redis: str = ""  # URL of the rate that the processes share

    def __str__(self) -> str:
        times = f"{self.processes} x " if self.processes > 1 else ""
        return f"{times}{self.command}"


@dataclass(frozen=True)
class Measurement:
    """What a row took, and the peak memory of the largest process."""

    rows_per_second: float
    requests: float  # a row
    errors: float  # responses other than 200, a row
    cpu: float  # seconds a row
    stub_cpu: float  # seconds a row
    peak: float  # KiB


def measure(setup: Setup, stub: StripeStub) -> Measurement:
    reports = run(setup, stub)
    counts = stub.counts()
    seconds = max(each["end"] for each in reports) - min(each["start"] for each in reports)
    return Measurement(
        rows_per_second=setup.rows / seconds,
        requests=counts.requests.total() / setup.rows,
        errors=counts.errors() / setup.rows,
        cpu=sum(each["cpu"] for each in reports) / setup.rows,
        stub_cpu=counts.cpu / setup.rows,
        peak=max(each["peak"] for each in reports),
    )


def statements_per_row(setup: Setup, stub: StripeStub) -> float:
    (report,) = run(setup, stub, "--count-statements")
    return report["statements"] / setup.rows


def run(setup: Setup, stub: StripeStub, *options: str) -> list[dict[str, float]]:
    """Fill the table, and let the processes charge it; return their reports."""
    rows.clear()
    processes = [start(setup, stub, *options) for _ in range(setup.processes)]
    try:
        for process in processes:
            read_line(process)
        rows.fill(setup.pending or setup.rows)
        stub.counts()  # those of the warm-up
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        reports = [json.loads(read_line(process)) for process in processes]
    finally:
        for process in processes:  # after an error, they would keep the database open
            process.kill()
            process.communicate()
    check(setup, reports)
    return reports


def check(setup: Setup, reports: list[dict[str, float]]) -> None:
    charged, reported = rows.charged(), sum(report["rows"] for report in reports)
    if not charged == reported == setup.rows:
        sys.exit(f"{setup}: {charged} of {setup.rows} rows charged, {reported} reported.")


def start(setup: Setup, stub: StripeStub, *options: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "BENCH_STRIPE_URL": stub.url}
    if setup.redis:
        environment["BENCH_RATE_LIMIT_URL"] = setup.redis
    return subprocess.Popen(
        [sys.executable, "-m", "bench.charger", *options, *setup.command.split()],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_line(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline()
    if not line:
        sys.exit(f"A process of the benchmark failed: {process.args}")
    return line
