"""Run the suite on each database that is found, and judge the coverage of all runs together.

``python -m tests.on_each_database [pytest arguments]``. A database server that is not found is
named and left out; with ``TEST_DATABASES_REQUIRED`` set that is a failure. ``tests/settings.py``
says where they are looked for.
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

#: Tests that know nothing of the database, bring one of their own, or hardly use it: run on SQLite
#: alone.
WITHOUT_DATABASE = (
    "tests/testing",
    "tests/demo",
    "tests/docs",
    "tests/test_money.py",
    "tests/webhooks/queues/test_celery_commands.py",
    "tests/webhooks/test_fuzz.py",
    "tests/webhooks/test_refused.py",
)


def main(arguments: list[str]) -> int:
    absent = {
        "postgres": why_absent("POSTGRES", settings.postgres(), psycopg.connect),
        "mariadb": why_absent("MARIADB", settings.mariadb(), pymysql.connect),
    }
    run("coverage", "erase")
    said, is_good = [], True
    for database in ("sqlite", "postgres", "mariadb"):
        if absent.get(database):
            said.append(f"{database}: not run, {absent[database]}")
            is_good = is_good and "TEST_DATABASES_REQUIRED" not in os.environ
            continue
        status = run_suite(database, arguments)
        said.append(f"{database}: " + ("passed" if status == 0 else f"failed (status {status})"))
        is_good = is_good and status == 0
    # A part of the suite says nothing about the coverage of the whole.
    if not arguments:
        is_good = is_covered() and is_good
    print(*said, sep="\n")
    return 0 if is_good else 1


def why_absent(prefix: str, database: dict[str, Any], connect: Any) -> str:
    """An empty text when the server answers, else where it was looked for and what happened."""
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
            f"no answer at {database['HOST']}:{database['PORT']} "
            f"(TEST_{prefix}_HOST, _PORT, _USER and _PASSWORD name another): {error}"
        )
    return ""


def run_suite(database: str, arguments: list[str]) -> int:
    print(f"\n=== The suite on {database} ===", flush=True)
    measure = ["--cov", "--cov-report=", "--cov-fail-under=0"]  # judged over all runs, at the end
    options = ["--numprocesses=auto", *measure, *(arguments or chosen_for(database))]
    return run("pytest", *options, TEST_DATABASE=database, COVERAGE_FILE=f".coverage.{database}")


def chosen_for(database: str) -> list[str]:
    """What to leave out where it would only be run once more."""
    if database == "sqlite":
        return []
    return [f"--ignore={path}" for path in WITHOUT_DATABASE]


def is_covered() -> bool:
    return run("coverage", "combine", "--quiet") == 0 and run("coverage", "report") == 0


def run(module: str, *arguments: str, **environment: str) -> int:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=os.environ | environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
