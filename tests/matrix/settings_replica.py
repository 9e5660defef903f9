"""Settings of a site that reads from a replica, a second SQLite file. Only tests copy rows to it.

Without migrations the replica gets its tables at once; the first copy overwrites them.
"""

from tests.matrix.settings_base import *  # noqa: F403
from tests.matrix.settings_base import DATABASES
from tests.settings import scratch_directory, sqlite

DATABASES = {
    **DATABASES,
    "replica": {
        **sqlite(),
        "NAME": scratch_directory() / "replica.sqlite3",
        "TEST": {"NAME": scratch_directory() / "test_replica.sqlite3", "MIGRATE": False},
    },
}
DATABASE_ROUTERS = ["tests.matrix.router.ReplicaRouter"]
