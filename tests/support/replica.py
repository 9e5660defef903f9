"""A replica that lags so far behind that reading from it is always wrong."""

from __future__ import annotations

from contextlib import contextmanager

from django.test import override_settings

ALIAS = "a replica that lags behind"


class Router:
    """Reads go to the replica unless the caller names a database."""

    def db_for_read(self, model, **hints):
        return ALIAS

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, one, other, **hints):
        return True


@contextmanager
def lagging_replica():
    """Raise ``ConnectionDoesNotExist`` if the block reads from the replica."""
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.Router"]):
        yield
