"""The database of a run: created, its sessions ended at random, dropped."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from django.core.management import call_command
from django.db import Error, connection, connections

logger = logging.getLogger("chaos")

SESSIONS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = %s "
    "AND id <> CONNECTION_ID()",
}

END = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}


@contextmanager
def created() -> Iterator[None]:
    """Create the database with its tables for the block."""
    name = connection.ops.quote_name(str(connection.settings_dict["NAME"]))
    has_server = connection.vendor in SESSIONS
    if has_server:
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
    try:
        call_command("migrate", run_syncdb=True, verbosity=0)
        yield
    finally:
        connections.close_all()
        if has_server:
            with connection._nodb_cursor() as cursor:
                cursor.execute(f"DROP DATABASE {name}")


def end_session(chance: Random) -> bool:
    """End the session of a process, as a restart of the server would; return whether one ended."""
    if connection.vendor not in SESSIONS:
        return False
    with connection.cursor() as cursor:
        cursor.execute(SESSIONS[connection.vendor], [connection.settings_dict["NAME"]])
        sessions = [row[0] for row in cursor.fetchall()]
        if not sessions:
            return False
        try:
            cursor.execute(END[connection.vendor], [chance.choice(sessions)])
        except Error:  # it has ended by itself
            logger.warning("No session was ended.", exc_info=True)
            return False
    return True
