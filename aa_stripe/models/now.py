"""The time of the database's clock, which all processes share."""

from __future__ import annotations

from datetime import datetime, timedelta
from datetime import timezone as datetime_timezone
from typing import Any

from django.conf import settings
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone


def process_now(using: str) -> datetime:
    """Return the time of this process's clock, as a field holds what ``DatabaseNow`` has written.

    With ``USE_TZ = False`` that is UTC, except on PostgreSQL, which converts it. ``using`` is the
    alias of the database.
    """
    if settings.USE_TZ or connections[using].vendor == "postgresql":
        return timezone.now()
    return datetime.now(datetime_timezone.utc).replace(tzinfo=None)


class DatabaseNow(models.Func):
    """The time of the database's clock, ``ahead`` of it.

    Unlike Django's ``Now()``, it is in UTC on MySQL, whatever the time zone of the connection is: a
    lease must not change its length when the clocks change. PostgreSQL stores points in time.
    """

    output_field: models.Field[Any, Any] = models.DateTimeField()

    def __init__(self, ahead: timedelta = timedelta(0)) -> None:
        super().__init__()
        self.ahead = ahead

    def as_sql(  # type: ignore[override]
        self, compiler: Any, connection: BaseDatabaseWrapper, **_: Any
    ) -> Any:
        return self.text(connection.vendor), []

    def text(self, vendor: str) -> str:
        """Return the SQL, for a statement with parameters."""
        if not self.ahead:
            return _NOW[vendor]
        return _LATER[vendor].format(
            seconds=f"{self.ahead.total_seconds():+.6f}",
            microseconds=self.ahead // timedelta(microseconds=1),
        )


#: SQLite's time has the form of the stored times. MariaDB's vendor is "mysql".
_NOW = {
    "sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')",
    "mysql": "UTC_TIMESTAMP(6)",
    "postgresql": "STATEMENT_TIMESTAMP()",
}

_LATER = {
    "sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', '{seconds} seconds')",
    "mysql": "(UTC_TIMESTAMP(6) + INTERVAL {microseconds} MICROSECOND)",
    "postgresql": "(STATEMENT_TIMESTAMP() + INTERVAL '{seconds} seconds')",
}
