"""Tables with a row for each call of a handler or receiver, duplicates included."""

from __future__ import annotations

from collections import Counter

from django.db import connection

TABLES = ("busy_applied", "busy_signals")


def create():
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"CREATE TABLE {table} (what varchar(255) NOT NULL)")


def drop():
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"DROP TABLE {table}")


def note(table, what):
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} (what) VALUES (%s)", [str(what)])


def noted(table):
    """Return how often each value was noted."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT what FROM {table}")
        return Counter(what for (what,) in cursor.fetchall())
