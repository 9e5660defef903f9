"""Settings of a site without ``USE_TZ``, far east of Greenwich."""

from tests.matrix.settings_base import *  # noqa: F403

USE_TZ = False
TIME_ZONE = "Asia/Tokyo"
