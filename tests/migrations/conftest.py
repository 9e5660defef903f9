"""Empty databases, and databases created by the real aa-stripe 0.13.0."""

from __future__ import annotations

import pytest

from tests.migrations.databases import temporary


@pytest.fixture
def empty(unblocked, new_name):
    """A database without tables."""
    with temporary(new_name()) as database:
        yield database


@pytest.fixture(scope="session")
def filled_once(unblocked, new_name, old_site):
    with temporary(new_name()) as database:
        old_site.run("manage.py", "migrate", "-v0", database=database.settings)
        old_site.run("fill.py", database=database.settings)
        yield database


@pytest.fixture
def filled(filled_once, new_name):
    """A database of 0.13.0 with rows in every table; some of their JSON cannot be stored today."""
    with temporary(new_name(), like=filled_once) as database:
        yield database


@pytest.fixture(scope="session")
def untouched(filled_once):
    """The original rows of ``filled``, by table."""
    return {table: filled_once.rows(table) for table in filled_once.tables()}


@pytest.fixture(scope="session")
def upgraded_once(filled_once, new_name):
    """The same database after our migrations, only for reading; ``output`` is what they printed."""
    with temporary(new_name(), like=filled_once) as database:
        # The project's default currency differs from that of 0.13.0.
        database.output = database.migrate(module="tests.migrations.in_euros").stdout
        yield database


@pytest.fixture
def upgraded(upgraded_once, new_name):
    """A copy of ``upgraded_once`` that the test may change."""
    with temporary(new_name(), like=upgraded_once) as database:
        yield database


@pytest.fixture(scope="session")
def fresh_once(unblocked, new_name):
    """A new database after our migrations, only for reading; ``output`` is what they printed."""
    with temporary(new_name()) as database:
        database.output = database.migrate().stdout
        yield database


@pytest.fixture
def fresh(fresh_once, new_name):
    """A copy of ``fresh_once`` that the test may change."""
    with temporary(new_name(), like=fresh_once) as database:
        yield database
