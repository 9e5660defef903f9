"""The database router of the site with a replica."""

from __future__ import annotations

REPLICA = "replica"


class ReplicaRouter:
    """Reads go to the replica unless the caller names a database."""

    def db_for_read(self, model, **hints):
        return REPLICA

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, one, other, **hints):
        return True
