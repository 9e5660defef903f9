"""Separate databases for whole migrations, on the database server of the suite."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

ROOT = Path(__file__).parents[2]


class Database:
    """One database: ``run`` starts processes that use it, other methods read and change it."""

    def __init__(self, name: str) -> None:
        self.settings = {**settings.DATABASES["default"], "NAME": name, "TEST": {}}
        self.connection: BaseDatabaseWrapper = ConnectionHandler({"default": self.settings})[
            "default"
        ]
        self.vendor = self.connection.vendor

    @property
    def name(self) -> str:
        return str(self.settings["NAME"])

    # Create and drop

    def create(self, like: Database | None = None) -> None:
        """Create it, empty or as a copy of ``like``; an existing one is dropped."""
        self.drop()
        getattr(self, f"_create_{self.vendor}")(like)

    def drop(self) -> None:
        self.connection.close()
        if self.vendor == "sqlite":
            Path(self.name).unlink(missing_ok=True)
        else:
            self._on_the_server(f"DROP DATABASE IF EXISTS {self.name}")

    def _create_sqlite(self, like: Database | None) -> None:
        if like is not None:
            like.connection.close()
            shutil.copy(like.name, self.name)

    def _create_postgresql(self, like: Database | None) -> None:
        template = "template0"
        if like is not None:
            like.connection.close()
            template = like.name
        self._on_the_server(f"CREATE DATABASE {self.name} TEMPLATE {template} ENCODING 'UTF8'")

    def _create_mysql(self, like: Database | None) -> None:
        self._on_the_server(f"CREATE DATABASE {self.name} CHARACTER SET utf8mb4")
        if like is None:
            return
        with self.connection.cursor() as cursor:
            cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
            for table in like.tables():
                cursor.execute(like.one(f"SHOW CREATE TABLE {table}")[1])
                cursor.execute(f"INSERT INTO {table} SELECT * FROM {like.name}.{table}")
            cursor.execute("SET FOREIGN_KEY_CHECKS = 1")

    def _on_the_server(self, statement: str) -> None:
        with self.connection._nodb_cursor() as cursor:
            cursor.execute(statement)

    # Run processes

    def run(
        self, *command: str, module: str = "django", check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python -m module *command`` with this database."""
        self.connection.close()
        ran = subprocess.run(
            [sys.executable, "-m", module, *command],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "TEST_DATABASE_OPEN": self.name,
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or ran.returncode == 0, ran.stdout + ran.stderr
        return ran

    def migrate(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run("migrate", *arguments, **options)

    def killed_at(self, what: str, number: int, *target: str, **environment: str) -> bool:
        """Migrate until ``killed.py`` kills the process; return whether it was killed."""
        ran = self.run(
            *(what, str(number), "migrate", "aa_stripe", *target, "-v0"),
            module="tests.migrations.killed",
            check=False,
            **environment,
        )
        assert ran.returncode in (-signal.SIGKILL, 0), ran.stderr
        return ran.returncode != 0

    # Read and change

    def execute(self, *statements: str) -> None:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def all(self, query: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return [tuple(row) for row in cursor.fetchall()]

    def one(self, query: str, parameters: Any = ()) -> tuple[Any, ...]:
        return self.all(query, parameters)[0]

    def tables(self) -> list[str]:
        return sorted(self.connection.introspection.table_names())

    def rows(self, table: str) -> dict[Any, dict[str, Any]]:
        """Return the columns of each row, by primary key."""
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        return {row["id"]: row for row in rows}

    def schema(self, table: str) -> dict[str, Any]:
        """Return the columns with their types, and the constraints without their names."""
        columns = {name: kind for name, *kind in getattr(self, f"_columns_{self.vendor}")(table)}
        with self.connection.cursor() as cursor:
            found = self.connection.introspection.get_constraints(cursor, table).values()
        constraints = {
            (tuple(each["columns"]), kind, each[kind])
            for each in found
            for kind in ("primary_key", "unique", "foreign_key", "check", "index")
            if each[kind]
        }
        if self.vendor == "mysql":
            constraints -= set(_redundant(columns, constraints))
        return {"columns": columns, "constraints": constraints}

    def everything(self) -> dict[str, Any]:
        """Return the schema and the rows of each table, to check that nothing was changed."""
        return {table: (self.schema(table), self.rows(table)) for table in self.tables()}

    def _columns_sqlite(self, table: str) -> list[tuple[Any, ...]]:
        return self.all(
            'SELECT name, lower(type), "notnull", dflt_value FROM pragma_table_info(%s)', [table]
        )

    def _columns_postgresql(self, table: str) -> list[tuple[Any, ...]]:
        return self.all(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity"
            " FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [table],
        )

    def _columns_mysql(self, table: str) -> list[tuple[Any, ...]]:
        return self.all(
            "SELECT column_name, column_type, is_nullable, extra, collation_name"
            " FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s",
            [self.name, table],
        )


def _redundant(columns: dict[str, Any], constraints: set[Any]) -> Iterator[Any]:
    """Yield constraints that MySQL or Django may omit because another one implies them."""
    for name, kind in columns.items():
        if "unsigned" in kind[0]:
            yield (name,), "check", True
    for indexed, kind, _ in constraints:
        if kind == "index" and len(indexed) > 1:
            # A separate index of a foreign key, if this index starts with its column.
            yield indexed[:1], "index", True


@contextlib.contextmanager
def temporary(name: str, like: Database | None = None) -> Iterator[Database]:
    """Create the database ``name``, empty or as a copy of ``like``, and drop it at the end."""
    database = Database(name)
    database.create(like)
    try:
        yield database
    finally:
        database.drop()


def of_aa_stripe(database: Database) -> list[str]:
    """Return the names of aa_stripe's tables."""
    return [table for table in database.tables() if table.startswith("aa_stripe_")]
