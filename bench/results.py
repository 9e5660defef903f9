"""The results: figures with their targets, as the text of ``bench/RESULTS.md``."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import django
import psycopg
import stripe
from django.db import connection

import aa_stripe


@dataclass(frozen=True)
class Figure:
    """A measured value, and its target if there is one."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    def row(self) -> tuple[str, str, str, str]:
        return self.name, f"{self.value:.2f} {self.unit}", self.target(), self.verdict()

    def target(self) -> str:
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return f"at most {self.at_most:g}" if self.at_most is not None else ""

    def verdict(self) -> str:
        if self.at_least is not None:
            return "met" if self.value >= self.at_least else "missed"
        if self.at_most is not None:
            return "met" if self.value <= self.at_most else "missed"
        return ""


def versions() -> list[tuple[str, str]]:
    """Return what the figures depend on, apart from the code."""
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    return [
        ("Date", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("Cores", str(os.cpu_count())),
        ("Load before the run (1, 5 and 15 minutes)", load),
        ("aa_stripe", aa_stripe.__version__),
        ("Python", platform.python_version()),
        ("Django", django.__version__),
        ("stripe", stripe.VERSION),
        ("PostgreSQL", server_version()),
        ("psycopg", psycopg.__version__),
    ]


def server_version() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0])


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, aligned, with an empty line before it."""
    lines = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    yield ""
    for cells in lines:
        yield f"| {' | '.join(map(str.ljust, cells, widths))} |"


def table_of_figures(figures: Iterable[Figure]) -> Iterator[str]:
    return table(["what", "measured", "target", ""], [figure.row() for figure in figures])
