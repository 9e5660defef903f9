"""Run the suite on each available database, and check the coverage of the run on SQLite.

``python -m tests.on_each_database [pytest arguments]``. A database server that is not
available is named and skipped; with ``TEST_DATABASES_REQUIRED`` set that is a failure.
``tests/settings.py`` defines where the servers are expected.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import psycopg
import pymysql

from tests import settings

CONNECT_TIMEOUT = 5  # seconds

#: Tests that use the database, but no statement that differs between servers. They run on SQLite
#: only, like the tests that open no database (the marker ``once``).
SAME_ON_EVERY_DATABASE = (
    "tests/testing",
    "tests/demo",
    "tests/docs",
    "tests/webhooks/queues/test_celery_commands.py",
    "tests/webhooks/test_fuzz.py",
    "tests/webhooks/test_rejected.py",
)


def main(arguments: list[str]) -> int:
    absent = {
        "postgres": why_absent("POSTGRES", settings.postgres(), psycopg.connect),
        "mariadb": why_absent("MARIADB", settings.mariadb(), pymysql.connect),
    }
    results, is_good = [], True
    for database in ("sqlite", "postgres", "mariadb"):
        if absent.get(database):
            results.append(f"{database}: not run, {absent[database]}")
            is_good = is_good and "TEST_DATABASES_REQUIRED" not in os.environ
            continue
        status = run_suite(database, arguments)
        results.append(f"{database}: " + ("passed" if status == 0 else f"failed (status {status})"))
        is_good = is_good and status == 0
    print(*results, sep="\n")
    return 0 if is_good else 1


def why_absent(prefix: str, database: dict[str, Any], connect: Any) -> str:
    """Return why the server is not available; an empty text if it is."""
    try:
        connect(
            host=database["HOST"],
            port=int(database["PORT"]),
            user=database["USER"],
            password=database["PASSWORD"],
            connect_timeout=CONNECT_TIMEOUT,
        ).close()
    except (psycopg.Error, pymysql.Error) as error:
        return (
            f"no connection to {database['HOST']}:{database['PORT']} "
            f"(TEST_{prefix}_HOST, _PORT, _USER and _PASSWORD name another): {error}"
        )
    return ""


def run_suite(database: str, arguments: list[str]) -> int:
    print(f"\n=== The suite on {database} ===", flush=True)
    options = ["--numprocesses=auto", "--durations=10", *(arguments or options_for(database))]
    command = [sys.executable, "-m", "pytest", *options]
    environment = os.environ | {"TEST_DATABASE": database}
    return subprocess.run(command, env=environment, check=False).returncode


def options_for(database: str) -> list[str]:
    """Return the options for the whole suite on that database.

    Coverage is measured on SQLite only: measuring takes time, and the other databases execute few
    further lines. They skip the tests that are the same on every database.
    """
    if database == "sqlite":
        return ["--cov"]
    return ["-m", "not once", *(f"--ignore={path}" for path in SAME_ON_EVERY_DATABASE)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
