"""Further databases of the benchmark, on the server of ``bench.settings``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection
from psycopg import sql


def execute(database: str, statement: Any, values: Any = None) -> None:
    """Execute the statement in that database, and commit it."""
    server = connection.settings_dict
    with psycopg.connect(
        host=server["HOST"],
        port=server["PORT"],
        user=server["USER"],
        password=server["PASSWORD"],
        dbname=database,
        autocommit=True,
    ) as connected:
        connected.execute(statement, values)


@contextmanager
def created(name: str) -> Iterator[str]:
    """Create an empty database for the block; yield its name."""
    execute("postgres", sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield name
    finally:
        drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
        execute("postgres", drop.format(sql.Identifier(name)))
